//! The disk as far as planning may see it. [`RealHost`] alone touches it.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use safe_path::Dir;
use sysinfo::{MemoryRefreshKind, System};

use crate::model::capability::CAPABILITIES;

/// Questions that planning asks the machine. Planning has no other access, so a test can pass a
/// machine of its own.
pub trait Host {
    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The whole of a file that an account may have laid out: no link, and it is to be shown only
    /// if it has the form that was expected.
    fn read_guest(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read(path)
    }
    /// The word that follows a text in a file of any size, a program too: letters, digits, `.`,
    /// `-`, `_` and `+`. None: it cannot be read, or has no such text.
    fn word_after(&self, path: &Path, text: &str) -> Option<String> {
        let bytes = self.read(path).ok()?;
        word_after(&bytes, text.as_bytes())
    }
    /// Files of a directory, sorted; an absent directory is an error of kind `NotFound`.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Mode bits and group of a file.
    fn mode(&self, path: &Path) -> io::Result<(u32, u32)>;
    /// Whether the path exists.
    fn exists(&self, path: &Path) -> bool;
    /// Whether it is certain that the path does not exist.
    fn is_missing(&self, path: &Path) -> bool {
        let _ = path;
        false
    }
    /// Whether a symbolic link is there, whatever it points to.
    fn is_link(&self, path: &Path) -> bool {
        let _ = path;
        false
    }
    /// Matches of a shell pattern, sorted.
    fn glob(&self, pattern: &str) -> Vec<PathBuf>;
    /// The time, in seconds of the Unix epoch.
    fn unix_seconds(&self) -> i64;
    /// The effective user the supervisor has, or will have.
    fn uid(&self) -> u32;
    /// The name of that user, or its number where it has none.
    fn user(&self) -> String {
        self.uid().to_string()
    }
    /// Capabilities that the supervisor can give to a service, lower case, without `cap_`.
    fn capabilities(&self) -> Vec<String>;
    /// Number of online processors.
    fn cpus(&self) -> u32;
    /// Physical memory in bytes, or what the container may have of it.
    fn memory_bytes(&self) -> u64;
    /// Where the programs of this package are: the directory of the one that runs.
    fn program_dir(&self) -> PathBuf;
}

/// Largest configuration file or template.
pub(crate) const MAX_FILE_BYTES: usize = 1 << 20;
/// Names in a directory that are looked at.
const NAMES_MAX: usize = 1 << 16;
/// Most bytes of a file that are searched for a text: more than any program has.
const SEARCHED_BYTES_MAX: u64 = 1 << 30;
/// A large file is read in parts of this size.
const PART_BYTES: usize = 64 << 10;
/// Longest word, in bytes.
const WORD_BYTES: usize = 64;

/// Where a text begins.
fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let first = *text.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(text) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn word_after(bytes: &[u8], text: &[u8]) -> Option<String> {
    let rest = &bytes[position(bytes, text)? + text.len()..];
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || b".-_+".contains(byte);
    let word: Vec<u8> = rest
        .iter()
        .take(WORD_BYTES)
        .take_while(part)
        .copied()
        .collect();
    String::from_utf8(word).ok().filter(|word| !word.is_empty())
}

