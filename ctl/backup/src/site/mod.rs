//! The configuration in a backup: site file, service files, secrets, and the other files beside
//! them. They replace this machine's files one by one; a numbered copy of each replaced file stays,
//! and all files can be put back.
//!
//! Limits: regular files alone, of bounded length and number. The archive is read to its end and
//! verified before any of its files is returned.

mod diff;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    path::{Component, Path, PathBuf},
};

use safe_path::Dir;

pub use diff::diff;

use crate::{
    Error, Refusal, Step, Watch,
    archive::{self, Entry, EntryKind},
    manifest::{LeftOut, Manifest},
    secrets::{Names, without_toml},
    verify,
};

/// The site file.
const SITE: &str = "mattervisor.toml";
/// The secrets, a file that only root reads.
const SECRETS: &str = "secrets.toml";
/// Directories in the archive.
const CONFIGURATION: &str = "configuration/";
const SECRET: &str = "secrets/";
/// Most files beside the site file.
const FILES_MAX: usize = 1_000;
/// Most numbered copies of one file.
const COPIES_MAX: u32 = 10_000;
/// Deepest nesting of the files.
const DEPTH_MAX: usize = 8;
/// Setting with the address of another server's database.
const DATA_SOURCE: &str = "sql_data_source";

/// The files of a backup, by their paths below the directory of the site file.
pub struct Saved {
    files: BTreeMap<PathBuf, Document>,
    /// Entries that are not regular files, and are left out.
    pub skipped: Vec<String>,
}

struct Document {
    text: Vec<u8>,
    mode: u32,
}

/// What a restore would change in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The file does not exist yet.
    New,
    /// The file has another content.
    Other,
}

/// The replaced files, so that they can be put back.
#[derive(Debug, Default)]
pub struct Replaced(Vec<(PathBuf, Option<String>)>);

impl Saved {
    /// Reads the configuration in a backup, and the backup to its end.
    ///
    /// # Errors
    /// The backup is damaged, or holds its configuration without secrets.
    pub fn read(file: &File, manifest: &Manifest, watch: &mut Watch) -> Result<Self, Error> {
        if manifest.left_out.iter().any(is_of_site) {
            return Err(Refusal::WithoutSecrets.into());
        }
        let mut saved = Self {
            files: BTreeMap::new(),
            skipped: Vec::new(),
        };
        let length = file.metadata()?.len();
        watch.step(Step::ReadConfiguration, Some(length), crate::Unit::Bytes);
        archive::each::<Error>(file, |at| watch.reach(at), |entry| saved.member(entry))?;
        if !saved.files.contains_key(Path::new(SITE)) {
            return Err(Refusal::NoSite.into());
        }
        Ok(saved)
    }

    fn member(&mut self, entry: &mut Entry<'_>) -> Result<(), Error> {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let below = name.strip_prefix(CONFIGURATION);
        let Some(below) = below.or_else(|| name.strip_prefix(SECRET)) else {
            return Ok(());
        };
        let path = Path::new(below.trim_end_matches('/'));
        let plain = |it: Component<'_>| matches!(it, Component::Normal(_));
        let parts = path.components().count();
        if !path.components().all(plain) || parts > DEPTH_MAX {
            return Err(archive::Error::Hostile { name }.into());
        }
        match entry.kind {
            EntryKind::Directory => {}
            EntryKind::File if self.files.len() < FILES_MAX => {
                let mode = if path == Path::new(SECRETS) {
                    0o600
                } else {
                    entry.mode & 0o755
                };
                let text = entry.document()?;
                self.files.insert(path.to_owned(), Document { text, mode });
            }
            _ => self.skipped.push(name),
        }
        Ok(())
    }

    /// The files that differ from the directory, in order of paths.
    ///
    /// # Errors
    /// A file of the directory cannot be read.
    pub fn changes(&self, etc: &Path) -> Result<Vec<(PathBuf, Change)>, Error> {
        let mut changes = Vec::new();
        for (path, document) in &self.files {
            match present(etc, path)? {
                None => changes.push((path.clone(), Change::New)),
                Some(text) if text != document.text => changes.push((path.clone(), Change::Other)),
                Some(_) => {}
            }
        }
        Ok(changes)
    }

