//! Stores GitLab's id and secret in `secrets.toml`. The file is prepared before any request that
//! changes GitLab, so that nothing is created whose secret could not be stored.

use std::{
    io,
    path::{Path, PathBuf},
};

use client::{Error, Kind};
use plan::{
    secrets::{Assignment, set_in},
    secrets_file::{self, Failure, Reserved},
};

use super::{Secret, local_config::SERVICE};

/// Placeholder for an id or a secret that GitLab has not revealed yet, longer than real ones.
const PLACEHOLDER: &str =
    "################################################################################";

/// The values to keep.
#[derive(Clone, Debug)]
pub(super) struct Values {
    /// GitLab's address.
    pub(super) url: String,
    /// The application's id and secret; `None` keeps the stored ones.
    pub(super) client: Option<(String, Secret)>,
}

impl Values {
    /// Values with placeholders for the id and the secret, which GitLab has not revealed yet.
    pub(super) fn expected(url: &str) -> Self {
        let client = (PLACEHOLDER.to_owned(), Secret::new(PLACEHOLDER));
        Self {
            url: url.to_owned(),
            client: Some(client),
        }
    }

    /// Dotted names of the values.
    pub(super) fn names(&self) -> Vec<String> {
        let rows = self.assignments().into_iter();
        rows.map(|(service, key, _)| format!("{service}.{key}"))
            .collect()
    }

    /// The text of `secrets.toml` with these values set.
    pub(super) fn to_text(&self, text: &str) -> Result<String, Error> {
        set_in(text, &self.assignments()).map_err(|why| Error::new(Kind::Failed, why))
    }

    fn assignments(&self) -> Vec<Assignment> {
        let row = |key: &str, value: toml::Value| (SERVICE.to_owned(), key.to_owned(), value);
        let mut rows = vec![
            row("gitlab_enable", true.into()),
            row("gitlab_url", self.url.as_str().into()),
        ];
        if let Some((id, secret)) = &self.client {
            rows.push(row("gitlab_id", id.as_str().into()));
            rows.push(row("gitlab_secret", secret.reveal().into()));
        }
        rows
    }
}

/// Room beside `secrets.toml` for the values; a drop frees the room.
pub(super) struct Prepared {
    path: PathBuf,
    room: Reserved,
}

/// The text of the secrets file; empty if there is no file.
pub(super) fn read(path: &Path) -> Result<String, Error> {
    let text = secrets_file::read(path).map_err(|error| failed("read", path, &error))?;
    Ok(text.unwrap_or_default())
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => Kind::NotAllowed,
        _ => Kind::Failed,
    };
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "this needs root: sudo ctl gitlab …",
        io::ErrorKind::NotFound => "make the directory, or name another root: --root DIR",
        _ => "nothing was changed; mend it and try again",
    };
    Error::new(kind, format!("cannot {verb} {}: {error}", path.display())).hint(hint)
}

impl Prepared {
    /// Makes sure that the values can be stored: writes a text of their size beside the file.
    pub(super) fn new(path: &Path, expected: &Values) -> Result<Self, Error> {
        let text = expected.to_text(&read(path)?)?;
        let room = Reserved::new(path, &text);
        let room = room.map_err(|error| failed("write beside", path, &error))?;
        let path = path.to_owned();
        Ok(Self { path, room })
    }

    /// Stores all values, or changes nothing.
    pub(super) fn store(self, values: &Values) -> Result<(), Error> {
        // Changes the file's present text: the supervisor may have made secrets meanwhile.
        let change = |text: &str| set_in(text, &values.assignments()).map(Some);
        match self.room.rewrite(change) {
            Ok(_) => Ok(()),
            Err(Failure::Read(error)) => Err(failed("read", &self.path, &error)),
            Err(Failure::Write(error)) => Err(failed("write", &self.path, &error)),
            Err(Failure::Change(why)) => Err(Error::new(Kind::Failed, why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    use super::*;

    fn values() -> Values {
        Values {
            url: "https://gitlab.example.com".to_owned(),
            client: Some(("id1".to_owned(), Secret::new("s1"))),
        }
    }

    #[test]
    fn the_file_is_private_and_what_was_in_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.toml");
        fs::write(&path, "# mine\nmattermost.gitlab_id = 'old'\n").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let prepared =
            Prepared::new(&path, &Values::expected("https://gitlab.example.com")).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("'old'"));
        prepared.store(&values()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("# mine\n") && !text.contains("old"),
            "{text}"
        );
        let table: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(table["mattermost"]["gitlab_secret"].as_str(), Some("s1"));
        assert_eq!(table["mattermost"]["gitlab_enable"].as_bool(), Some(true));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_stored_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.toml");
        drop(Prepared::new(&path, &values()).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let gone = dir.path().join("gone/secrets.toml");
        let error = Prepared::new(&gone, &values()).err().unwrap();
        assert!(error.message.contains("cannot write beside"), "{error}");
    }
}
