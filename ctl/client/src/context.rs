//! The context of a command, from the global options and the environment.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Client, Error, Format, Global, Output};

/// The supervisor's client, the output and the options of every command.
pub struct Context {
    /// The supervisor.
    pub client: Client,
    /// How to print.
    pub format: Format,
    /// Wait for the end of a change.
    pub wait: bool,
    /// For how long at most.
    pub timeout: Option<Duration>,
    /// `--root`.
    pub root: PathBuf,
    /// `--catalog`.
    pub catalog: Option<PathBuf>,
    /// Borrowed for single calls only, never across an await.
    pub output: RefCell<Output>,
}

impl Context {
    /// Builds the context from options and environment. The directories above the root and the catalogue are
    /// trusted from now on: they are the administrator's business.
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

    /// Says something on the way: among the results for people, else beside them.
    pub fn note(&self, line: &str) {
        let mut output = self.output.borrow_mut();
        if self.format == Format::Table {
            // Whoever closed stdout does not want to know; the change goes on.
            let _ = output.text(&format!("{line}\n"));
        } else {
            output.note(line);
        }
    }

    /// A person reads stdout.
    pub fn terminal(&self) -> bool {
        self.output.borrow().terminal
    }
}

/// The directory that stands before all others.
fn root(asked: Option<PathBuf>) -> PathBuf {
    asked
        .or_else(|| environment("MATTERVISOR_ROOT"))
        .unwrap_or_else(|| PathBuf::from("/"))
}

/// A client for the socket that is named, or for that of a root, where the supervisor has two locks.
fn client(root: &Path, named: Option<PathBuf>) -> Client {
    let of_root = named.is_none();
    let mut client = Client::new(socket(Some(root.to_owned()), named));
    if of_root {
        client.locks.push(root.join("var/lib/mattervisor/lock"));
    }
    client
}

/// The control socket that is meant by `--root` and `--socket`.
pub fn socket(root_asked: Option<PathBuf>, asked: Option<PathBuf>) -> PathBuf {
    asked.unwrap_or_else(|| root(root_asked).join("run/mattervisor/ctl.sock"))
}

/// An empty variable is as good as none.
fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}
