//! `ctl` stays small: big dependencies, and those that reach the network, belong to the programs
//! beside it.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

use std::{collections::BTreeSet, process::Command};

/// TLS and its users, parsers of Ruby, and terminal libraries.
const ELSEWHERE: [&str; 8] = [
    "crossterm",
    "instant-acme",
    "ratatui",
    "rcgen",
    "rustls",
    "tree-sitter",
    "tree-sitter-ruby",
    "ureq",
];

/// The crates that a workspace crate is built of.
fn built_of(name: &str) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(env!("CARGO_MANIFEST_DIR"));
    tree.args(["tree", "--offline", "--prefix=none", "--format={lib}"]);
    tree.args(["--edges=normal,build", "--package", name]);
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo alone knows what is built of what"
    )]
    let told = tree.output().unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    let error = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{error}");
    text.lines()
        .map(|line| line.trim_end_matches(" (*)").replace('_', "-"))
        .collect()
}

#[test]
fn ctl_has_neither_tls_nor_ruby_nor_a_terminal_library() {
    let ctl = built_of("ctl");
    assert!(ctl.contains("client") && ctl.contains("hyper"), "{ctl:?}");
    let big: Vec<&str> = ELSEWHERE
        .into_iter()
        .filter(|it| ctl.contains(*it))
        .collect();
    assert_eq!(
        big, [""; 0],
        "`cargo tree -p ctl -i CRATE` says what brings it"
    );
    // Every listed crate exists in some program, so the list is not out of date.
    let programs = ["mattervisor-acme", "mattervisor-import", "mattervisor-top"];
    let all: BTreeSet<String> = programs.into_iter().flat_map(built_of).collect();
    let gone: Vec<&str> = ELSEWHERE
        .into_iter()
        .filter(|it| !all.contains(*it))
        .collect();
    assert_eq!(gone, [""; 0]);
}
