//! What one record costs.

fn main() {}
