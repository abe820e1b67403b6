//! Writes the site file, which must be new, and the secrets, which may be added to an existing
//! secrets.toml. Invariant: both files are written whole, or neither is.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use client::{Error, Kind, toml_text};
use plan::secrets_file::{self, Failure};
use safe_path::Dir;
use toml::{Table, Value};

use super::draft::{Draft, Entry, dotted};

/// Longest site file that may set nothing, in bytes; a longer one is somebody's work.
const SHIPPED_MAX: u64 = 64 * 1024;

/// An existing secrets.toml with the draft's secrets added.
pub(super) struct Merged {
    pub(super) text: String,
    /// Keys that have another value in the file already; the file's value stays.
    pub(super) kept: Vec<String>,
    /// Whether the draft added a key.
    pub(super) changed: bool,
}

/// Path of secrets.toml beside the site file, or why the site file cannot be written.
pub(super) fn target(site: &Path) -> Result<PathBuf, Error> {
    let shown = site.display();
    let parent = match site.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => {
            return Err(Error::new(
                Kind::Failed,
                format!("{shown} cannot be a file"),
            ));
        }
    };
    match fs::metadata(parent) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            let message = format!(
                "cannot write {shown}: {} is not a directory",
                parent.display()
            );
            return Err(Error::new(Kind::Failed, message));
        }
        Err(error) => {
            let message = format!(
                "cannot write {shown}: {}: {}",
                parent.display(),
                said(&error)
            );
            let error = Error::new(Kind::Failed, message);
            return Err(error.hint(format!("mkdir -p {}", parent.display())));
        }
    }
    match fs::symlink_metadata(site) {
        Ok(found) if found.is_dir() => {
            let message = format!("cannot write {shown}: it is a directory");
            Err(Error::new(Kind::Failed, message).hint(format!("-o {shown}/mattervisor.toml")))
        }
        Ok(_) if !sets_nothing(site) => Err(exists(site)),
        _ => Ok(parent.join("secrets.toml")),
    }
}

/// Whether this is a site file of comments alone, as the package brings it: it gives way to a new one.
fn sets_nothing(site: &Path) -> bool {
    let text = Dir::place(site).and_then(|(dir, name)| dir.read(name, SHIPPED_MAX));
    let text = text.ok().and_then(|text| String::from_utf8(text).ok());
    text.is_some_and(|text| text.parse::<Table>().is_ok_and(|table| table.is_empty()))
}

fn exists(site: &Path) -> Error {
    let shown = site.display();
    Error::new(
        Kind::Failed,
        format!("{shown} is there already, and is not overwritten"),
    )
    .hint(format!("move it away first: mv {shown} {shown}.old"))
    .hint("or leave -o out to see what would be written")
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such directory".to_owned(),
        io::ErrorKind::PermissionDenied => "not allowed".to_owned(),
        _ => error.to_string(),
    }
}

/// An existing secrets.toml with the draft's secrets added; `None` if there is no such file.
pub(super) fn merge(path: &Path, draft: &Draft) -> Result<Option<Merged>, Error> {
    let text = secrets_file::read(path).map_err(|error| failed("read", path, &error))?;
    let Some(text) = text else { return Ok(None) };
    let entries: Vec<&Entry> = draft.secrets().collect();
    let merged = merge_text(&text, &entries);
    merged.map(Some).map_err(|why| cannot_add(path, &why))
}

fn cannot_add(path: &Path, why: &str) -> Error {
    let shown = path.display();
    Error::new(Kind::Failed, format!("cannot add to {shown}: {why}"))
        .hint("its values are not touched: move it away, or add the keys by hand")
}

