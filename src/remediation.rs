//! The remediation catalogue and its templates.
