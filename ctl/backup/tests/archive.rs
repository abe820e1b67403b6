//! Archives: our own reader and GNU tar read every member as it was written, and the reader notices
//! every changed or lost byte.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};

use mattervisor_backup::{
    Watch,
    archive::{self, EntryKind, Error, Writer},
    files::{Saver, Trouble, Troubles},
};
use proptest::prelude::*;
use safe_path::Folder;
use tempfile::TempDir;

struct World {
    dir: TempDir,
    data: PathBuf,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        Self { dir, data }
    }

    fn file(&self, name: impl AsRef<OsStr>, content: &[u8]) -> PathBuf {
        let path = self.data.join(name.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("archive.tar.zst")
    }

    /// Archives the tree.
    fn save(&self) -> Troubles {
        self.save_with(&mut Watch::silent())
    }

    fn save_with(&self, watch: &mut Watch) -> Troubles {
        let mut writer = self.writer();
        let mut saver = Saver::new(&mut writer);
        let top = Folder::open(&self.data, None).unwrap();
        saver.tree(&top, "files/data", watch).unwrap();
        let troubles = saver.troubles;
        writer.document(archive::REPORT, b"{}").unwrap();
        writer.finish().unwrap();
        troubles
    }

    fn writer(&self) -> Writer {
        let file = File::create(self.archive()).unwrap();
        let mut writer = Writer::new(file, tempfile::tempfile().unwrap(), 1_700_000_000).unwrap();
        writer
            .document(archive::MANIFEST, b"{\"format\":1}")
            .unwrap();
        writer.new_frame().unwrap();
        writer
    }

    /// Unpacks the archive by GNU tar.
    fn unpacked(&self) -> PathBuf {
        let out = self.dir.path().join("out");
        fs::create_dir(&out).unwrap();
        let archive = self.archive();
        let done = run(
            "tar",
            &["--zstd".as_ref(), "-xpSf".as_ref(), archive.as_os_str()],
            &out,
        );
        assert_eq!(done, "");
        out
    }
}

/// Runs a program, which must succeed, and returns its output.
fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S], dir: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(dir);
    #[expect(clippy::disallowed_methods, reason = "a test's own child")]
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{program}: {said}");
    said
}

/// Kind and content of each member, by name.
type Members = BTreeMap<Vec<u8>, (EntryKind, Vec<u8>)>;
/// A change to an archive file.
type Change = fn(&File);

fn read(path: &Path) -> Result<Members, Error> {
    let file = File::open(path).unwrap();
    let mut found = BTreeMap::new();
    archive::each::<Error>(
        &file,
        |_| Ok(()),
        |entry| {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            found.insert(entry.name.clone(), (entry.kind, content));
            Ok(())
        },
    )?;
    Ok(found)
}

fn counts(troubles: &Troubles) -> Vec<(Trouble, u64)> {
    troubles
        .iter()
        .map(|(trouble, told)| (trouble, told.count))
        .collect()
}