fn merge_text(text: &str, entries: &[&Entry]) -> Result<Merged, String> {
    // The parser's message would quote lines of the file, and so secrets.
    let parse = |text: &str| {
        toml::from_str::<Table>(text).map_err(|error| {
            let line = error
                .span()
                .map(|span| text[..span.start].lines().count().max(1));
            line.map_or_else(
                || "it is not TOML".to_owned(),
                |line| format!("line {line} is not TOML"),
            )
        })
    };
    let mut wanted = parse(text)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut kept, mut changed) = (Vec::new(), false);
    for entry in entries {
        let value: Value = entry.value.as_str().unwrap_or_default().into();
        let Some((last, tables)) = entry.path.split_last() else {
            continue;
        };
        let mut table = &mut wanted;
        for name in tables {
            let inner = table
                .entry(name.clone())
                .or_insert_with(|| Table::new().into());
            table = inner
                .as_table_mut()
                .ok_or_else(|| format!("{name} is no table there"))?;
        }
        match table.get(last) {
            Some(there) if *there == value => {}
            Some(_) => kept.push(entry.key()),
            None => {
                table.insert(last.clone(), value);
                insert(&mut lines, entry);
                changed = true;
            }
        }
    }
    let text = lines.join("\n") + "\n";
    if parse(&text)? != wanted {
        return Err("its tables are written so that no key can be put in".to_owned());
    }
    Ok(Merged {
        text,
        kept,
        changed,
    })
}

/// Inserts an entry below the header of its table, or at the top after the first comments.
fn insert(lines: &mut Vec<String>, entry: &Entry) {
    let value = toml_text::value(&entry.value);
    let first = format!("[{}]", toml_text::key(&entry.path[0]));
    if let Some(at) = lines.iter().position(|line| line.trim() == first) {
        lines.insert(at + 1, format!("{} = {value}", dotted(&entry.path[1..])));
        return;
    }
    let comment = |line: &&String| line.trim().is_empty() || line.starts_with('#');
    let top = lines.iter().take_while(comment).count();
    lines.insert(top, format!("{} = {value}", entry.key()));
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::AlreadyExists => return exists(path),
        io::ErrorKind::PermissionDenied => Kind::NotAllowed,
        _ => Kind::Failed,
    };
    let message = format!("cannot {verb} {}: {}", path.display(), said(error));
    Error::new(kind, message)
}

/// A site file that sets nothing, out of the way of a new one until that is whole.
struct Aside {
    dir: Dir,
    name: OsString,
    hidden: OsString,
}

impl Aside {
    /// Moves the file away. None: there is none that sets nothing.
    fn move_away(site: &Path) -> io::Result<Option<Self>> {
        if !sets_nothing(site) {
            return Ok(None);
        }
        let (dir, name) = Dir::place(site)?;
        let mut hidden = OsString::from(".");
        hidden.push(&name);
        hidden.push(".aside");
        dir.rename(&name, &hidden)?;
        Ok(Some(Self { dir, name, hidden }))
    }

    fn remove(&self) -> io::Result<()> {
        self.dir.remove(&self.hidden).map(|_| ())
    }

    fn move_back(&self) -> io::Result<()> {
        self.dir.rename(&self.hidden, &self.name)
    }
}

/// Writes both files; after a failure no new file is left behind, and what was there is there again.
pub(super) fn write(
    site: &Path,
    site_text: &str,
    secrets: &Path,
    draft: &Draft,
) -> Result<Vec<PathBuf>, Error> {
    let aside = Aside::move_away(site).map_err(|error| failed("replace", site, &error))?;
    let written = write_new(site, site_text, secrets, draft);
    // Should this fail, a hidden file is left, which no one reads.
    let _ = match (&aside, &written) {
        (None, _) => Ok(()),
        (Some(aside), Ok(_)) => aside.remove(),
        (Some(aside), Err(_)) => aside.move_back(),
    };
    written
}

fn write_new(
    site: &Path,
    site_text: &str,
    secrets: &Path,
    draft: &Draft,
) -> Result<Vec<PathBuf>, Error> {
    create(site, site_text).map_err(|error| failed("write", site, &error))?;
    let mut written = vec![site.to_owned()];
    match store(secrets, draft) {
        Ok(true) => written.push(secrets.to_owned()),
        Ok(false) => {}
        Err(error) => {
            // A site file without its secrets would start Mattermost with new ones.
            let _ = Dir::place(site).and_then(|(dir, name)| dir.remove(name));
            return Err(error);
        }
    }
    Ok(written)
}

