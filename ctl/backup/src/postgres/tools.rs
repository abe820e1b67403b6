//! Finds the server's programs of a version. The version matters: an older `pg_dump` refuses the
//! server, and an older `pg_restore` the dump.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use std::io::Read as _;

use crate::{Error, Stop, process::Running};

/// Directories in which packages install the programs of each version.
const PLACES: [&str; 3] = [
    "/usr/lib/postgresql",
    "/usr/pgsql-",
    "/opt/gitlab/embedded/postgresql",
];
/// Versions of `PostgreSQL` to look for.
const MAJORS: std::ops::RangeInclusive<u32> = 12..=30;

/// The programs of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    /// Directory of the programs.
    pub dir: PathBuf,
    /// Their major version.
    pub major: u32,
}

impl Tools {
    /// A command that runs one of the programs.
    pub(crate) fn command(&self, name: &str) -> Command {
        Command::new(self.dir.join(name))
    }

    /// Programs of any version, for queries.
    ///
    /// # Errors
    /// [`Error::NoTools`] if there are no such programs.
    pub fn any(own: Option<&Path>, stop: &Stop) -> Result<Self, Error> {
        Self::at_least(0, own, stop)
    }

    /// Programs of this version, or of the next newer installed one. Those in `own` win if they are
    /// new enough.
    ///
    /// # Errors
    /// [`Error::NoTools`] if there are no such programs.
    pub fn at_least(major: u32, own: Option<&Path>, stop: &Stop) -> Result<Self, Error> {
        let own = own.map(Path::to_owned);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = own
            .into_iter()
            .chain(MAJORS.filter(|it| *it >= major).flat_map(of_packages))
            .chain(std::env::split_paths(&path));
        for dir in places {
            if let Some(found) = look(&dir, stop)?.filter(|tools| tools.major >= major) {
                return Ok(found);
            }
        }
        Err(Error::NoTools { major })
    }
}

fn of_packages(major: u32) -> [PathBuf; 3] {
    let [debian, redhat, gitlab] = PLACES;
    [
        Path::new(debian).join(major.to_string()).join("bin"),
        PathBuf::from(format!("{redhat}{major}")).join("bin"),
        Path::new(gitlab).join(major.to_string()).join("bin"),
    ]
}

/// The programs in a directory, if all needed ones are there.
fn look(dir: &Path, stop: &Stop) -> Result<Option<Tools>, Error> {
    let whole = ["psql", "pg_dump", "pg_restore"]
        .iter()
        .all(|name| safe_path::metadata(&dir.join(name)).is_ok_and(|found| found.is_file()));
    if !whole || !dir.is_absolute() {
        return Ok(None);
    }
    let mut command = Command::new(dir.join("pg_dump"));
    command.arg("--version");
    let mut asked = Running::start(command, Stdio::null(), stop)?;
    let mut said = String::new();
    if let Some(output) = asked.output() {
        output.take(1024).read_to_string(&mut said)?;
    }
    asked.finish()?;
    Ok(major(&said).map(|major| Tools {
        dir: dir.to_owned(),
        major,
    }))
}

/// Major version in `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("(PostgreSQL) ")?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_version_is_read() {
        let read = super::major("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)");
        assert_eq!(read, Some(15));
        assert_eq!(super::major("pg_dump (PostgreSQL) 17beta1"), Some(17));
        assert_eq!(super::major("nonsense"), None);
    }
}