#[test]
fn what_goes_in_comes_out() {
    let world = World::new();
    let long = "d".repeat(90) + "/" + &"e".repeat(90) + "/" + &"f".repeat(200);
    let raw = OsStr::from_bytes(b"caf\xe9 \\ and\nline");
    world.file("plain", b"content");
    world.file("empty", b"");
    world.file(&long, b"long");
    world.file(raw, b"raw");
    let big: Vec<u8> = (0..3_000_001_u32)
        .map(|it| u8::try_from(it % 251).unwrap())
        .collect();
    world.file("big", &big);
    fs::set_permissions(world.data.join("plain"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("plain", world.data.join("link")).unwrap();
    symlink("../../etc/passwd", world.data.join("out")).unwrap();
    fs::hard_link(world.data.join("plain"), world.data.join("second")).unwrap();
    let _socket = UnixListener::bind(world.data.join("socket")).unwrap();

    let troubles = world.save();
    assert_eq!(
        counts(&troubles),
        [(Trouble::Special, 1), (Trouble::LeadsOut, 1)]
    );
    assert_eq!(troubles.lost(), 0);

    let ours = read(&world.archive()).unwrap();
    let name = |name: &OsStr| [b"files/data/", name.as_bytes()].concat();
    assert_eq!(ours[&name(long.as_ref())].1, b"long");
    assert_eq!(ours[&name(raw)].1, b"raw");
    assert_eq!(ours[&name("big".as_ref())].1, big);
    let kinds = ["link", "plain", "second"].map(|it| ours[&name(it.as_ref())].0);
    assert_eq!(kinds[0], EntryKind::Symlink);
    // Two hard links to a file: whichever name came first is the file with the content.
    assert!(
        kinds[1..] == [EntryKind::File, EntryKind::HardLink]
            || kinds[1..] == [EntryKind::HardLink, EntryKind::File]
    );

    let out = world.unpacked();
    run(
        "sha256sum",
        &["--check", "--strict", "--quiet", "SHA256SUMS"],
        &out,
    );
    let data = out.join("files/data");
    assert_eq!(fs::read(data.join(&long)).unwrap(), b"long");
    assert_eq!(fs::read(data.join(raw)).unwrap(), b"raw");
    let (first, second) = (data.join("plain"), data.join("second"));
    assert_eq!(
        first.metadata().unwrap().ino(),
        second.metadata().unwrap().ino()
    );
    assert_eq!(first.metadata().unwrap().mode() & 0o777, 0o640);
    let then = world.data.join("plain").metadata().unwrap();
    let now = first.metadata().unwrap();
    assert_eq!(
        (now.mtime(), now.mtime_nsec()),
        (then.mtime(), then.mtime_nsec())
    );
    assert!(!data.join("socket").exists());
}

#[test]
fn a_hole_costs_nothing_and_stays_one() {
    let world = World::new();
    let mut sparse = File::create(world.data.join("sparse")).unwrap();
    // More parts than a header and one extension header can name.
    for part in 0..40_u64 {
        sparse
            .seek(SeekFrom::Start(part * (1 << 20) + (1 << 19)))
            .unwrap();
        sparse.write_all(b"island").unwrap();
    }
    sparse.set_len(200 << 20).unwrap();
    drop(sparse);
    File::create(world.data.join("all-hole"))
        .unwrap()
        .set_len(50 << 20)
        .unwrap();
    assert_eq!(counts(&world.save()), []);
    assert!(world.archive().metadata().unwrap().len() < 100_000);

    let ours = read(&world.archive()).unwrap();
    let then = fs::read(world.data.join("sparse")).unwrap();
    assert!(ours[b"files/data/sparse".as_slice()].1 == then);
    let out = world.unpacked();
    run(
        "sha256sum",
        &["--check", "--strict", "--quiet", "SHA256SUMS"],
        &out,
    );
    let unpacked = out.join("files/data/sparse").metadata().unwrap();
    assert!(
        unpacked.blocks() * 512 < 4 << 20,
        "{} blocks",
        unpacked.blocks()
    );
}

/// A watch that runs `change` once, when at least `at` bytes of the tree have been read.
fn changing(at: u64, change: impl Fn() + 'static) -> Watch {
    let done = std::cell::Cell::new(false);
    let mut watch = Watch::new(mattervisor_backup::Stop::default(), |_| {});
    watch.at_each(move |bytes| {
        if bytes >= at && !done.replace(true) {
            change();
        }
    });
    watch
}

#[test]
fn a_file_that_grows_shrinks_or_changes_meanwhile_is_told() {
    let changes: [(Trouble, Change); 3] = [
        (Trouble::Grew, |file| {
            file.write_all_at(b"more", 2_000_000).unwrap();
        }),
        (Trouble::Shrank, |file| file.set_len(700_000).unwrap()),
        (Trouble::Changed, |file| {
            file.write_all_at(b"other", 100).unwrap();
        }),
    ];
    for (trouble, change) in changes {
        let world = World::new();
        let path = world.file("file", &vec![7; 2_000_000]);
        let before = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(before)
            .unwrap();
        let mut watch = changing(500_000, move || {
            change(&File::options().write(true).open(&path).unwrap());
        });
        let troubles = world.save_with(&mut watch);
        assert_eq!(counts(&troubles), [(trouble, 1)]);
        assert_eq!(troubles.lost(), 0);
        let ours = read(&world.archive()).unwrap();
        assert_eq!(ours[b"files/data/file".as_slice()].1.len(), 2_000_000);
    }
}

#[test]
fn a_sparse_file_that_shrinks_meanwhile_leaves_a_good_archive() {
    let world = World::new();
    let path = world.data.join("sparse");
    let file = File::create(&path).unwrap();
    file.write_all_at(&vec![1; 1 << 20], 0).unwrap();
    file.write_all_at(&vec![2; 1 << 20], 8 << 20).unwrap();
    file.set_len(20 << 20).unwrap();
    let mut watch = changing(1 << 19, move || file.set_len(1 << 20).unwrap());
    assert_eq!(counts(&world.save_with(&mut watch)), [(Trouble::Shrank, 1)]);
    let ours = read(&world.archive()).unwrap();
    let content = &ours[b"files/data/sparse".as_slice()].1;
    assert_eq!(content.len(), 20 << 20);
    assert!(content[1 << 20..].iter().all(|byte| *byte == 0));
}

#[test]
fn an_unreadable_file_is_named_and_counts_as_a_loss() {
    if nix::unistd::geteuid().is_root() {
        // Root may read every file here, so a directory that is too deep stands in: it counts as a
        // loss too.
        let world = World::new();
        let deep = (0..140).fold(world.data.clone(), |path, _| path.join("d"));
        fs::create_dir_all(deep).unwrap();
        let troubles = world.save();
        assert_eq!(counts(&troubles), [(Trouble::TooDeep, 1)]);
        assert_eq!(troubles.lost(), 1);
        read(&world.archive()).unwrap();
        return;
    }
    let world = World::new();
    let path = world.file("closed", b"secret");
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    let troubles = world.save();
    assert_eq!(counts(&troubles), [(Trouble::Unreadable, 1)]);
    assert_eq!(troubles.lost(), 1);
}

/// A small archive: two files and a symlink.
fn sample() -> (World, Vec<u8>) {
    let world = World::new();
    world.file("plain", b"content");
    world.file(
        "noise",
        &(0..20_000_u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<_>>(),
    );
    symlink("plain", world.data.join("link")).unwrap();
    world.save();
    let bytes = fs::read(world.archive()).unwrap();
    (world, bytes)
}

#[test]
fn each_flipped_bit_and_each_cut_is_found() {
    let (world, bytes) = sample();
    read(&world.archive()).unwrap();
    let damaged = world.dir.path().join("damaged");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    runner
        .run(&(0..bytes.len(), 0..8_u32), |(at, bit)| {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&damaged, &flipped).unwrap();
            prop_assert!(read(&damaged).is_err(), "bit {bit} of byte {at}");
            fs::write(&damaged, &bytes[..at]).unwrap();
            prop_assert!(read(&damaged).is_err(), "cut at {at}");
            Ok(())
        })
        .unwrap();
    // Every bit at both ends, where the headers and the trailer lie.
    for at in (0..64).chain(bytes.len() - 64..bytes.len()) {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&damaged, &flipped).unwrap();
            assert!(read(&damaged).is_err(), "bit {bit} of byte {at}");
        }
    }
    fs::write(&damaged, [bytes.as_slice(), b"x"].concat()).unwrap();
    assert!(read(&damaged).is_err());
    fs::write(&damaged, [bytes.as_slice(), bytes.as_slice()].concat()).unwrap();
    assert!(read(&damaged).is_err());
}

#[test]
fn the_manifest_is_read_without_the_rest_but_never_of_one_that_is_cut() {
    let (world, bytes) = sample();
    let manifest = archive::first(&File::open(world.archive()).unwrap()).unwrap();
    assert_eq!(manifest, b"{\"format\":1}");
    let cut = world.dir.path().join("cut");
    fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    let error = archive::first(&File::open(&cut).unwrap()).unwrap_err();
    assert!(matches!(error, Error::CutOff), "{error}");
    fs::write(&cut, b"PGDMP whatever").unwrap();
    let error = archive::first(&File::open(&cut).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Foreign(_)), "{error}");
}

#[test]
fn the_whole_sum_is_found_by_hand() {
    let (world, _) = sample();
    let script = r#"test "$(head -c -48 "$1" | sha256sum | cut -d' ' -f1)" = "$(tail -c 32 "$1" | od -An -tx1 -v | tr -d ' \n')""#;
    let archive = world.archive();
    run(
        "sh",
        &[
            "-c".as_ref(),
            script.as_ref(),
            "sh".as_ref(),
            archive.as_os_str(),
        ],
        world.dir.path(),
    );
}
