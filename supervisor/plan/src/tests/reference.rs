//! Generates docs/reference from the service files and compares the files there, because a setting
//! is documented once, where it is declared.
//! `UPDATE_REFERENCE=1 cargo nextest run -p plan reference` rewrites the files.

mod keys;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use self::words::{code, value};
use super::Machine;
use crate::{
    RealHost,
    read::{
        document::{self, Document, Entry, Kind, Table},
        fields,
    },
    report::problem::Report,
    site::daemon::RESERVED,
};

/// Environment variable that makes the test rewrite the files.
const UPDATE: &str = "UPDATE_REFERENCE";
const GENERATED: &str = "<!-- Made from the service files; change those, and run: UPDATE_REFERENCE=1 cargo nextest run -p plan reference -->\n";

/// The shipped service files by name, and `catalog`.
struct Catalogue {
    services: BTreeMap<String, Document>,
    catalog: Document,
}

fn top(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(below)
}

fn catalogue() -> Catalogue {
    let mut services = BTreeMap::new();
    for entry in fs::read_dir(top("services.d")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let document = document::read(&RealHost, &path, &mut Report::default()).unwrap();
        assert!(!document.unreadable, "{}", path.display());
        services.insert(name, document);
    }
    let catalog = services.remove("catalog").unwrap();
    Catalogue { services, catalog }
}

/// The entries of a table in the order of the file.
fn in_order(table: &Table) -> Vec<(&str, &Entry)> {
    let mut lines: Vec<(&str, &Entry)> = table.iter().map(|(k, e)| (k.as_str(), e)).collect();
    lines.sort_by_key(|(_, entry)| entry.key_at.position());
    lines
}

fn inside<'d>(table: &'d Table, key: &str) -> Option<&'d Table> {
    table.get(key)?.node.table()
}

fn text<'d>(table: &'d Table, key: &str) -> &'d str {
    table
        .get(key)
        .and_then(|entry| entry.node.text())
        .unwrap_or_default()
}

/// Writes the settings of a table as a list, and the obsolete ones as a second list.
fn settings(out: &mut String, prefix: &str, table: &Table) {
    let (idle, live): (Vec<_>, Vec<_>) = in_order(table).into_iter().partition(|(_, entry)| {
        let inner = entry.node.table();
        inner.is_some_and(|inner| inner.contains_key("obsolete"))
    });
    if !live.is_empty() {
        out.push_str("| key | type | default | what it is |\n| --- | --- | --- | --- |\n");
    }
    for (key, entry) in live {
        let inner = entry.node.table().unwrap();
        let ty = Some(text(inner, "type")).filter(|it| !it.is_empty());
        let _ = writeln!(
            out,
            "| `{prefix}{key}` | {} | {} | {} |",
            ty.unwrap_or("string"),
            default(inner),
            what(inner)
        );
    }
    if !idle.is_empty() {
        out.push_str("\nThese keys of `gitlab.rb` may stay, and do nothing:\n\n");
        out.push_str("| key | because, or instead |\n| --- | --- |\n");
    }
    for (key, entry) in idle {
        let why = text(entry.node.table().unwrap(), "obsolete");
        let _ = writeln!(out, "| `{prefix}{key}` | {} |", words::cell(why));
    }
}

/// The source of a value that nobody sets.
fn default(inner: &Table) -> String {
    let mut ways = Vec::new();
    if let Some(spec) = inner.get("generate").and_then(|it| it.node.text()) {
        let bytes = spec.split(':').nth(1).unwrap_or_default();
        ways.push(format!("made: {bytes} random bytes"));
    }
    if let Some(path) = inner.get("read").and_then(|it| it.node.text()) {
        let line = if inner.contains_key("read_after") {
            "read from"
        } else {
            "first line of"
        };
        ways.push(format!("{line} {}", code(path)));
    }
    if let Some(find) = inner.get("find") {
        ways.push(format!("found: {}", value(&find.node).replace('"', "")));
    }
    if let Some(default) = inner.get("default") {
        ways.push(value(&default.node));
    }
    if ways.is_empty() {
        return "unset".to_owned();
    }
    ways.join(", else ")
}

fn what(inner: &Table) -> String {
    let doc = text(inner, "doc");
    assert!(!doc.is_empty(), "a setting has no doc: {inner:?}");
    let mut out = words::cell(doc);
    if let Some(values) = inner.get("values") {
        let _ = write!(out, ". One of {}", value(&values.node).replace('"', ""));
    }
    if let Some(env) = inner.get("env").and_then(|it| it.node.text()) {
        let _ = write!(out, ". Variable `{env}`");
    }
    if inner.contains_key("secret") {
        out.push_str(". Secret");
    }
    out
}

