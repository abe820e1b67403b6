//! Rotation by size, by age and on demand, and what becomes of the rotated files.

use super::*;

const HOUR_MS: u64 = 3_600_000;

fn aged(tmp: Rc<TempDir>, age_ms: u64) -> World {
    let spec = Spec {
        keep: 10,
        age_ms: Some(age_ms),
        ..Spec::default()
    };
    World::with(tmp, spec, Places::usual())
}

/// A `current` of an earlier keeper, whose only line is this old.
fn with_line_from(ago: Duration) -> Rc<TempDir> {
    let tmp = Rc::new(TempDir::new().unwrap());
    let dir = tmp.path().join("var/s");
    fs::create_dir_all(&dir).unwrap();
    let at = jiff::Timestamp::now() - ago;
    let stamp = at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ");
    fs::write(dir.join(CURRENT), format!("{stamp} old\n")).unwrap();
    tmp
}

#[test]
fn age_counts_from_the_first_line_also_of_an_earlier_life() {
    for (ago, files_after) in [(2 * HOUR_MS, 2), (HOUR_MS / 2, 1)] {
        let mut world = aged(with_line_from(Duration::from_millis(ago)), HOUR_MS);
        world.handle.sync();
        let before = files(&world.dir()).len();
        assert_eq!(before, 1, "nothing is rotated before a line comes");
        world.write(b"new\n");
        world.handle.sync();
        let names = files(&world.dir());
        assert_eq!(
            names.len(),
            files_after,
            "first line {ago} ms old: {names:?}"
        );
        let last = text(&lines(&world.current()));
        assert_eq!(last.last().unwrap(), "new");
        assert_eq!(text(&world.stop()), ["old", "new"]);
    }
}

#[test]
fn every_file_gets_as_old_as_the_first() {
    let tmp = Rc::new(TempDir::new().unwrap());
    let mut world = aged(tmp, 20);
    for line in ["a\n", "b\n", "c\n"] {
        world.write(line.as_bytes());
        world.handle.sync();
        let stamped = fs::read_to_string(world.current()).unwrap();
        let at: jiff::Timestamp = stamped[..STAMP_BYTES - 1].parse().unwrap();
        // Waits until the file is old enough; a loaded machine only makes the file older.
        let (_nobody, never) = mpsc::channel::<()>();
        while jiff::Timestamp::now().duration_since(at) < jiff::SignedDuration::from_millis(20) {
            never.recv_timeout(Duration::from_millis(1)).unwrap_err();
        }
    }
    assert_eq!(files(&world.dir()).len(), 3);
    assert_eq!(text(&world.stop()), ["a", "b", "c"]);
}

#[test]
fn age_that_is_given_later_holds_for_the_open_file() {
    let tmp = with_line_from(Duration::from_secs(7200));
    let mut world = World::with(
        tmp,
        Spec {
            keep: 1,
            ..Spec::default()
        },
        Places::usual(),
    );
    let spec = Spec {
        dir: world.dir(),
        keep: 1,
        age_ms: Some(HOUR_MS),
        ..Spec::default()
    };
    world.handle.reconfigure("s", spec);
    world.handle.sync();
    world.write(b"new\n");
    world.handle.sync();
    assert_eq!(files(&world.dir()).len(), 2);
}

#[test]
fn on_demand_the_next_line_goes_to_a_new_file_and_an_empty_one_stays() {
    let mut world = World::new(0, 10);
    world.handle.rotate("s");
    world.handle.sync();
    assert_eq!(files(&world.dir()), [world.current()]);
    world.write(b"one\nhalf");
    world.handle.rotate("s");
    world.handle.rotate("s");
    world.handle.sync();
    world.write(b" a line\n");
    world.handle.sync();
    let names = files(&world.dir());
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(text(&lines(&names[0])), ["one"]);
    assert_eq!(text(&lines(&names[1])), ["half a line"]);
}

#[test]
fn plain_and_compressed_files_count_alike() {
    let tmp = Rc::new(TempDir::new().unwrap());
    let dir = tmp.path().join("var/s");
    fs::create_dir_all(&dir).unwrap();
    let old =
        |second: u8, end: &str| dir.join(format!("2026-01-01T00-00-0{second}.000000Z.log{end}"));
    for (second, end) in [(1, ".zst"), (2, ".zst"), (3, ""), (3, ".zst"), (4, "")] {
        fs::write(old(second, end), "").unwrap();
    }
    let mut world = World::with(
        tmp,
        Spec {
            keep: 3,
            ..Spec::default()
        },
        Places::usual(),
    );
    world.write(b"line\n");
    world.handle.rotate("s");
    world.handle.sync();
    let names = files(&dir);
    assert_eq!(names[..3], [old(3, ""), old(3, ".zst"), old(4, "")]);
    assert_eq!(names.len(), 5, "{names:?}");
    world.write(b"line\n");
    world.handle.rotate("s");
    world.handle.sync();
    assert_eq!(files(&dir)[0], old(4, ""));
}

