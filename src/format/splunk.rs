//! Not yet.
use crate::config::Route;
use crate::finding::Finding;
pub(super) fn write_hec(
    _route: &Route,
    _finding: &Finding<'_>,
    _out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    Ok(())
}
pub(super) fn write_raw(
    _route: &Route,
    _finding: &Finding<'_>,
    _out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    Ok(())
}
pub(super) fn headers(_route: &Route) -> Vec<(&'static str, String)> {
    Vec::new()
}
