//! The documents are true: each console block is run and its output compared, each TOML block is
//! checked, and each link leads to a file and a heading.
//!
//! Numbers, times and durations differ from machine to machine and compare as equal; so do runs of
//! blanks, since the width of a column depends on them.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use mattervisor_tests::{Site, need, nginx, postgres};

use crate::stack::Stack;

/// Columns of the status table.
const READY_COLUMN: usize = 2;
const ACCOUNT_COLUMN: usize = 6;

/// One command of a console block, and the output below it.
struct Shown {
    arguments: Vec<String>,
    output: Vec<String>,
    line: usize,
}

fn documents() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = std::fs::read_dir(top.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let markdown = docs.filter(|path| path.extension().is_some_and(|it| it == "md"));
    [top.join("README.md")]
        .into_iter()
        .chain(markdown)
        .collect()
}

fn shown(text: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            let mut words = command.split_whitespace().map(str::to_owned);
            assert_eq!(
                words.next().as_deref(),
                Some("ctl"),
                "line {}: only ctl can be run",
                index + 1
            );
            commands.push(Shown {
                arguments: words.collect(),
                output: vec![],
                line: index + 1,
            });
        } else if inside {
            let command = commands.last_mut().expect("a block begins with a command");
            command.output.push(line.to_owned());
        }
    }
    commands
}

/// The line with every number as `N`, every duration as `T`, and single blanks.
fn alike(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let mut plain = String::new();
        for letter in word.chars() {
            match letter {
                '0'..='9' if plain.ends_with('N') => {}
                '0'..='9' => plain.push('N'),
                other => plain.push(other),
            }
        }
        let duration = plain.starts_with('N') && plain.chars().all(|it| "Nsmhd.".contains(it));
        if duration && plain != "N" {
            "T".to_owned()
        } else {
            plain
        }
    });
    let mut words: Vec<String> = words.collect();
    // A row of the status table: its account depends on whether the tests run as root.
    if words.len() > ACCOUNT_COLUMN && ["yes", "no"].contains(&words[READY_COLUMN].as_str()) {
        words.remove(ACCOUNT_COLUMN);
    }
    let line = words.join(" ");
    // The name of the user depends on that, too.
    match (line.find(" by "), line.find(" at N")) {
        (Some(by), Some(at)) if by < at => format!("{} by root{}", &line[..by], &line[at..]),
        _ => line,
    }
}

#[test]
fn every_console_block_is_true() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let mut count = 0;
    for document in documents() {
        for command in shown(&std::fs::read_to_string(&document).unwrap()) {
            let arguments: Vec<&str> = command.arguments.iter().map(String::as_str).collect();
            let said = stack.site.ctl(&arguments);
            let printed = said.stdout.lines().chain(said.stderr.lines());
            let without_root = ["warning: runs without root", "warning: without root"];
            let printed = printed.filter(|line| !without_root.iter().any(|it| line.contains(it)));
            let said: Vec<String> = printed.map(alike).collect();
            let wanted: Vec<String> = command.output.iter().map(|line| alike(line)).collect();
            let place = format!(
                "{}:{}: ctl {}",
                document.display(),
                command.line,
                arguments.join(" ")
            );
            assert_eq!(said, wanted, "{place}");
            count += 1;
            stack.settle();
        }
    }
    assert!(count > 0, "no document has a console block");
}

/// The longest allowed line, in columns.
const WIDTH: usize = 100;

/// Every document of the repository that is not written by a program.
fn all_documents() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let others = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "tests/README.md",
    ];
    let others = others.map(|name| top.join(name));
    documents().into_iter().chain(others).collect()
}

/// Output of programs cannot be wrapped, so ```text, ```console and the engine's state table are
/// exempt.
#[test]
fn no_line_is_longer_than_a_screen_is_wide() {
    let mut long = Vec::new();
    for document in all_documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let mut printed = false;
        for (index, line) in text.lines().enumerate() {
            if line.starts_with("```") || line.starts_with("<!--") {
                printed = matches!(line, "```text" | "```console" | "<!-- state table -->");
            } else if !printed && line.chars().count() > WIDTH {
                long.push(format!("{}:{}", document.display(), index + 1));
            }
        }
    }
    assert!(
        long.is_empty(),
        "over {WIDTH} columns:\n{}",
        long.join("\n")
    );
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

/// The targets of a document's links, but for those of the web.
fn links(text: &str) -> Vec<&str> {
    let ends = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let targets = ends.map(|(target, _)| target);
    targets
        .filter(|it| !it.contains("://") && !it.contains(char::is_whitespace))
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    for document in all_documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: no {link}", document.display());
            if !heading.is_empty() {
                let page = std::fs::read_to_string(&target).unwrap();
                let mut headings = page.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|it| anchor(it) == heading);
                assert!(found, "{}: no heading {link}", document.display());
            }
        }
    }
}

#[test]
fn headings_have_the_anchors_of_github() {
    assert_eq!(
        anchor("## Maintenance, and what users see"),
        "maintenance-and-what-users-see"
    );
    assert_eq!(anchor("### Mattermost's own `ctl`"), "mattermosts-own-ctl");
    assert_eq!(
        links("[a](b.md#c), [d](https://x), [e](f.md)"),
        ["b.md#c", "f.md"]
    );
}

/// The TOML blocks of a document, each with the number of its first line.
fn toml_blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut block = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut block, line) {
            (None, "```toml") => block = Some((index + 2, String::new())),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some((_, block)), line) => block.extend([line, "\n"]),
            (None, _) => {}
        }
    }
    blocks
}

/// `check-config` accepts each TOML block, as the site file or as the file that the block's first
/// line names.
#[test]
fn every_toml_block_checks() {
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services.d");
    let mut count = 0;
    for document in documents() {
        for (line, block) in toml_blocks(&std::fs::read_to_string(&document).unwrap()) {
            let mut site = Site::new();
            site.use_catalog(&catalog);
            let first = block.lines().next().unwrap_or_default();
            let own = first.strip_prefix("# /etc/mattervisor/services.d/");
            match own.and_then(|file| file.strip_suffix(".toml")) {
                Some(name) => site.service(name, &block),
                None => site.site_file(&block),
            };
            let site_file = site.path("etc/mattervisor/mattervisor.toml");
            if site_file.exists() {
                // A block may hold a secret, which others must not be able to read.
                std::fs::set_permissions(&site_file, Permissions::from_mode(0o600)).unwrap();
            }
            let said = site.ctl(&["check-config"]);
            assert_eq!(
                said.code,
                0,
                "{}:{line}: {}",
                document.display(),
                said.both()
            );
            count += 1;
        }
    }
    assert!(count > 0, "no document has a TOML block");
}

#[test]
fn lines_are_compared_without_what_differs() {
    assert_eq!(alike("a  running   yes  13656  1h17m"), "a running yes N T");
    assert_eq!(
        alike("by root at 2026-11-23T00:19:16.089Z"),
        "by root at N-N-NTN:N:N.NZ"
    );
}
