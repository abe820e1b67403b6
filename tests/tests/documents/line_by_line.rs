//! docs/line-by-line.md: each command and each key of ours exists, and no key of Mattermost's is
//! missing.
//!
//! The reference of keys is made from the catalogue, so a key that is in it exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use mattervisor_tests::{binary, run};

use super::{markdown_in, top};

/// Keys of Mattermost that no `gitlab.rb` had.
const OURS: &[&str] = &[
    "mattermost.install_dir",
    "mattermost.sql_user",
    "mattermost.service_enable_local_mode",
    "mattermost.service_local_mode_socket_location",
    "mattermost.email_enable_sign_up_with_email",
    "mattermost.allow_older_version",
    "mattermost.version",
    "mattermost.own_data_source",
    "mattermost.gitlab_url",
    "mattermost.gitlab_here",
];

/// The rows of all tables: what stands in code quotes, cell by cell.
fn rows() -> Vec<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(top().join("docs/line-by-line.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let rows = rows.filter(|row| !row.starts_with("---"));
    rows.map(|row| {
        let row = row.replace("\\|", "");
        row.split('|').map(quoted).collect()
    })
    .collect()
}

fn quoted(cell: &str) -> Vec<String> {
    let odd = cell.split('`').skip(1).step_by(2);
    odd.map(str::to_owned).collect()
}

/// What stands in code quotes in our cells.
fn ours() -> Vec<String> {
    let cells = rows().into_iter().flat_map(|row| row.into_iter().skip(1));
    cells.flatten().collect()
}

/// Keys of the reference.
fn keys() -> BTreeSet<String> {
    let pages = markdown_in(&top().join("docs/reference"));
    let texts = pages
        .iter()
        .map(|page| std::fs::read_to_string(page).unwrap());
    let mut keys = BTreeSet::new();
    for text in texts {
        let cells = text.lines().filter_map(|line| line.strip_prefix("| "));
        keys.extend(cells.flat_map(|line| quoted(line.split(" | ").next().unwrap())));
    }
    // nginx's settings go by two names, and each service has these two keys.
    let nginx: Vec<String> = keys
        .iter()
        .filter_map(|key| Some(format!("mattermost_nginx.{}", key.strip_prefix("nginx.")?)))
        .collect();
    let services: BTreeSet<String> = keys
        .iter()
        .filter_map(|key| Some(key.split_once('.')?.0.to_owned()))
        .chain(["mattermost_nginx".to_owned(), "gitlab_rails".to_owned()])
        .collect();
    let common = services
        .iter()
        .flat_map(|service| ["enable", "env"].map(|key| format!("{service}.{key}")));
    keys.extend(nginx.into_iter().chain(common));
    keys
}

/// `mattermost.uid` and the like; no file, command or pattern.
fn is_key(text: &str) -> bool {
    let plain = |it: &str| {
        !it.is_empty()
            && it
                .chars()
                .all(|it| it.is_ascii_lowercase() || "_0123456789".contains(it))
    };
    text == "roles"
        || text == "mattermost_external_url"
        || text.split_once('.').is_some_and(|(service, key)| {
            plain(service) && plain(key) && !["service", "rb"].contains(&key)
        })
}

#[test]
fn every_key_of_ours_exists() {
    let known = keys();
    let named: Vec<String> = ours().into_iter().filter(|it| is_key(it)).collect();
    assert!(named.len() > 50, "{named:?}");
    let missing: Vec<&String> = named.iter().filter(|it| !known.contains(*it)).collect();
    assert!(missing.is_empty(), "no such keys: {missing:?}");
}

/// `mattermost['uid']` stands beside `mattermost.uid`.
#[test]
fn the_keys_of_a_row_are_alike() {
    for row in rows() {
        // The one key that moved.
        if row[0].contains(&"postgresql['sql_mattermost_user']".to_owned()) {
            continue;
        }
        for theirs in &row[0] {
            let Some((service, rest)) = theirs.split_once("['") else {
                continue;
            };
            let Some((key, _)) = rest.split_once("']") else {
                continue;
            };
            let same = format!("{service}.{key}");
            let ours = row[1].iter().filter(|it| is_key(it));
            for key in ours {
                assert_eq!(*key, same, "beside {theirs}");
            }
        }
    }
}

#[test]
fn no_key_of_mattermost_is_missing() {
    let mut told: BTreeMap<String, bool> = keys()
        .into_iter()
        .filter(|key| key.starts_with("mattermost.") && !OURS.contains(&key.as_str()))
        // One row for all of them.
        .filter(|key| !key.starts_with("mattermost.logrotate_"))
        .map(|key| (key, false))
        .collect();
    for theirs in rows().into_iter().filter_map(|row| row.into_iter().next()) {
        for text in theirs {
            let key = text
                .split_once("['")
                .and_then(|(_, rest)| rest.split_once("']"));
            if let Some((key, _)) = key {
                told.entry(format!("mattermost.{key}"))
                    .and_modify(|it| *it = true);
            }
        }
    }
    let missing: Vec<&String> = told
        .iter()
        .filter(|(_, told)| !**told)
        .map(|it| it.0)
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

#[test]
fn every_command_of_ours_exists() {
    let catalogue = std::fs::read_dir(top().join("services.d")).unwrap();
    let files = catalogue.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "toml"));
    let catalogue: String = files
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut count = 0;
    for command in ours() {
        let Some(words) = command.strip_prefix("ctl ") else {
            continue;
        };
        count += 1;
        let words: Vec<&str> = words.split(' ').collect();
        if catalogue.contains(&format!("[tools.{}]", words[0])) {
            continue;
        }
        let mut ctl = Command::new(binary("ctl"));
        ctl.args(&words);
        if words[0] != "help" {
            ctl.arg("--help");
        }
        let said = run(&mut ctl);
        assert_eq!(said.code, 0, "{command}: {}", said.both());
        assert!(said.stdout.contains("Usage:"), "{command}: {}", said.both());
    }
    assert!(count > 40, "{count} commands");
}
