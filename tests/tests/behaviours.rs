//! The numbered behaviours: each in `tests/README.md` has a test, and each test's number is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Marks a behaviour of the list that has no test; the reason follows.
const UNTESTED: &str = "No test:";

/// Adds the text of each source file below a directory.
fn sources(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// The number NN of a word that begins with `bNN`.
fn number(word: &str) -> Option<u32> {
    let digits = word.strip_prefix('b')?.get(..2)?;
    digits.parse().ok()
}

/// The behaviours that a line of source names: a test `bNN_…`, or a comment that lists numbers.
fn named(line: &str) -> Vec<u32> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("fn ") {
        return number(name)
            .filter(|_| name.get(3..4) == Some("_"))
            .into_iter()
            .collect();
    }
    let comment = line.strip_prefix("//").unwrap_or_default();
    let Some((_, numbers)) = comment.split_once("peers' behaviour") else {
        return Vec::new();
    };
    let numbers = numbers.split(|letter: char| !letter.is_ascii_digit());
    numbers.filter_map(|it| it.parse().ok()).collect()
}

/// The behaviours of a document, with the text of each.
fn listed(document: &str) -> BTreeMap<u32, String> {
    let items = document.split("\n- **").skip(1);
    let items = items.filter_map(|item| {
        let (word, text) = item.split_once("** ")?;
        let end = text.find("\n\n").unwrap_or(text.len());
        Some((number(word)?, text[..end].to_owned()))
    });
    items.collect()
}

#[test]
fn every_numbered_behaviour_is_explained_and_tested() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for dir in [
        tests.join("tests"),
        tests.join("../supervisor"),
        tests.join("../ctl"),
    ] {
        sources(&dir, &mut texts);
    }
    let named: BTreeSet<u32> = texts
        .iter()
        .flat_map(|it| it.lines())
        .flat_map(named)
        .collect();
    let listed = listed(include_str!("../README.md"));
    assert_eq!(
        listed.keys().copied().collect::<Vec<_>>(),
        (1..=48).collect::<Vec<_>>()
    );
    for number in &named {
        assert!(
            listed.contains_key(number),
            "b{number:02} is not in tests/README.md"
        );
    }
    for (number, text) in &listed {
        assert!(
            named.contains(number) || text.contains(UNTESTED),
            "no test for b{number:02}, and no reason after {UNTESTED:?}: {text}"
        );
    }
}

#[test]
fn numbers_are_found_in_tests_and_comments() {
    assert_eq!(named("    fn b07_stop_returns() {"), [7]);
    assert_eq!(named("/// peers' behaviours 22 and 24"), [22, 24]);
    assert!(named("fn b7_x() {").is_empty());
    assert!(named("fn body() {").is_empty());
    let list =
        listed("# A\n\n- **b01** One\n  more.\n- **b02** No test: why.\n\n## B\n\n- **Else** x");
    assert_eq!(list.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert!(list[&2].contains(UNTESTED));
}
