//! The nearest right name for a wrong one.

/// The candidate that is most like `name`, if any is like it at all.
///
/// Case and the difference between `-`, `_` and `.` do not count.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '.'], "_");
    let wanted = plain(name);
    let most = |candidate: &str| (wanted.len().min(candidate.len()) / 3).max(1);
    candidates
        .into_iter()
        // The distance is at least the difference in length, and costs much more.
        .filter(|candidate| wanted.len().abs_diff(candidate.len()) <= most(candidate))
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&wanted, &plain(candidate)),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= most(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?`
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|near| format!("did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant_and_nothing_far_fetched() {
        let names = ["chat", "database", "proxy", "chat-database"];
        assert_eq!(nearest("chatt", names), Some("chat"));
        assert_eq!(nearest("databse", names), Some("database"));
        assert_eq!(nearest("Chat_Database", names), Some("chat-database"));
        assert_eq!(nearest("porxy", names), Some("proxy"));
        assert_eq!(nearest("redis", names), None);
    }
}
