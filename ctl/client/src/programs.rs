//! Commands that are programs of their own beside `ctl`, as with git and cargo: big ones, and those
//! that need TLS, a parser or a terminal library. `ctl` executes such a program in its own place,
//! with its own arguments.
//!
//! [`PROGRAMS`] is the only list of them: by it `ctl` finds the program and shows the command in
//! its help.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, Kind};

/// A command that is a program of its own.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// The word after `ctl`.
    pub command: &'static str,
    /// File name of the program.
    pub file: &'static str,
    /// Its line in the help.
    pub about: &'static str,
}

/// Every program that carries out commands of `ctl`.
pub const PROGRAMS: &[Program] = &[
    Program {
        command: "backup",
        file: "mattervisor-backup",
        about: "Make, list, verify and prune backups of Mattermost",
    },
    Program {
        command: "gitlab",
        file: "mattervisor-gitlab",
        about: "Sign-on with GitLab, and GitLab's nginx in front of Mattermost",
    },
    Program {
        command: "import",
        file: "mattervisor-import",
        about: "Make a site file from the gitlab.rb of GitLab's package; works without a supervisor",
    },
    Program {
        command: "renew-le-certs",
        file: "mattervisor-acme",
        about: "Get or renew the certificate from Let's Encrypt now",
    },
    Program {
        command: "restore",
        file: "mattervisor-backup",
        about: "Restore a backup, or take the last restore back",
    },
    Program {
        command: "top",
        file: "mattervisor-top",
        about: "Watch services live, with their processor time, memory and last log lines",
    },
];

/// Directories of the programs, searched after the directory of `ctl` itself.
const LIBRARY: &str = "/usr/lib/mattervisor";

/// The program that has a command.
pub fn of(command: &str) -> Option<&'static Program> {
    PROGRAMS.iter().find(|it| it.command == command)
}

/// The line of a command in the help.
pub fn about(command: &str) -> &'static str {
    of(command).map_or("", |it| it.about)
}

impl Program {
    /// Replaces this process by the program. Returns only if that failed, with the reason.
    pub fn execute(&self, arguments: &[OsString]) -> Error {
        let places = places();
        let found = places
            .iter()
            .map(|place| place.join(self.file))
            .find(|path| path.is_file());
        let Some(path) = found else {
            return self.missing(&places);
        };
        let mut command = Command::new(&path);
        if let [own, rest @ ..] = arguments {
            command.arg0(own).args(rest);
        }
        self.not_executable(&path, &command.exec())
    }

    fn missing(&self, places: &[PathBuf]) -> Error {
        let Self { command, file, .. } = self;
        let places: Vec<_> = places.iter().map(|it| it.display().to_string()).collect();
        let places = places.join(" or ");
        let message = format!("cannot run `ctl {command}`: there is no {file} in {places}");
        Error::new(Kind::Failed, message).hint(format!(
            "it is of the same package as ctl: install that again (from source: cargo build --workspace makes {file} beside ctl)"
        ))
    }

    fn not_executable(&self, path: &Path, error: &io::Error) -> Error {
        let (command, path) = (self.command, path.display());
        let message = format!("cannot run `ctl {command}`: cannot execute {path}: {error}");
        Error::new(Kind::Failed, message)
            .hint("it is of the same package as ctl: install that again")
    }
}

/// Directories that may have the programs, best first.
fn places() -> Vec<PathBuf> {
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let mut places: Vec<PathBuf> = own.into_iter().collect();
    places.push(PathBuf::from(LIBRARY));
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_where_it_was_looked_for() {
        let program = Program {
            command: "sing",
            file: "mattervisor-that-is-not-there",
            about: "Sings",
        };
        let error = program.execute(&["ctl".into(), "sing".into()]);
        let own = std::env::current_exe().unwrap();
        let own = own.parent().unwrap().display().to_string();
        assert_eq!(
            error.message,
            format!(
                "cannot run `ctl sing`: there is no mattervisor-that-is-not-there in {own} or /usr/lib/mattervisor"
            )
        );
        assert!(error.hints[0].contains("same package"), "{error:?}");
    }

    #[test]
    fn a_file_that_is_no_program_is_named() {
        let error = Program {
            command: "sing",
            file: "mattervisor-sing",
            about: "Sings",
        }
        .not_executable(
            Path::new("/usr/bin/mattervisor-sing"),
            &io::ErrorKind::PermissionDenied.into(),
        );
        assert_eq!(
            error.message,
            "cannot run `ctl sing`: cannot execute /usr/bin/mattervisor-sing: permission denied"
        );
    }

    /// Every way to install `ctl` also installs the programs that `ctl` and services execute.
    #[test]
    fn every_program_is_installed_wherever_ctl_is() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let marks = [("packaging/stage.sh", "for name in "), ("dev", "client=(")];
        for (file, mark) in marks {
            let text = std::fs::read_to_string(repository.join(file)).unwrap();
            let line = text.lines().find(|line| line.contains(mark));
            let line = line.unwrap_or_else(|| panic!("{file} has no {mark}"));
            for program in PROGRAMS {
                let name = program.file.trim_start_matches("mattervisor-");
                assert!(line.contains(name), "{file}: {name} is not in {line}");
            }
        }
    }
}