    /// The difference between a text file and the existing one, without the secrets of either;
    /// `None` if no difference can be shown.
    ///
    /// # Errors
    /// The existing file cannot be read.
    pub fn told(&self, etc: &Path, path: &Path, names: &Names) -> Result<Option<String>, Error> {
        let is_text = path.extension().is_some_and(|it| it == "toml") && path != Path::new(SECRETS);
        let Some(document) = self.files.get(path).filter(|_| is_text) else {
            return Ok(None);
        };
        let masked = |text: &[u8]| {
            let text = std::str::from_utf8(text).ok()?;
            let table: toml::Table = without_toml(text, names)?.text.parse().ok()?;
            let mut lines = String::new();
            flat("", &table, &mut lines);
            Some(lines)
        };
        let before = present(etc, path)?.unwrap_or_default();
        let both = masked(&before).zip(masked(&document.text));
        Ok(both.map(|(before, after)| diff(&before, &after)))
    }

    /// Refuses a configuration by which this Mattermost would use a database that another machine
    /// may be using.
    ///
    /// # Errors
    /// [`Refusal::Elsewhere`], or an existing file cannot be read.
    pub fn same_database(&self, etc: &Path) -> Result<(), Error> {
        for name in [SITE, SECRETS] {
            let path = Path::new(name);
            let saved = self.files.get(path).and_then(|it| source(&it.text));
            let here = present(etc, path)?.and_then(|text| source(&text));
            if saved.is_some() && saved != here {
                return Err(Refusal::Elsewhere.into());
            }
        }
        Ok(())
    }

    /// Replaces the files, each atomically. The former file keeps a numbered name.
    ///
    /// # Errors
    /// A file could not be written: the files before it are in place, and recorded.
    pub fn apply(
        &self,
        etc: &Path,
        changes: &[(PathBuf, Change)],
        replaced: &mut Replaced,
    ) -> Result<(), Error> {
        for (path, _) in changes {
            let Some(document) = self.files.get(path) else {
                continue;
            };
            let whole = etc.join(path);
            let put = put(etc, path, document).map_err(Error::with("write", &whole))?;
            replaced.0.push((path.clone(), put));
        }
        Ok(())
    }
}

impl Replaced {
    /// The numbered copies of the former files.
    pub fn copies(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let copied = self.0.iter();
        copied.filter_map(|(path, copy)| Some(path.with_file_name(copy.as_ref()?)))
    }

    /// Puts the former files back.
    ///
    /// # Errors
    /// A file could not be put back; the files after it in reverse order stay as they are.
    pub fn put_back(self, etc: &Path) -> Result<(), Error> {
        for (path, copy) in self.0.into_iter().rev() {
            let whole = etc.join(&path);
            let back = || -> io::Result<()> {
                let (dir, name) = place(etc, &path)?;
                match copy {
                    Some(copy) => dir.rename(&copy, &name)?,
                    None => dir.remove(&name).map(drop)?,
                }
                dir.sync()
            };
            back().map_err(Error::with("put back", &whole))?;
        }
        Ok(())
    }
}

/// A line for each setting, by its whole name. Comments are left out, because nothing tells a
/// secret in a comment from a word.
fn flat(above: &str, table: &toml::Table, out: &mut String) {
    for (key, value) in table {
        let name = format!("{above}{key}");
        match value {
            toml::Value::Table(table) => flat(&format!("{name}."), table, out),
            value => {
                let _ = writeln!(out, "{name} = {value}");
            }
        }
    }
}

/// The directory of a file, made where it is not there, and the file's name.
fn place(etc: &Path, path: &Path) -> io::Result<(Dir, String)> {
    let name = path.file_name().and_then(|it| it.to_str());
    let name = name.ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    let above = path.parent().unwrap_or(Path::new(""));
    Ok((Dir::make(&etc.join(above), 0o755)?, name))
}

/// The content of a file, if it is there.
fn present(etc: &Path, path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let whole = etc.join(path);
    match safe_path::read(&whole, archive::DOCUMENT_BYTES_MAX) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::with("read", &whole)(error)),
    }
}

/// Writes a file and answers the name of the former file's copy. At every moment the old or the new
/// file exists.
fn put(etc: &Path, path: &Path, document: &Document) -> io::Result<Option<String>> {
    let (dir, name) = place(etc, path)?;
    let new = format!(".{name}.restored");
    dir.remove(&new)?;
    let mut file = dir.create(&new, document.mode)?;
    file.write_all(&document.text)?;
    file.sync_all()?;
    let copy = match dir.stat(&name)? {
        Some(_) => Some(copied(&dir, &name)?),
        None => None,
    };
    dir.rename(&new, &name)?;
    dir.sync()?;
    Ok(copy)
}