#[test]
fn rotations_are_told_of_those_that_are_to_be_compressed() {
    for compress in [false, true] {
        let tmp = Rc::new(TempDir::new().unwrap());
        let spec = Spec {
            size_bytes: 10,
            keep: 2,
            compress,
            ..Spec::default()
        };
        let mut world = World::with(tmp, spec, Places::usual());
        world.write(b"fills it\n");
        world.handle.sync();
        let expected = if compress {
            vec!["s".to_owned()]
        } else {
            vec![]
        };
        assert_eq!(world.handle.take_rotated(u64::MAX), (expected, false));
    }
}

/// An account that is neither root nor ours.
const NOBODY: u32 = 65_534;

#[test]
fn a_directory_that_became_an_accounts_is_taken_back_and_its_link_not_followed() {
    if !nix::unistd::geteuid().is_root() {
        skip::skip!("another account needs root");
    }
    let tmp = Rc::new(TempDir::new().unwrap());
    let dir = tmp.path().join("var/s");
    fs::create_dir_all(&dir).unwrap();
    let preload = tmp.path().join("ld.so.preload");
    fs::write(&preload, "").unwrap();
    symlink(&preload, dir.join(CURRENT)).unwrap();
    std::os::unix::fs::lchown(dir.join(CURRENT), Some(NOBODY), Some(NOBODY)).unwrap();
    std::os::unix::fs::chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
    let mut world = World::with(tmp, Spec::default(), Places::usual());
    world.write(b"DIR/evil.so\n");
    world.handle.sync();
    assert_eq!(fs::read_to_string(&preload).unwrap(), "");
    let now = fs::metadata(&dir).unwrap();
    assert_eq!((now.uid(), now.gid()), (0, NOBODY), "its group may read on");
    assert_eq!(text(&lines(&world.current())), ["DIR/evil.so"]);
    // The same attack while the thread writes to the file.
    fs::remove_file(world.current()).unwrap();
    symlink(&preload, world.current()).unwrap();
    world.write(b"more\n");
    world.handle.sync();
    assert_eq!(fs::read_to_string(&preload).unwrap(), "");
    assert_eq!(text(&lines(&world.current())), ["more"]);
    // A file of another owner or with a second name is set aside.
    fs::remove_file(world.current()).unwrap();
    fs::hard_link(&preload, world.current()).unwrap();
    world.write(b"last\n");
    world.handle.sync();
    assert_eq!(fs::read_to_string(&preload).unwrap(), "");
    assert_eq!(text(&lines(&world.current())), ["last"]);
}

#[test]
fn rotation_keeps_every_line_once_and_whole() {
    const LINES: usize = 20_000;
    let mut world = World::new(10_000, 1000);
    let mut sent = Vec::new();
    for n in 0..LINES {
        writeln!(sent, "line {n} {}", "x".repeat(n % 200)).unwrap();
    }
    // Pieces that end within lines.
    for piece in sent.chunks(1777) {
        world.write(piece);
    }
    let (_tmp, dir) = (Rc::clone(&world.tmp), world.dir());
    let got = text(&world.stop());
    assert_eq!(got.len(), LINES);
    for (n, line) in got.iter().enumerate() {
        assert_eq!(*line, format!("line {n} {}", "x".repeat(n % 200)));
    }
    let files = files(&dir);
    assert!(files.len() > 100, "{}", files.len());
    for path in &files[..files.len() - 1] {
        let size = fs::metadata(path).unwrap().len();
        assert!(
            (10_000..10_300).contains(&size),
            "{path:?} has {size} bytes"
        );
    }
}

#[test]
fn oldest_files_beyond_keep_are_deleted_and_others_left_alone() {
    let mut world = World::new(100, 3);
    world.handle.sync();
    fs::write(world.dir().join("notes.log"), "mine").unwrap();
    for n in 0..50 {
        world.write(format!("{n} {}\n", "x".repeat(80)).as_bytes());
    }
    let World { tmp, handle, .. } = world;
    let dir = tmp.path().join("var/s");
    handle.stop();
    let names: Vec<_> = files(&dir)
        .iter()
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
    assert_eq!(names[3..], ["current", "notes.log"]);
    assert!(text(&lines(&dir.join(&names[2])))[0].starts_with("49 "));
}
