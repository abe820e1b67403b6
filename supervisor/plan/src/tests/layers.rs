//! The folders are steps of a load: each step imports only earlier steps.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The steps in the order of a load; the last two use the finished plan.
const STEPS: &[&str] = &[
    "report", "model", "host", "read", "declare", "site", "resolve", "service", "check", "load",
    "compare", "secrets",
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// Every step that a file imports by `crate::STEP`, also within braces.
fn named(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (start, _) in text.match_indices("crate::") {
        let rest = &text[start + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            out.push(first_word(rest));
            continue;
        };
        let mut depth = 0;
        let mut begins = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if depth == 0 && begins && c.is_alphabetic() => {
                    out.push(first_word(&list[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    out
}

fn first_word(text: &str) -> String {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

#[test]
fn a_step_knows_only_the_steps_before_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let step = |name: &str| STEPS.iter().position(|it| *it == name);
    let mut seen = 0;
    for (own, name) in STEPS.iter().enumerate() {
        let mut files = Vec::new();
        sources(&root.join(name), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let lines = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let code: String = lines.flat_map(|line| [line, "\n"]).collect();
            for other in named(&code) {
                let wanted = step(&other);
                let wanted = wanted.unwrap_or_else(|| {
                    panic!("{} names crate::{other}, not its step", file.display())
                });
                assert!(wanted <= own, "{} uses {other}", file.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn names_are_found_in_every_form_of_a_path() {
    let text = "use crate::{\n    a::b,\n    c::{d, e},\n};\nlet x = crate::f::g();";
    assert_eq!(named(text), ["a", "c", "f"]);
}
