//! Lists and counts.

use std::fmt::Display;

/// A list for a sentence: `a`, `a and b`, `a, b and c`. Empty for no items.
pub fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<T> = items.into_iter().collect();
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The first `max` items of a list, and how many are left out: `a, b and 3 more`.
pub fn list_up_to<T: AsRef<str>>(max: usize, items: impl IntoIterator<Item = T>) -> String {
    let mut items = items.into_iter();
    let shown: Vec<T> = items.by_ref().take(max).collect();
    let more = match items.count() {
        0 => None,
        more => Some(format!("{more} more")),
    };
    list(shown.iter().map(AsRef::as_ref).chain(more.as_deref()))
}

/// A number with its noun: `1 service`, `3 services`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(
    number: N,
    one: &str,
    many: &str,
) -> String {
    let noun = if number == N::from(1) { one } else { many };
    format!("{number} {noun}")
}

/// The form of a noun or a verb that agrees with so many: `group`, `groups`.
pub fn form<'a>(number: usize, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_as_a_sentence_does() {
        assert_eq!(list::<&str>([]), "");
        assert_eq!(list(["a"]), "a");
        assert_eq!(list(["a", "b"]), "a and b");
        assert_eq!(list(["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn a_long_list_says_how_much_is_left_out() {
        let letters = ["a", "b", "c", "d", "e"];
        assert_eq!(list_up_to(5, letters), "a, b, c, d and e");
        assert_eq!(list_up_to(2, letters), "a, b and 3 more");
        assert_eq!(list_up_to(0, letters), "5 more");
    }

    #[test]
    fn a_number_has_the_right_noun() {
        assert_eq!(counted(1_u32, "entry", "entries"), "1 entry");
        assert_eq!(counted(0_usize, "entry", "entries"), "0 entries");
        assert_eq!(counted(12_i64, "day", "days"), "12 days");
    }
}
