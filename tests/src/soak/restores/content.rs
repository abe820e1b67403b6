//! The content that is saved (messages that resemble text, ordinary files and odd files), and the
//! comparison of two states.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Seek, SeekFrom, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt, PermissionsExt, lchown, symlink},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use nix::unistd::User;

use super::{
    Size,
    machine::{ACCOUNT, Machine},
};
use crate::wait;

/// Directory in which files come, grow and go all the time; no state includes it.
const RESTLESS: &str = "restless";
/// A further name of another account's file: a backup does not save it.
pub(super) const LENT: &str = "lent";
/// Looks at the files, at most, if a file goes during each of them.
const LOOKS_MAX: u32 = 20;
/// Bytes of an ordinary file, at most.
const FILE_BYTES: u32 = 30_000;

/// Rows and files of a machine at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    rows: String,
    /// By name: a hash of attributes and content.
    files: BTreeMap<Vec<u8>, u64>,
}

impl State {
    pub(super) fn of(machine: &Machine) -> Result<Self, String> {
        let query =
            "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(p::text, 0)), 0) FROM posts p";
        let files = settled(&machine.data()).map_err(|error| format!("files: {error}"))?;
        let rows = machine.sql(query)?;
        Ok(Self { rows, files })
    }

    /// The differences from another state, in words.
    pub(super) fn unlike(&self, other: &Self) -> String {
        let names = self.files.keys().chain(other.files.keys());
        let differ = names.filter(|it| self.files.get(*it) != other.files.get(*it));
        let mut names: Vec<_> = differ
            .map(|it| String::from_utf8_lossy(it).into_owned())
            .collect();
        names.sort();
        names.dedup();
        let count = names.len();
        names.truncate(3);
        format!(
            "rows {} and {}, {count} files: {names:?}",
            self.rows, other.rows
        )
    }
}

/// All files below `top`. A look during which a file goes is repeated: Mattermost writes and
/// removes a file when it starts.
fn settled(top: &Path) -> io::Result<BTreeMap<Vec<u8>, u64>> {
    let mut looks = 0;
    loop {
        let mut files = BTreeMap::new();
        looks += 1;
        match gather(top, &mut files) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && looks < LOOKS_MAX => {}
            looked => return looked.map(|()| files),
        }
    }
}

fn gather(top: &Path, files: &mut BTreeMap<Vec<u8>, u64>) -> io::Result<()> {
    let mut dirs = vec![PathBuf::new()];
    while let Some(below) = dirs.pop() {
        for entry in fs::read_dir(top.join(&below))? {
            let entry = entry?;
            let name = entry.file_name();
            let is_ours = name.as_bytes().starts_with(b".mattervisor-");
            if is_ours || below.as_os_str().is_empty() && name == RESTLESS {
                continue;
            }
            let (path, below) = (entry.path(), below.join(&name));
            let found = fs::symlink_metadata(&path)?;
            let mut sum = DefaultHasher::new();
            (found.mode(), found.uid(), found.mtime()).hash(&mut sum);
            if found.is_dir() {
                sum = DefaultHasher::new();
                dirs.push(below.clone());
            } else if found.is_symlink() {
                sum = DefaultHasher::new();
                fs::read_link(&path)?.hash(&mut sum);
            } else {
                (found.nlink(), fs::read(&path)?).hash(&mut sum);
            }
            files.insert(below.into_os_string().into_vec(), sum.finish());
        }
    }
    Ok(())
}

/// Fills an empty machine with rows and files.
pub(super) fn fill(machine: &Machine, size: Size) -> Result<(), String> {
    // Words of random letters; some words are more frequent than others, as in a language.
    machine.sql(&format!(
        "CREATE INDEX IF NOT EXISTS posts_text ON posts USING gin (to_tsvector('english', message)); \
         CREATE INDEX IF NOT EXISTS posts_root ON posts (rootid); \
         INSERT INTO posts (id, message, rootid) \
         SELECT substr(md5(n::text) || md5('x' || n), 1, 26), string_agg(word, ' '), '' \
         FROM generate_series(1, {}) n CROSS JOIN LATERAL ( \
             SELECT translate(md5(floor(3000 * power(random(), 3))::text), '0123456789', 'aeiouaeiou') AS word \
             FROM generate_series(1, 3 + n % 12)) w GROUP BY n",
        size.rows
    ))?;
    files(&machine.data(), size.files).map_err(|error| format!("cannot make files: {error}"))
}

