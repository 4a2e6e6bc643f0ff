//! "Did you mean": the known name that a misspelt one is nearest to.

use strsim::damerau_levenshtein;

/// The candidate with the smallest edit distance, where it is at most `most`; the first of several.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    let distances = candidates.into_iter().map(|candidate| (damerau_levenshtein(name, candidate), candidate));
    distances.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, found)| found)
}

/// The edit distance up to which a name is taken for a misspelling: a third of its letters, at least one.
pub(super) fn tolerance(name: &str) -> usize {
    (name.chars().count() / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let near = |name| nearest(name, ["batch_size", "pool_min", "pool_max"], tolerance(name));
        assert_eq!(near("bacth_size"), Some("batch_size"));
        assert_eq!(near("batchsize"), Some("batch_size"));
        assert_eq!(near("pool_mn"), Some("pool_min"));
        assert_eq!(near("writers"), None);
        assert_eq!(near(""), None);
    }
}
