//! Realistic CloudTrail that was never anybody's.