/// Adds the draft's secrets to the present text of the file; tells whether the text changed.
fn store(path: &Path, draft: &Draft) -> Result<bool, Error> {
    let entries: Vec<&Entry> = draft.secrets().collect();
    if entries.is_empty() {
        return Ok(false);
    }
    let change = |text: &str| {
        if text.is_empty() {
            return Ok(Some(draft.secrets_file().text));
        }
        let merged = merge_text(text, &entries)?;
        Ok(merged.changed.then_some(merged.text))
    };
    secrets_file::rewrite(path, change).map_err(|failure| match failure {
        Failure::Read(error) => failed("read", path, &error),
        Failure::Write(error) => failed("write", path, &error),
        Failure::Change(why) => cannot_add(path, &why),
    })
}

/// Creates a file for its owner alone; never replaces one.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let (dir, name) = Dir::place(path)?;
    let file = dir.create(&name, 0o600)?;
    fill(file, text).inspect_err(|_| {
        let _ = dir.remove(&name);
    })
}

fn fill(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{draft::Part, report::Origin};

    fn entry(path: &[&str], value: &str) -> Entry {
        Entry {
            part: Part::Mattermost,
            path: path.iter().map(|it| (*it).to_owned()).collect(),
            value: value.into(),
            secret: true,
            note: None,
            origin: Origin::Secrets,
            reported: None,
        }
    }

    fn merged(text: &str, entries: &[Entry]) -> Result<Merged, String> {
        merge_text(text, &entries.iter().collect::<Vec<_>>())
    }

    #[test]
    fn secrets_that_are_there_stay_and_missing_ones_come_in() {
        let entries = [
            entry(&["mattermost", "gitlab_secret"], "new"),
            entry(&["mattermost", "gitlab_id"], "id"),
            entry(&["mattermost", "env", "MM_X"], "x\"y"),
        ];
        for text in [
            "# mine\nmattermost.gitlab_secret = \"old\"\n",
            "# mine\n[mattermost]\ngitlab_secret = \"old\"\n[other]\na = 1\n",
        ] {
            let out = merged(text, &entries).unwrap();
            assert_eq!(out.kept, ["mattermost.gitlab_secret"], "{text}");
            assert!(out.changed && out.text.starts_with("# mine\n"));
            let table: Table = toml::from_str(&out.text).unwrap();
            assert_eq!(table["mattermost"]["gitlab_secret"].as_str(), Some("old"));
            assert_eq!(table["mattermost"]["gitlab_id"].as_str(), Some("id"));
            assert_eq!(table["mattermost"]["env"]["MM_X"].as_str(), Some("x\"y"));
        }
    }

    #[test]
    fn the_same_secrets_change_nothing() {
        let out = merged("a.b = 'v'\n", &[entry(&["a", "b"], "v")]).unwrap();
        assert!(!out.changed && out.kept.is_empty());
    }

    #[test]
    fn a_file_that_cannot_take_a_key_is_refused_without_its_values() {
        let add = [entry(&["mattermost", "gitlab_id"], "id")];
        for text in [
            "mattermost = { gitlab_secret = 'hunter2' }\n",
            "mattermost = 'hunter2'\n",
            "a = hunter2\n",
        ] {
            let why = merged(text, &add).map(|it| it.text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn a_site_file_that_sets_nothing_comes_back_after_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let site = directory.path().join("mattervisor.toml");
        for (text, goes) in [("# nothing\n", true), ("a = 1\n", false), ("a =\n", false)] {
            fs::write(&site, text).unwrap();
            let aside = Aside::move_away(&site).unwrap();
            assert_eq!((aside.is_some(), site.exists()), (goes, !goes), "{text}");
            if let Some(aside) = aside {
                fs::write(&site, "half").unwrap();
                aside.move_back().unwrap();
            }
            assert_eq!(fs::read_to_string(&site).unwrap(), text);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
