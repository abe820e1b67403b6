//! The documents are true: each console block is run and its output compared, each TOML block is
//! checked, each link leads to a file and a heading, and each command and key of the table for people
//! from GitLab exists.
//!
//! Numbers, times and durations differ from machine to machine and compare as equal; so do runs of
//! blanks, since the width of a column depends on them.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_backup::Step;
use mattervisor_tests::{Site, binary, need, nginx, postgres, run};

use crate::stack::Stack;

mod line_by_line;
mod links;

/// Columns of the status table.
const READY_COLUMN: usize = 2;
const ACCOUNT_COLUMN: usize = 6;

/// Where users reach the site in the documents.
const URL: &str = "http://mattermost.example.com";

/// One command of a console block, and the output below it.
struct Shown {
    command: String,
    output: Vec<String>,
    line: usize,
}

/// The repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents in a directory, by name.
fn markdown_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut markdown: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    markdown.sort();
    markdown
}

/// Documents for administrators that people write.
fn documents() -> Vec<PathBuf> {
    let readme = [top().join("README.md")];
    let docs = markdown_in(&top().join("docs"));
    readme.into_iter().chain(docs).collect()
}

fn shown(text: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            let program = command.split(' ').next().unwrap();
            assert!(
                ["ctl", "curl"].contains(&program),
                "line {}: only ctl and curl can be run",
                index + 1
            );
            commands.push(Shown {
                command: command.to_owned(),
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

/// Types a command in a shell on this stack, and returns the output as the documents have it.
fn typed(stack: &Stack, command: &str) -> String {
    let site = &stack.site;
    let url = format!("http://127.0.0.1:{}", stack.nginx_port);
    let programs = binary("ctl").parent().unwrap().display().to_string();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &command.replace(URL, &url)])
        .env("PATH", format!("{programs}:/usr/bin:/bin"))
        .env("NO_COLOR", "1")
        .env("MATTERVISOR_ROOT", site.root())
        .env("MATTERVISOR_CATALOG", site.catalog());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let said = run(&mut shell).both();
    said.replace(&url, URL)
        .replace(&format!(" on {}:", host.trim()), " on mattermost:")
        .replace(&site.root().display().to_string(), "")
}

/// Whether a line depends on who runs the tests, or on how fast: the steps of a backup are printed a
/// few times a second.
fn differs_by_run(line: &str) -> bool {
    let without_root = ["warning: runs without root", "warning: without root"];
    let a_step = Step::CREATE.iter().any(|step| step.words() == line);
    a_step || without_root.iter().any(|it| line.contains(it))
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
    // How a distribution calls its build of PostgreSQL.
    let line = match line.split_once("PostgreSQL T (") {
        Some((before, rest)) => {
            let after = rest.split_once(')').map_or("", |(_, after)| after);
            format!("{before}PostgreSQL T{after}")
        }
        None => line,
    };
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
    let (mut count, mut wrong) = (0, Vec::new());
    for document in documents() {
        for shown in shown(&std::fs::read_to_string(&document).unwrap()) {
            let said = typed(&stack, &shown.command);
            let printed = said.lines().filter(|line| !differs_by_run(line));
            let said: Vec<String> = printed.map(alike).collect();
            let wanted: Vec<String> = shown.output.iter().map(|line| alike(line)).collect();
            if said != wanted {
                wrong.push(format!(
                    "{}:{}: {}\n  says {said:#?}\n  not {wanted:#?}",
                    document.display(),
                    shown.line,
                    shown.command
                ));
            }
            count += 1;
            stack.settle();
        }
    }
    assert!(count > 0, "no document has a console block");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The longest allowed line, in columns.
const WIDTH: usize = 100;

/// Every document of the repository that is not written by a program.
fn all_documents() -> Vec<PathBuf> {
    let others = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "tests/README.md",
    ];
    let others = others.map(|name| top().join(name));
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
        alike("PostgreSQL 15.18 (Debian 15.18-0+deb12u1), 5 files"),
        "PostgreSQL T, N files"
    );
    assert_eq!(
        alike("by root at 2026-11-23T00:19:16.089Z"),
        "by root at N-N-NTN:N:N.NZ"
    );
}
