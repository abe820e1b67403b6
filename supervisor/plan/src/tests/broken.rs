//! Broken files, one mistake each, with the whole message that an administrator reads.
//!
//! The files lie in `tests/broken/`: `site/` has site files over the shipped catalogue, `service/`
//! has service files beside a good one; a folder there holds several files of one case. The
//! integration tests put the same files before a running supervisor.

use std::{fs, path::PathBuf};

use super::{Machine, catalogue::shipped};
use crate::Problems;

/// A good service beside the broken one.
const NEIGHBOUR: &str = "command = ['/bin/neighbour']\nlistens = ['127.77.7.7:7777']\n[settings]\nport = { type = 'port', default = 7777 }\n";

fn entries(kind: &str) -> Vec<PathBuf> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/broken/");
    let entries = fs::read_dir(format!("{dir}{kind}")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 20, "too few broken {kind} files");
    paths
}

/// The messages as `ctl check-config` prints them. The test fails if there is a plan.
fn said(machine: &Machine, path: &std::path::Path) -> String {
    match machine.load() {
        Ok(_) => panic!("{} is not broken", path.display()),
        Err(Problems(problems)) => Problems(problems).to_string(),
    }
}

fn snapshot(kind: &str, path: &std::path::Path, text: &str) {
    let name = path.file_stem().unwrap().to_string_lossy();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path(format!("snapshots/{kind}"));
    settings.bind(|| insta::assert_snapshot!(name.as_ref(), text));
}

#[test]
fn site_files() {
    for path in entries("site") {
        let mut machine = shipped("");
        let file = "/etc/mattervisor/mattervisor.toml";
        machine
            .put(file, fs::read(&path).unwrap())
            .mode(file, 0o600);
        snapshot("site", &path, &said(&machine, &path));
    }
}

#[test]
fn service_files() {
    for path in entries("service") {
        let mut machine = Machine::new();
        machine.own("neighbour", NEIGHBOUR);
        let mut put = |name: &str, from: &std::path::Path| {
            let to = format!("/etc/mattervisor/services.d/{name}");
            machine.put(&to, fs::read(from).unwrap());
        };
        if path.is_dir() {
            for entry in fs::read_dir(&path).unwrap() {
                let from = entry.unwrap().path();
                put(from.file_name().unwrap().to_str().unwrap(), &from);
            }
        } else {
            put("app.toml", &path);
        }
        snapshot("service", &path, &said(&machine, &path));
    }
}

/// Byte order marks and CRLF, which editors and Windows leave, are no mistakes, and line numbers
/// stay right.
#[test]
fn a_byte_order_mark_crlf_and_nothing_at_all_are_no_mistakes() {
    let url = "mattermost_external_url = \"https://mattermost.example.com\"\r\n";
    for text in [
        String::new(),
        "\n\n# nothing\n".to_owned(),
        url.to_owned(),
        format!("\u{feff}{url}"),
        format!("# a comment with é, “ and ”\r\n\r\n{url}"),
        url.trim_end().to_owned(),
    ] {
        let machine = shipped(&text);
        assert!(machine.load().is_ok(), "{text:?}: {}", machine.errors());
    }
    let said = shipped(&format!(
        "\u{feff}{url}\r\nmattermost.gitlab_enabel = true\r\n"
    ))
    .errors();
    assert!(said.contains("mattervisor.toml:3: error"), "{said}");
}

/// Files that could exhaust a parser are refused quickly, with a message.
#[test]
fn absurd_files_are_refused_and_sink_nothing() {
    let deep = 100_000;
    let many: Vec<String> = (0..2_000).map(|n| format!("key{n} = {n}")).collect();
    let many = many.join("\n");
    let long_key = format!("{}a = 1\n", "a.".repeat(deep));
    for (what, text) in [
        ("lists in lists", format!("a = {}\n", "[".repeat(deep))),
        (
            "closed lists in lists",
            format!("a = {}{}\n", "[".repeat(deep), "]".repeat(deep)),
        ),
        ("tables in tables", format!("a = {}\n", "{a=".repeat(deep))),
        ("a dotted key", long_key.clone()),
        ("a dotted header", format!("[{}a]\n", "a.".repeat(deep))),
        (
            "a dotted key in a table",
            format!("a = {{ {} }}\n", long_key.trim()),
        ),
        (
            "parentheses in a template",
            format!("a = \"{{{{ {}1 }}}}\"\n", "(".repeat(deep)),
        ),
        ("a long name", format!("{} = 1\n", "a".repeat(deep))),
        ("a long line of an unknown tongue", "(".repeat(1 << 20)),
        ("thousands of mistakes", "x = 1\n= 2\n".repeat(5_000)),
        ("thousands of unknown keys", many.clone()),
    ] {
        for own in [false, true] {
            let mut machine = shipped("");
            if own {
                machine.own("absurd", &text);
            } else {
                machine.site(&text);
            }
            let began = std::time::Instant::now();
            let said = machine.errors();
            assert!(
                said.contains(": error: "),
                "{what}: {}",
                &said[..said.len().min(500)]
            );
            let took = began.elapsed();
            assert!(took.as_secs() < 20, "{what} took {took:?}");
        }
    }
}