/// Reads one byte more than allowed, so that a longer file is noticed without being read whole.
fn begin(file: fs::File) -> io::Result<Vec<u8>> {
    let limit = MAX_FILE_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The machine that this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealHost;

impl Host for RealHost {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        begin(safe_path::open(path)?)
    }

    fn read_guest(&self, path: &Path) -> io::Result<Vec<u8>> {
        begin(safe_path::open_guest(path)?)
    }

    fn word_after(&self, path: &Path, text: &str) -> Option<String> {
        // A program may have several names; one that an account has laid out may not.
        let file = safe_path::open(path).or_else(|_| safe_path::open_guest(path));
        let mut file = file.ok()?.take(SEARCHED_BYTES_MAX);
        let text = text.as_bytes();
        // A match may span two parts: the end of one is searched again with the next.
        let kept = text.len() + WORD_BYTES;
        let mut window = Vec::with_capacity(PART_BYTES + kept);
        loop {
            let mut part = file.by_ref().take(PART_BYTES as u64);
            let count = part.read_to_end(&mut window).ok()?;
            let found = word_after(&window, text);
            let whole = found.as_ref().is_some_and(|_| count < PART_BYTES);
            if whole || count == 0 {
                return found;
            }
            if let Some(start) = position(&window, text)
                && window.len() - start >= kept
            {
                return found;
            }
            window.drain(..window.len().saturating_sub(kept));
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let names = Dir::names_of(dir, NAMES_MAX)?;
        Ok(names.into_iter().map(|name| dir.join(name)).collect())
    }

    fn mode(&self, path: &Path) -> io::Result<(u32, u32)> {
        let found = safe_path::metadata(path)?;
        Ok((found.mode() & 0o7777, found.gid()))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_missing(&self, path: &Path) -> bool {
        matches!(path.try_exists(), Ok(false))
    }

    fn is_link(&self, path: &Path) -> bool {
        path.is_symlink()
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = glob::glob(pattern)
            .map(|paths| paths.filter_map(Result::ok).collect())
            .unwrap_or_default();
        found.sort();
        found
    }

    fn unix_seconds(&self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
    }

    fn uid(&self) -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a plan is made by a job, or by ctl"
    )]
    fn user(&self) -> String {
        let uid = self.uid();
        let found = nix::unistd::User::from_uid(uid.into()).ok().flatten();
        found.map_or_else(|| uid.to_string(), |user| user.name)
    }

    fn capabilities(&self) -> Vec<String> {
        let set = proc::own_capabilities();
        let names = CAPABILITIES.iter().enumerate();
        names
            .filter(|(number, _)| set & 1 << number != 0)
            .map(|(_, name)| name.to_ascii_lowercase())
            .collect()
    }

    fn cpus(&self) -> u32 {
        std::thread::available_parallelism()
            .map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
    }

    fn program_dir(&self) -> PathBuf {
        let exe = std::env::current_exe().unwrap_or_default();
        exe.parent().map(Path::to_owned).unwrap_or_default()
    }

    fn memory_bytes(&self) -> u64 {
        let mut system = System::new();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        match system.total_memory() {
            0 => 0, // Without /proc there are no limits to be asked for.
            total => system.cgroup_limits().map_or(total, |it| it.total_memory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_a_large_file_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        for before in [0, 1, PART_BYTES - 9, PART_BYTES, 3 * PART_BYTES - 17] {
            let mut bytes = vec![b'v'; before];
            bytes.extend(b"version: 1.25.1-x\0more");
            bytes.extend(vec![0; 2 * PART_BYTES]);
            fs::write(&path, &bytes).unwrap();
            let found = RealHost.word_after(&path, "version: ");
            assert_eq!(found.as_deref(), Some("1.25.1-x"), "{before}");
        }
        fs::write(&path, "version: 7").unwrap();
        assert_eq!(
            RealHost.word_after(&path, "version: ").as_deref(),
            Some("7")
        );
        assert_eq!(RealHost.word_after(&path, "version; "), None);
        assert_eq!(RealHost.word_after(dir.path(), "version"), None);
    }

    #[test]
    fn the_real_disk_is_seen_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("b.toml"), "b").unwrap();
        fs::write(at("a.toml"), "a").unwrap();
        std::os::unix::fs::symlink("gone", at("link")).unwrap();
        let host = RealHost;
        assert_eq!(
            host.list(dir.path()).unwrap(),
            [at("a.toml"), at("b.toml"), at("link")]
        );
        assert_eq!(host.read(&at("a.toml")).unwrap(), b"a");
        assert_eq!(
            host.read(dir.path()).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
        assert_eq!(
            host.read(&at("link")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(host.is_link(&at("link")) && !host.is_link(&at("gone")));
        assert!(host.read(Path::new("/dev/zero")).is_err());
        assert_eq!(
            host.glob(&format!("{}/*.toml", dir.path().display())),
            [at("a.toml"), at("b.toml")]
        );
        assert!(host.cpus() > 0 && host.memory_bytes() > 1 << 20);
    }

    /// What an account can make of a file of its own directory that planning asks for.
    #[test]
    fn a_guests_file_hangs_nothing_and_lends_nobody_elses() {
        if !nix::unistd::geteuid().is_root() {
            skip::skip!("another account needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let secrets = dir.path().join("secrets.toml");
        fs::write(&secrets, "gitlab_secret = 'hush'").unwrap();
        let nobody = Some(65_534);
        std::os::unix::fs::chown(&data, nobody, nobody).unwrap();
        let version = data.join("PG_VERSION");
        fs::write(&version, "15\n").unwrap();
        std::os::unix::fs::chown(&version, nobody, nobody).unwrap();
        assert_eq!(RealHost.read_guest(&version).unwrap(), b"15\n");
        // What is root's own configuration is not taken from there.
        let error = RealHost.read(&version).unwrap_err().to_string();
        assert!(error.contains("belongs to uid 65534"), "{error}");
        let refused = |lay: &dyn Fn(), wanted: &str| {
            fs::remove_file(&version).unwrap();
            lay();
            let _ = std::os::unix::fs::lchown(&version, nobody, nobody);
            let error = RealHost.read_guest(&version).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
            assert_eq!(RealHost.word_after(&version, "gitlab_secret = '"), None);
        };
        let link = |to: &Path| std::os::unix::fs::symlink(to, &version).unwrap();
        refused(&|| link(&secrets), "symbolic link");
        refused(&|| link(Path::new("/dev/zero")), "symbolic link");
        let mode = nix::sys::stat::Mode::S_IRUSR;
        let fifo = || nix::unistd::mkfifo(&version, mode).unwrap();
        refused(&fifo, "not a regular file");
        refused(&|| fs::hard_link(&secrets, &version).unwrap(), "hard links");
    }
}
