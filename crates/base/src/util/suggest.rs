//! "Did you mean": the nearest of the words that would have been right.

/// The candidate that is a slip of the fingers away from `word`, if any: at most a third of its letters differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(folded.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint to go with an unknown word, empty when nothing is near.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|near| format!("did you mean `{near}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let words = ["theme", "mouse", "frame_rate"];
        assert_eq!(nearest("thme", words), Some("theme"));
        assert_eq!(nearest("Mouse", words), Some("mouse"));
        assert_eq!(nearest("framerate", words), Some("frame_rate"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(hint("xyz", words), "");
    }
}
