//! The worker, and the two delivery guarantees.