fn files(data: &Path, count: u32) -> io::Result<()> {
    let mut random = 1_u32;
    let mut noise = vec![0; FILE_BYTES as usize];
    for byte in &mut noise {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = random.to_be_bytes()[0];
    }
    for number in 0..count {
        let length = (number * 7919 % FILE_BYTES) as usize;
        let name = format!(
            "202611{:02}/teams/{}/{number}",
            number % 28 + 1,
            number % 50
        );
        write(data, name.as_ref(), &noise[noise.len() - length..])?;
    }
    write(data, "odd/new\nline".as_ref(), b"odd")?;
    write(data, &OsString::from_vec(b"odd/\xff\xfe".to_vec()), b"odd")?;
    write(data, format!("odd/{}", "x".repeat(255)).as_ref(), b"odd")?;
    write(data, "odd/first".as_ref(), b"two names")?;
    fs::hard_link(data.join("odd/first"), data.join("odd/second"))?;
    for (name, target) in [
        ("odd/in", "first"),
        ("odd/out", "/etc/passwd"),
        ("odd/up", "../../.."),
    ] {
        symlink(target, data.join(name))?;
        own(&data.join(name))?;
    }
    write(data, "odd/sparse".as_ref(), b"begin")?;
    let mut sparse = OpenOptions::new()
        .write(true)
        .open(data.join("odd/sparse"))?;
    sparse.seek(SeekFrom::Start(40 << 20))?;
    sparse.write_all(b"end")?;
    write(data, format!("{RESTLESS}/grows").as_ref(), b"begin")?;
    write(data, "odd/closed".as_ref(), b"nobody may read it")?;
    fs::set_permissions(data.join("odd/closed"), fs::Permissions::from_mode(0o000))?;
    let roots = data.join("../../roots");
    fs::write(&roots, b"secret")?;
    fs::hard_link(roots, data.join(LENT))
}

/// Changes rows and files after the backup.
pub(super) fn change(machine: &Machine, word: &str) -> Result<(), String> {
    machine.sql(&format!(
        "INSERT INTO posts (id, message, rootid) SELECT substr(md5('{word}' || n), 1, 26), 'later {word}', '' \
         FROM generate_series(1, 10) n; DELETE FROM posts WHERE id IN (SELECT max(id) FROM posts WHERE message NOT LIKE 'later%')"
    ))?;
    let written = || {
        write(&machine.data(), "odd/first".as_ref(), word.as_bytes())?;
        write(&machine.data(), "later".as_ref(), word.as_bytes())
    };
    written().map_err(|error| format!("cannot write: {error}"))
}

/// Lets files grow, come and go until `enough` is set.
pub(super) fn be_restless(data: &Path, enough: &AtomicBool) {
    const PAUSE: Duration = Duration::from_millis(5);
    let mut number = 0_u64;
    while !enough.load(Ordering::SeqCst) {
        number += 1;
        let dir = data.join(RESTLESS);
        // A restore takes the directory away meanwhile: errors are ignored.
        let grows = OpenOptions::new().append(true).open(dir.join("grows"));
        let _ = grows.and_then(|mut file| file.write_all(&[b'x'; 5000]));
        let _ = fs::write(dir.join(format!("comes-{number}")), "and goes");
        let _ = fs::remove_file(dir.join(format!("comes-{}", number.saturating_sub(3))));
        let _ = wait::within(PAUSE, || None::<()>);
    }
}

fn write(data: &Path, name: &std::ffi::OsStr, content: &[u8]) -> io::Result<()> {
    let path = data.join(name);
    let missing = path.ancestors().skip(1).take_while(|it| !it.exists());
    let missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    for dir in missing.iter().rev() {
        fs::create_dir(dir)?;
        own(dir)?;
    }
    fs::write(&path, content)?;
    own(&path)
}

fn own(path: &Path) -> io::Result<()> {
    let user = User::from_name(ACCOUNT).map_err(io::Error::from)?;
    let user = user.ok_or_else(|| io::Error::other(format!("there is no account {ACCOUNT}")))?;
    lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}
