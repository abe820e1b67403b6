//! The context of a command: the supervisor's client, the output and the global options, from the
//! command line and the environment.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Client, Error, Format, Global, Output};

/// The context that every command gets.
pub struct Context {
    /// Client of the supervisor.
    pub client: Client,
    /// How to print.
    pub format: Format,
    /// Whether to wait for the end of a change.
    pub wait: bool,
    /// Longest wait for a change; absent: no limit.
    pub timeout: Option<Duration>,
    /// `--root`.
    pub root: PathBuf,
    /// `--catalog`.
    pub catalog: Option<PathBuf>,
    /// Borrowed for single calls only, never across an await: a second borrow would panic.
    pub output: RefCell<Output>,
}

impl Context {
    /// Builds the context from options and environment. From now on the directories above the root
    /// and the catalogue are trusted, because the administrator chose them.
    pub fn new(global: Global, output: Output) -> Self {
        let root = root(global.root);
        let catalog = global
            .catalog
            .or_else(|| environment("MATTERVISOR_CATALOG"));
        let named = [Some(&root), catalog.as_ref()];
        for named in named.into_iter().flatten() {
            if let Ok(named) = std::path::absolute(named) {
                safe_path::trust_root(&named);
            }
        }
        Self {
            client: client(&root, global.socket),
            format: global.format,
            wait: !global.no_wait,
            timeout: global.timeout,
            root,
            catalog,
            output: RefCell::new(output),
        }
    }

    /// Writes styled text to stdout.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        self.output.borrow_mut().text(text)
    }

    /// Prints a note: to stdout in the table format, else to stderr, so that stdout stays parsable.
    pub fn note(&self, line: &str) {
        let mut output = self.output.borrow_mut();
        if self.format == Format::Table {
            // A closed stdout is no reason to fail: the change goes on.
            let _ = output.text(&format!("{line}\n"));
        } else {
            output.note(line);
        }
    }

    /// Whether stdout is a terminal.
    pub fn terminal(&self) -> bool {
        self.output.borrow().terminal
    }
}

/// The prefix of all paths.
fn root(asked: Option<PathBuf>) -> PathBuf {
    asked
        .or_else(|| environment("MATTERVISOR_ROOT"))
        .unwrap_or_else(|| PathBuf::from("/"))
}

/// A client for the named socket, or for the socket of a root. A supervisor under a root has two
/// locks.
fn client(root: &Path, named: Option<PathBuf>) -> Client {
    let of_root = named.is_none();
    let mut client = Client::new(socket(Some(root.to_owned()), named));
    if of_root {
        client.locks.push(root.join("var/lib/mattervisor/lock"));
    }
    client
}

/// The control socket by `--root` and `--socket`.
pub fn socket(root_asked: Option<PathBuf>, asked: Option<PathBuf>) -> PathBuf {
    asked.unwrap_or_else(|| root(root_asked).join("run/mattervisor/ctl.sock"))
}

/// A path from an environment variable. An empty variable counts as unset.
fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}
