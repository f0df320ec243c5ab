//! Not yet.
use crate::config::Route;
use crate::finding::Finding;
pub(super) fn write(
    _route: &Route,
    _finding: &Finding<'_>,
    _out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    Ok(())
}