/// Gives a file a second name, with the next number.
fn copied(dir: &Dir, name: &str) -> io::Result<String> {
    for number in 1..=COPIES_MAX {
        let copy = format!("{name}.{number}");
        match dir.link(name, &copy) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => return linked.map(|()| copy),
        }
    }
    Err(io::Error::other("there are too many copies of it"))
}

fn is_of_site(left: &LeftOut) -> bool {
    let (LeftOut::File { name } | LeftOut::Setting { file: name, .. }) = left else {
        return false;
    };
    name.starts_with(CONFIGURATION) || name.starts_with(SECRET)
}

/// Where a database is that is not the machine's own, as a file says it.
fn source(text: &[u8]) -> Option<String> {
    let table: toml::Table = std::str::from_utf8(text).ok()?.parse().ok()?;
    let mut sections = table.values().filter_map(toml::Value::as_table);
    let found = sections.find_map(|section| section.get(DATA_SOURCE))?;
    Some(found.to_string())
}

/// Opens a backup and reads its manifest.
///
/// # Errors
/// The file cannot be opened, or is not a backup.
pub fn open(path: &Path) -> Result<(File, Manifest), Error> {
    let file = safe_path::open(path).map_err(Error::with("open", path))?;
    let manifest = verify::manifest(&file)?;
    Ok((file, manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(files: &[(&str, &str)]) -> Saved {
        let files = files.iter().map(|(path, text)| {
            let document = Document {
                text: text.as_bytes().to_vec(),
                mode: 0o644,
            };
            (PathBuf::from(path), document)
        });
        Saved {
            files: files.collect(),
            skipped: Vec::new(),
        }
    }

    #[test]
    fn what_was_there_is_kept_by_number_and_put_back() {
        let dir = tempfile::tempdir().expect("a directory");
        safe_path::trust_root(dir.path());
        let etc = dir.path();
        let write = |name: &str, text: &str| std::fs::write(etc.join(name), text);
        write("mattervisor.toml", "old = 1\n").expect("it is written");
        write("mattervisor.toml.1", "older\n").expect("it is written");
        let backup = saved(&[
            ("mattervisor.toml", "new = 2\n"),
            ("services.d/own.toml", "command = ['x']\n"),
        ]);
        let changes = backup.changes(etc).expect("they are read");
        let kinds: Vec<_> = changes.iter().map(|it| it.1).collect();
        assert_eq!(kinds, [Change::Other, Change::New]);
        let mut replaced = Replaced::default();
        backup.apply(etc, &changes, &mut replaced).expect("applied");
        let read = |name: &str| std::fs::read_to_string(etc.join(name)).unwrap_or_default();
        assert_eq!(read("mattervisor.toml"), "new = 2\n");
        assert_eq!(read("mattervisor.toml.1"), "older\n");
        assert_eq!(read("mattervisor.toml.2"), "old = 1\n");
        assert_eq!(read("services.d/own.toml"), "command = ['x']\n");
        assert_eq!(backup.changes(etc).expect("they are read"), []);
        replaced.put_back(etc).expect("it is put back");
        assert_eq!(read("mattervisor.toml"), "old = 1\n");
        assert_eq!(read("mattervisor.toml.2"), "");
        assert_eq!(read("services.d/own.toml"), "");
    }

    #[test]
    fn no_secret_is_told_and_another_database_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        safe_path::trust_root(dir.path());
        let site = "# old: hunter1\na.b = 1 # hunter3\nmattermost.gitlab_secret = \"hunter2\"\n";
        let backup = saved(&[
            ("mattervisor.toml", site),
            ("secrets.toml", "[a]\nk = 'zzz'\n"),
        ]);
        let path = Path::new("mattervisor.toml");
        let told = backup.told(dir.path(), path, &Names::default());
        let told = told.expect("it is read").expect("it is TOML");
        assert_eq!(told, "+ a.b = 1\n+ mattermost.gitlab_secret = \"\"\n");
        let secrets = Path::new("secrets.toml");
        let hidden = backup.told(dir.path(), secrets, &Names::default());
        assert_eq!(hidden.expect("it is read"), None);
        assert!(backup.same_database(dir.path()).is_ok());
        let elsewhere = saved(&[(
            "secrets.toml",
            "[mattermost]\nsql_data_source = 'postgres://h/d'\n",
        )]);
        let refused = elsewhere.same_database(dir.path());
        assert!(matches!(refused, Err(Error::Refused(Refusal::Elsewhere))));
    }
}
