//! Reading a table key by key. A key that the reader has asked for is known; any other is reported.

use crate::{
    read::{
        document::{Entry, Node, Table},
        typed::{Type, Typed},
    },
    report::{place::Place, problem::Report, suggest::did_you_mean},
};

/// A table that is being read.
#[derive(Debug)]
pub(crate) struct Fields<'t> {
    table: &'t Table,
    /// The place of the table: what is missing is reported there.
    pub(crate) at: Place,
    /// Dotted name of the table with the dot; empty at top level.
    prefix: String,
    known: Vec<&'static str>,
}

impl<'t> Fields<'t> {
    pub(crate) fn new(table: &'t Table, at: Place, name: &str) -> Self {
        let prefix = if name.is_empty() {
            String::new()
        } else {
            format!("{name}.")
        };
        Self {
            table,
            at,
            prefix,
            known: Vec::new(),
        }
    }

    /// The full name of a key.
    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn entry(&mut self, key: &'static str) -> Option<&'t Entry> {
        self.known.push(key);
        self.table.get(key)
    }

    pub(crate) fn node(&mut self, key: &'static str) -> Option<&'t Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// A table below this one. `false` in a file above switches it off.
    pub(crate) fn table(&mut self, key: &'static str, report: &mut Report) -> Option<Fields<'t>> {
        let entry = self.entry(key)?;
        if matches!(entry.node.kind, crate::read::document::Kind::Bool(false)) {
            return None;
        }
        if let Some(table) = entry.node.table() {
            return Some(Fields::new(table, entry.key_at.clone(), &self.key(key)));
        }
        let what = entry.node.what();
        report.error(
            &entry.node.at,
            self.key(key),
            format!("must be a table, not {what}"),
        );
        None
    }

    /// Reports the keys that were never asked for. `top`: keys that are right at top level.
    pub(crate) fn finish(self, top: &[&str], report: &mut Report) {
        #[cfg(test)]
        asked::note(self.prefix.trim_end_matches('.'), &self.known);
        for (key, entry) in self.table {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let problem = report.error(&entry.key_at, self.key(key), "unknown key");
            problem.hint_some(if !self.prefix.is_empty() && top.contains(&key.as_str()) {
                Some(misplaced(key, self.prefix.trim_end_matches('.')))
            } else {
                did_you_mean(key, self.known.iter().copied())
                    .or_else(|| of_systemd(key, &self.prefix))
            });
        }
    }
}

/// The hint for a key of systemd's unit files.
fn of_systemd(key: &str, prefix: &str) -> Option<String> {
    let ours = match key {
        "ExecStart" => "command = [\"PROGRAM\", \"ARGUMENT\"]",
        "ExecReload" => "[reload] with signal or command",
        "WorkingDirectory" => "working_dir",
        "Environment" => "[env]",
        "EnvironmentFile" => "env_files",
        "Unit" | "Service" | "Install" if prefix.is_empty() => {
            "keys at the top, without that header"
        }
        _ => return None,
    };
    Some(format!("this is a word of systemd: write {ours}"))
}

/// The hint for a top-level key that slipped under a header.
pub(crate) fn misplaced(key: &str, header: &str) -> String {
    format!(
        "`{key}` is a top-level key, but here it belongs to [{header}]: move it above the first [header]"
    )
}

pub(crate) fn table_of<'e>(entry: &'e Entry, key: &str, report: &mut Report) -> Option<&'e Table> {
    let table = entry.node.table();
    if table.is_none() {
        report.error(
            &entry.node.at,
            key,
            format!("must be a table, not {}", entry.node.what()),
        );
    }
    table
}

pub(crate) fn bool_of(node: &Node, key: &str, report: &mut Report) -> Option<bool> {
    match Typed::from_node(Type::Bool, node) {
        Ok(Typed::Bool(value)) => Some(value),
        Ok(_) => None,
        Err(why) => {
            report.error(&node.at, key, why);
            None
        }
    }
}

/// Which keys were asked for in each table, so that a test can compare them with the reference.
#[cfg(test)]
pub(crate) mod asked {
    use std::{
        cell::RefCell,
        collections::{BTreeMap, BTreeSet},
    };

    type Asked = BTreeMap<String, BTreeSet<&'static str>>;

    thread_local! {
        static ASKED: RefCell<Asked> = const { RefCell::new(Asked::new()) };
    }

    pub(super) fn note(table: &str, keys: &[&'static str]) {
        ASKED.with_borrow_mut(|asked| asked.entry(table.to_owned()).or_default().extend(keys));
    }

    /// Keys that this thread has asked for, by dotted name of the table.
    pub(crate) fn take() -> Asked {
        ASKED.take()
    }
}
