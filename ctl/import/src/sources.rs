//! Reads the inputs: gitlab.rb, gitlab-secrets.json and the directory of variables.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use client::{Error, Kind};

/// Largest file; GitLab's own template, with every setting in it, has a tenth of this size.
const MAX_FILE_BYTES: u64 = 2 << 20;
/// Longest variable; the kernel takes no longer one.
const MAX_VARIABLE_BYTES: u64 = 128 << 10;
/// Most variables; a directory with more files is not one of variables.
const MAX_VARIABLES: usize = 2000;

/// A text file, or standard input for `-`.
pub(super) fn text(path: &Path, what: &str) -> Result<String, Error> {
    let shown = name(path);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    let hint = if what == "gitlab.rb" {
        GITLAB_RB
    } else {
        GITLAB_SECRETS
    };
    read.map_err(|error| unreadable(path, &error, hint))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("{shown} is larger than 2 MiB: it is no {what}");
        return Err(
            Error::new(Kind::Failed, message).hint("name the file itself: /etc/gitlab/gitlab.rb")
        );
    }
    if bytes.contains(&0) {
        let message = format!("{shown} is not a text: it is no {what}");
        return Err(Error::new(Kind::Failed, message));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        Error::new(
            Kind::Failed,
            format!("{shown}:{line}: this line is not UTF-8"),
        )
        .hint("iconv -f latin1 -t utf8 turns the usual other encoding into it")
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

/// Name of a file in messages.
pub(super) fn name(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".to_owned();
    }
    path.display().to_string()
}

/// How to get each file, for the message that it is missing.
const GITLAB_RB: &str = "GitLab's is /etc/gitlab/gitlab.rb; copy it here, or read it over ssh: `ssh gitlab sudo cat /etc/gitlab/gitlab.rb | ctl import gitlab-rb -`";
const GITLAB_SECRETS: &str = "GitLab's is /etc/gitlab/gitlab-secrets.json; copy it here";
const ENV_DIR: &str = "GitLab's is /opt/gitlab/etc/mattermost/env; copy it here";

fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    File::open(path)
}

fn unreadable(path: &Path, error: &io::Error, hint: &'static str) -> Error {
    let shown = path.display();
    let (kind, why, hint) = match error.kind() {
        io::ErrorKind::NotFound => (Kind::Failed, "there is no such file", hint),
        io::ErrorKind::PermissionDenied => (
            Kind::NotAllowed,
            "not allowed",
            "the files of GitLab are root's alone: sudo ctl import …",
        ),
        io::ErrorKind::IsADirectory => (
            Kind::Failed,
            "it is a directory",
            "name the file in it: DIR/gitlab.rb",
        ),
        _ => {
            return Error::new(Kind::Failed, format!("cannot read {shown}: {error}"));
        }
    };
    Error::new(kind, format!("cannot read {shown}: {why}")).hint(hint)
}

/// The block `mattermost` of gitlab-secrets.json, if the file has one.
pub(super) fn secrets(
    path: &Path,
) -> Result<Option<serde_json::Map<String, serde_json::Value>>, Error> {
    let text = text(path, "gitlab-secrets.json")?;
    let shown = path.display();
    let parsed: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        // The parser's message could quote a secret.
        let place = format!("{shown}:{}:{}", error.line(), error.column());
        Error::new(Kind::Failed, format!("{place}: this is not JSON"))
            .hint("--secrets takes GitLab's /etc/gitlab/gitlab-secrets.json")
    })?;
    let serde_json::Value::Object(mut all) = parsed else {
        let message = format!("{shown} is not GitLab's file of secrets: it holds no object");
        return Err(Error::new(Kind::Failed, message));
    };
    match all.remove("mattermost") {
        Some(serde_json::Value::Object(block)) => Ok(Some(block)),
        _ => Ok(None),
    }
}

/// Variables of a directory as runit's `chpst -e` reads them: a file for each, with the value in
/// its first line, without blanks at the end, and NUL for a line break. `None` stands for an empty
/// file, which unsets the variable.
pub(super) fn variables(dir: &Path) -> Result<BTreeMap<String, Option<String>>, Error> {
    let shown = dir.display();
    let entries = fs::read_dir(dir).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => Error::new(
            Kind::Failed,
            format!("{shown} is not a directory of variables"),
        )
        .hint("GitLab's is /opt/gitlab/etc/mattermost/env"),
        _ => unreadable(dir, &error, ENV_DIR),
    })?;
    let mut variables = BTreeMap::new();
    for entry in entries {
        let path = entry
            .map_err(|error| unreadable(dir, &error, ENV_DIR))?
            .path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if variables.len() == MAX_VARIABLES {
            let message = format!(
                "{shown} has more than {MAX_VARIABLES} files: it is no directory of variables"
            );
            return Err(Error::new(Kind::Failed, message));
        }
        variables.insert(name.into_owned(), variable(&path)?);
    }
    Ok(variables)
}

fn variable(path: &Path) -> Result<Option<String>, Error> {
    let mut bytes = Vec::new();
    open(path)
        .and_then(|file| file.take(MAX_VARIABLE_BYTES).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error, ENV_DIR))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line: Vec<u8> = line
        .iter()
        .map(|byte| if *byte == 0 { b'\n' } else { *byte })
        .collect();
    let text = String::from_utf8(line).map_err(|_| {
        let message = format!("cannot read {}: it is not UTF-8", path.display());
        Error::new(Kind::Failed, message)
    })?;
    Ok(Some(text.trim_end_matches([' ', '\t']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_variables_is_read_as_chpst_does() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        put("ONE", b"first \t\nsecond\n");
        put("NONE", b"");
        put("BLANK", b"\n");
        put("BREAK", b"a\0b");
        put(".HIDDEN", b"x");
        put("LEADING", b"  x");
        let variables = variables(dir.path()).unwrap();
        let got = |name: &str| variables.get(name).cloned();
        assert_eq!(got("ONE"), Some(Some("first".into())));
        assert_eq!(got("NONE"), Some(None));
        assert_eq!(got("BLANK"), Some(Some(String::new())));
        assert_eq!(got("BREAK"), Some(Some("a\nb".into())));
        assert_eq!(got("LEADING"), Some(Some("  x".into())));
        assert_eq!(got(".HIDDEN"), None);
    }

    #[test]
    fn a_directory_with_a_directory_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("X")).unwrap();
        let error = variables(dir.path()).unwrap_err();
        assert!(error.message.contains("it is a directory"), "{error}");
    }

    #[test]
    fn no_secret_is_quoted_from_a_file_that_is_not_json() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gitlab-secrets.json");
        fs::write(&path, "{\n \"mattermost\": {\"gitlab_secret\": hunter2 }}").unwrap();
        let error = secrets(&path).unwrap_err();
        assert!(error.message.contains(":2:"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
