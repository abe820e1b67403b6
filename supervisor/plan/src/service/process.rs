//! Attributes that a process gets before exec.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    model::{IoClass, IoPriority, Stdin},
    read::{document::Kind, fields::Fields},
    service::{
        described::mode,
        key::{Key, compare},
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
    Key {
        name: "working_dir",
        doc: "default `/`",
        read: |reader, fields, service| {
            let dir = reader.path_key(fields, "working_dir", false);
            service.working_dir = dir.unwrap_or_else(|| PathBuf::from("/"));
        },
        describe: |service, out| out.put("working_dir", &service.working_dir),
        compare: compare!(working_dir, Restart),
        ..Key::IDLE
    },
    Key {
        name: "nice",
        doc: "-20 to 19",
        read: |reader, fields, service| {
            let found = reader.int_key(fields, "nice", -20..=19);
            service.nice = found.and_then(|n| i32::try_from(n).ok());
        },
        describe: |service, out| out.opt("nice", service.nice),
        compare: compare!(nice, Restart),
        ..Key::IDLE
    },
    Key {
        name: "oom_score_adj",
        doc: "-1000 to 1000: the higher, the sooner the kernel kills it for want of memory",
        read: |reader, fields, service| {
            let found = reader.int_key(fields, "oom_score_adj", -1000..=1000);
            service.oom_score_adj = found.and_then(|n| i32::try_from(n).ok());
        },
        describe: |service, out| out.opt("oom_score_adj", service.oom_score_adj),
        compare: compare!(oom_score_adj, Restart),
        ..Key::IDLE
    },
    Key {
        name: "io_priority",
        doc: "`\"idle\"`, `\"best-effort:7\"`, `\"realtime:0\"` or `{ class, level }`",
        read: |reader, fields, service| {
            service.io_priority = io_priority(reader, fields);
        },
        describe: |service, out| out.opt("io_priority", service.io_priority),
        compare: compare!(io_priority, Restart),
        ..Key::IDLE
    },
    Key {
        name: "cpu_affinity",
        doc: "CPUs that it may run on: `[0, \"2-3\"]`",
        read: |reader, fields, service| {
            service.cpu_affinity = cpu_affinity(reader, fields);
        },
        describe: |service, out| out.opt("cpu_affinity", service.cpu_affinity.as_ref()),
        compare: compare!(cpu_affinity, Restart),
        ..Key::IDLE
    },
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
    Key {
        name: "no_new_privs",
        doc: "no gain of privileges by exec",
        read: |reader, fields, service| {
            service.no_new_privs = reader.bool_key(fields, "no_new_privs").unwrap_or(false);
        },
        describe: |service, out| out.when("no_new_privs", service.no_new_privs),
        compare: compare!(no_new_privs, Restart),
        ..Key::IDLE
    },
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
pub(crate) fn io_priority(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
) -> Option<IoPriority> {
    const KEY: &str = "io_priority";
    let node = fields.node(KEY)?;
    if let Some(table) = node.table() {
        let mut inner = Fields::new(table, node.at.clone(), KEY);
        let class = reader.word_key(&mut inner, "class", CLASSES);
        let level = reader.int_key(&mut inner, "level", 0..=7);
        if inner.entry("class").is_none() {
            reader.report().error(&node.at, KEY, "needs a class");
        }
        reader.finish(inner);
        let level = level.and_then(|level| u8::try_from(level).ok());
        return Some(IoPriority {
            class: class?,
            level: level.unwrap_or(IO_LEVEL),
        });
    }
    let text = reader.text(node, KEY)?;
    let (class, level) = match text.split_once(':') {
        Some((class, level)) => (class, level.trim().parse().ok().filter(|n| *n <= 7)),
        None => (text.as_str(), Some(IO_LEVEL)),
    };
    let found = CLASSES.iter().find(|(word, _)| *word == class.trim());
    let Some(((_, class), level)) = found.zip(level) else {
        let words = CLASSES.iter().map(|(word, _)| *word);
        let message = format!("`{text}` is not a class with a level from 0 (first) to 7 (last)");
        let near =
            crate::report::suggest::did_you_mean(class.trim(), words).filter(|_| found.is_none());
        reader.report().error(&node.at, KEY, message).hint(
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
pub(crate) fn cpu_affinity(
    reader: &mut Reader<'_, '_>,
    fields: &mut Fields<'_>,
) -> Option<Vec<u32>> {
    const KEY: &str = "cpu_affinity";
    let node = fields.node(KEY)?;
    let parts: Vec<String> = match &node.kind {
        Kind::Int(int) => vec![int.to_string()],
        Kind::Text(_) => {
            let text = reader.text(node, KEY)?;
            text.split(',').map(|part| part.trim().to_owned()).collect()
        }
        _ => reader.list(node, KEY)?,
    };
    let mut cpus = BTreeSet::new();
    for part in &parts {
        let Some((first, last)) = range(part) else {
            let message = format!(
                "`{part}` is not the number of a CPU, from 0 to {}, nor a range such as \"2-3\"",
                MAX_CPUS - 1
            );
            reader.report().error(&node.at, KEY, message);
            return None;
        };
        cpus.extend(first..=last);
    }
    if cpus.is_empty() {
        reader
            .report()
            .error(&node.at, KEY, "must name at least one CPU")
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
pub(crate) fn stdin(reader: &mut Reader<'_, '_>, fields: &mut Fields<'_>) -> Stdin {
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
