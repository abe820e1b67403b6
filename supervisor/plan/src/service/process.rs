//! Attributes that a process gets before exec.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    model::{IoClass, IoPriority, Stdin},
    read::{document::Kind, fields::Fields},
    report::suggest::did_you_mean,
    service::{
        described::mode,
        key::{Key, compare, field, flag},
        reader::Reader,
    },
};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "umask",
        doc: "default `\"0022\"`",
        read: |reader, fields, service| {
            service.umask = reader.mode_key(fields, "umask").unwrap_or(0o022) & 0o777;
        },
        describe: |service, out| out.put("umask", mode(service.umask)),
        compare: compare!(umask, Restart),
        ..Key::IDLE
    },
    field!(
        working_dir,
        Restart,
        "default `/`",
        |reader, fields, key| {
            let dir = reader.path_key(fields, key, false);
            dir.unwrap_or_else(|| PathBuf::from("/"))
        }
    ),
    field!(nice, Restart, "-20 to 19", |reader, fields, key| reader
        .int_key(fields, key, -20..=19)),
    field!(
        oom_score_adj,
        Restart,
        "-1000 to 1000: the higher, the sooner the kernel kills it for want of memory",
        |reader, fields, key| reader.int_key(fields, key, -1000..=1000)
    ),
    field!(
        io_priority,
        Restart,
        "`\"idle\"`, `\"best-effort:7\"`, `\"realtime:0\"` or `{ class, level }`",
        io_priority
    ),
    field!(
        cpu_affinity,
        Restart,
        "CPUs that it may run on: `[0, \"2-3\"]`",
        cpu_affinity
    ),
    Key {
        name: "stdin",
        doc: "`\"null\"` (default) or the path of a file, FIFO or device",
        read: |reader, fields, service| {
            service.stdin = stdin(reader, fields);
        },
        describe: |service, out| {
            if let Stdin::File(path) = &service.stdin {
                out.put("stdin", path);
            }
        },
        compare: compare!(stdin, Restart),
        ..Key::IDLE
    },
    flag!(no_new_privs, Restart, "no gain of privileges by exec"),
];

const CLASSES: &[(&str, IoClass)] = &[
    ("realtime", IoClass::Realtime),
    ("best-effort", IoClass::BestEffort),
    ("idle", IoClass::Idle),
];
/// The kernel's default level.
const IO_LEVEL: u8 = 4;
/// CPUs are numbered from 0 to one less than this.
const MAX_CPUS: u32 = 1024;

/// `"idle"`, `"best-effort:4"` or `{ class = …, level = … }`.
fn io_priority(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<IoPriority> {
    let node = fields.node(key)?;
    if let Some(table) = node.table() {
        let mut inner = Fields::new(table, node.at.clone(), key);
        let class = reader.word_key(&mut inner, "class", CLASSES);
        let level = reader.int_key(&mut inner, "level", 0..=7);
        if inner.entry("class").is_none() {
            reader.report().error(&node.at, key, "needs a class");
        }
        reader.finish(inner);
        return Some(IoPriority {
            class: class?,
            level: level.unwrap_or(IO_LEVEL),
        });
    }
    let text = reader.text(node, key)?;
    let (class, level) = match text.split_once(':') {
        Some((class, level)) => (class, level.trim().parse().ok().filter(|n| *n <= 7)),
        None => (text.as_str(), Some(IO_LEVEL)),
    };
    let found = CLASSES.iter().find(|(word, _)| *word == class.trim());
    let Some(((_, class), level)) = found.zip(level) else {
        let words = CLASSES.iter().map(|(word, _)| *word);
        let message = format!("`{text}` is not a class with a level from 0 (first) to 7 (last)");
        let near = did_you_mean(class.trim(), words).filter(|_| found.is_none());
        reader.report().error(&node.at, key, message).hint(
            near.unwrap_or_else(|| {
                "write \"idle\", \"best-effort:4\" or \"realtime:0\"".to_owned()
            }),
        );
        return None;
    };
    Some(IoPriority {
        class: *class,
        level,
    })
}

/// `[0, "2-3"]`, or one string such as `"0,2-3"`.
fn cpu_affinity(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Option<Vec<u32>> {
    let node = fields.node(key)?;
    let parts: Vec<String> = match &node.kind {
        Kind::Int(int) => vec![int.to_string()],
        Kind::Text(_) => {
            let text = reader.text(node, key)?;
            text.split(',').map(|part| part.trim().to_owned()).collect()
        }
        _ => reader.list(node, key)?,
    };
    let mut cpus = BTreeSet::new();
    for part in &parts {
        let Some((first, last)) = range(part) else {
            let message = format!(
                "`{part}` is not the number of a CPU, from 0 to {}, nor a range such as \"2-3\"",
                MAX_CPUS - 1
            );
            reader.report().error(&node.at, key, message);
            return None;
        };
        cpus.extend(first..=last);
    }
    if cpus.is_empty() {
        reader
            .report()
            .error(&node.at, key, "must name at least one CPU")
            .hint("leave the key out to allow all");
        return None;
    }
    Some(cpus.into_iter().collect())
}

fn range(part: &str) -> Option<(u32, u32)> {
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|n| *n < MAX_CPUS);
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// `"null"` or a path.
fn stdin(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Stdin {
    const KEY: &str = "stdin";
    let Some(text) = reader.text_key(fields, KEY) else {
        return Stdin::Null;
    };
    if text == "null" {
        return Stdin::Null;
    }
    if !text.starts_with('/')
        && let Some(node) = fields.node(KEY)
    {
        let message = format!("must be \"null\" or an absolute path, not `{text}`");
        reader.report().error(&node.at, KEY, message);
        return Stdin::Null;
    }
    Stdin::File(PathBuf::from(text))
}