/// The page of a service with settings.
fn page(name: &str, document: &Document, catalog: &Table) -> Option<String> {
    let table = inside(&document.table, "settings");
    let sections = inside(&document.table, "sections");
    if table.is_none() && sections.is_none() {
        return None;
    }
    let mut out = format!("{GENERATED}# {name}\n\n");
    let _ = writeln!(
        out,
        "{}.\n",
        words::sentence(text(&document.table, "description"))
    );
    let plain = name.replace('-', "_");
    for (section, entry) in inside(catalog, "sections").into_iter().flat_map(in_order) {
        if entry.node.text() == Some(name) {
            let _ = writeln!(
                out,
                "Each `{plain}.KEY` can be written as `{section}.KEY` too.\n"
            );
        }
    }
    if let Some(table) = table {
        settings(&mut out, &format!("{plain}."), table);
    }
    for (section, entry) in sections.into_iter().flat_map(in_order) {
        let _ = writeln!(out, "\n## {section}\n");
        settings(
            &mut out,
            &format!("{section}."),
            entry.node.table().unwrap(),
        );
    }
    Some(out)
}

fn list(node: &document::Node) -> String {
    let names = value(node).replace('"', "");
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names
    }
}

/// The page about everything that belongs to no single service.
fn index(all: &Catalogue, pages: &BTreeSet<String>) -> String {
    let catalog = &all.catalog.table;
    let mut out = format!("{GENERATED}# Reference\n\n{}", keys::SITE);
    settings(&mut out, "", inside(catalog, "settings").unwrap());
    out.push_str(
        "\n## Services\n\nWhat a [service file](service-file.md) may say is a page of its own.\n\n",
    );
    out.push_str("| service | what it is | runs |\n| --- | --- | --- |\n");
    for (name, document) in &all.services {
        let shown = if pages.contains(name) {
            format!("[{name}]({name}.md)")
        } else {
            name.clone()
        };
        let enable = document.table.get("enable");
        let enable = enable.map_or("`true`".to_owned(), |it| value(&it.node));
        let what = words::cell(text(&document.table, "description"));
        let _ = writeln!(out, "| {shown} | {what} | {enable} |");
    }
    out.push_str("\n`SERVICE.enable` says otherwise.\n");
    unavailable(&mut out, catalog);
    out.push_str("\n## Sections\n");
    for (section, entry) in inside(catalog, "sections").into_iter().flat_map(in_order) {
        if let Some(table) = entry.node.table() {
            let _ = writeln!(out, "\n### {section}\n");
            settings(&mut out, &format!("{section}."), table);
        } else {
            let service = entry.node.text().unwrap_or_default();
            let _ = writeln!(out, "\n`{section}` is [{service}]({service}.md).");
        }
    }
    groups_and_roles(&mut out, catalog);
    out
}

fn unavailable(out: &mut String, catalog: &Table) {
    out.push_str("\n## What cannot run here\n\n");
    out.push_str("Settings of these may stay in a site file, and so may `enable = false`: nothing comes of them. `enable = true` is an error.\n\n");
    out.push_str("| names | why |\n| --- | --- |\n");
    let Kind::List(entries) = &catalog["unavailable"].node.kind else {
        panic!("[[unavailable]] is no list");
    };
    for entry in entries {
        let table = entry.table().unwrap();
        let (names, reason) = (list(&table["names"].node), text(table, "reason"));
        let _ = writeln!(out, "| {names} | {} |", words::cell(reason));
    }
}

fn groups_and_roles(out: &mut String, catalog: &Table) {
    out.push_str("\n## Groups\n\n`GROUP.enable = false` turns off all of a group that are not enabled by their own names.\n");
    for (group, entry) in inside(catalog, "groups").into_iter().flat_map(in_order) {
        let Some(table) = entry.node.table() else {
            let _ = writeln!(out, "\n### {group}\n\n{}", list(&entry.node));
            continue;
        };
        let services = table.get("services").map(|it| list(&it.node));
        let _ = writeln!(out, "\n### {group}\n\n{}", services.unwrap_or_default());
        if let Some(declared) = inside(table, "settings") {
            out.push('\n');
            settings(out, &format!("{group}."), declared);
        }
    }
    out.push_str("\n## Roles\n\n`roles = [\"NAME\"]` is a preset. A service's own `enable` wins over its group, a group over a role, a role over the service file.\n");
    for (role, entry) in inside(catalog, "roles").into_iter().flat_map(in_order) {
        let table = entry.node.table().unwrap();
        let _ = writeln!(
            out,
            "\n### {role}\n\n{}.\n",
            words::sentence(text(table, "doc"))
        );
        for (key, word) in [("enable", "On"), ("disable", "Off")] {
            if let Some(entry) = table.get(key) {
                let _ = writeln!(out, "- {word}: {}", list(&entry.node));
            }
        }
    }
}

