//! Walks JSON text without building anything.
