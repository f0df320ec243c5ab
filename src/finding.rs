//! What one matched record became: the type between detection and formats.