/// File name and content of every page.
fn pages() -> BTreeMap<String, String> {
    let all = catalogue();
    let services = all.services.iter();
    let mut out: BTreeMap<String, String> = services
        .filter_map(|(name, document)| {
            Some((name.clone(), page(name, document, &all.catalog.table)?))
        })
        .collect();
    let names = out.keys().cloned().collect();
    out.insert("README".to_owned(), index(&all, &names));
    out.insert(
        "service-file".to_owned(),
        format!("{GENERATED}{}", keys::page()),
    );
    out
}

#[test]
fn the_reference_is_what_the_service_files_say() {
    let dir = top("docs/reference");
    let pages = pages();
    if std::env::var_os(UPDATE).is_some() {
        fs::create_dir_all(&dir).unwrap();
        for entry in fs::read_dir(&dir).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, content) in &pages {
            fs::write(dir.join(format!("{name}.md")), content).unwrap();
        }
    }
    let there = fs::read_dir(&dir).unwrap();
    let there: BTreeMap<String, String> = there
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    let names = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&there), names(&pages), "set {UPDATE}=1 to write them");
    for (name, content) in &pages {
        let same = there[name] == *content;
        assert!(
            same,
            "docs/reference/{name}.md is out of date: set {UPDATE}=1 to write it"
        );
    }
}

#[test]
fn every_key_of_a_service_file_and_of_the_site_file_is_explained() {
    let mut names = crate::service::keys::names();
    let blank = crate::service::keys::all().find(|key| key.doc.is_empty());
    assert!(blank.is_none(), "{}", blank.unwrap().name);
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a key is there twice");
    for name in RESERVED {
        assert!(keys::SITE.contains(&format!("`{name}")), "{name}");
    }
}

/// A service file with every table that has keys of its own.
const EVERY_TABLE: &str = "command = ['/a']
schedule = { at = '03:00' }
settings.x = {}
ready.notify = true
liveness.tcp = 'a:1'
health.tcp = 'a:1'
watchdog.timeout = '1s'
restart.policy = 'never'
stop.timeout = '1s'
reload = { signal = 'HUP', confirm = { exec = ['/a'] } }
log.keep = 1
variables.public = ['A']
tools.x = { command = ['/a'], asserts = [{ that = true, message = 'm' }] }
asserts = [{ that = true, message = 'm' }]
directories = [{ path = '/d' }]
files = [{ path = '/f', content = 'c' }]
credentials = [{ source = '', path = '/c' }]
certificates = [{ certificate = '', key = '' }]
status_files = [{ path = '/s', template = 't.j2' }]
watches = [{ path = '/w' }]
maintenance.http = 'http://a/'
";

#[test]
fn the_keys_of_each_table_are_those_that_are_read() {
    // The reader asks for these keys only to refuse them.
    let refused = BTreeMap::from([
        ("reload.confirm", ["tcp", "unix"]),
        ("maintenance", ["tcp", "exec"]),
    ]);
    let mut machine = Machine::new();
    machine.shipped("app", EVERY_TABLE);
    let _ = machine.load();
    let asked = fields::asked::take();
    let (mut seen, mut wrong) = (0, Vec::new());
    let tables = crate::service::keys::all().flat_map(|key| key.tables);
    for table in tables.filter(|table| !table.keys.is_empty()) {
        for header in table.header.split(", ") {
            let name = header.trim_matches(['[', ']']).replace("NAME", "x");
            let name = if name == "settings" {
                "settings.x"
            } else {
                &name
            };
            let mut read = asked
                .get(name)
                .unwrap_or_else(|| panic!("{header} is not read"))
                .clone();
            for key in refused.get(name).into_iter().flatten() {
                assert!(read.remove(key), "{header} {key}");
            }
            let told = table.keys.iter().flat_map(|(keys, _)| keys.split(", "));
            let told: BTreeSet<&str> = told.collect();
            for key in told.symmetric_difference(&read) {
                wrong.push(format!("{header} {key}"));
            }
            seen += 1;
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen >= 20, "{seen}");
}
