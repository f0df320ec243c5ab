//! Which of the known names somebody meant who wrote another one.

/// The name that was probably meant.
pub(crate) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '.'], "_");
    let name = plain(name);
    names
        .map(|known| {
            (
                strsim::normalized_damerau_levenshtein(&name, &plain(known)),
                known,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}
