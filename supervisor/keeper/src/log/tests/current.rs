//! The file `current` after somebody deleted, moved, emptied, tore or replaced it.

use super::*;

#[test]
fn deleted_current_and_deleted_directory_are_made_again() {
    let mut world = World::new(0, 1);
    world.write(b"one\n");
    world.handle.sync();
    fs::remove_file(world.current()).unwrap();
    world.write(b"two\n");
    world.handle.sync();
    assert_eq!(text(&lines(&world.current())), ["two"]);
    fs::remove_dir_all(world.tmp.path().join("var")).unwrap();
    world.write(b"three\n");
    assert_eq!(text(&world.stop()), ["three"]);
}

/// Writes into a FIFO succeed until the FIFO is full, and nobody reads them: such a `current` must
/// not get a line.
#[test]
fn what_is_no_file_in_the_place_of_current_takes_no_line() {
    let mut world = World::new(0, 9);
    world.write(b"one\n");
    world.handle.sync();
    fs::rename(world.current(), world.dir().join("a")).unwrap();
    nix::unistd::mkfifo(&world.current(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    world.write(b"two\n");
    world.handle.sync();
    assert_eq!(text(&lines(&world.current())), ["two"]);
    fs::remove_file(world.current()).unwrap();
    fs::create_dir(world.current()).unwrap();
    world.write(b"three\n");
    world.handle.sync();
    let [(_, Some(LogTrouble::LosesLines { lines: 1, .. }))] = &world.handle.take_troubles()[..]
    else {
        panic!("{:?}", world.handle.all_troubles());
    };
    fs::remove_dir(world.current()).unwrap();
    world.write(b"four\n");
    world.handle.sync();
    // The FIFO now has another name.
    let after = text(&lines(&world.current()));
    assert!(after[0].starts_with("[mattervisor] 1 lines"), "{after:?}");
    assert_eq!(after[1..], ["four"]);
}

/// A file that something is mounted on cannot be renamed.
#[test]
fn a_file_that_cannot_be_rotated_is_told_and_goes_on() {
    let mut world = World::new(500, 9);
    world.handle.sync();
    let (current, none) = (world.current(), None::<&str>);
    let flags = nix::mount::MsFlags::MS_BIND;
    if let Err(error) = nix::mount::mount(Some(&current), &current, none, flags, none) {
        skip::note(&format!("needs root to mount something: {error}"));
        return;
    }
    let line = format!("{}\n", "x".repeat(80));
    for _ in 0..20 {
        world.write(line.as_bytes());
    }
    world.handle.sync();
    let told = world.handle.take_troubles();
    nix::mount::umount(&current).unwrap();
    let size = fs::metadata(&current).unwrap().len();
    assert_eq!(size, 20 * (STAMP_BYTES as u64 + 1 + 80));
    let [(service, Some(LogTrouble::NotRotated { why }))] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(service == "s" && why.contains("busy"), "{told:?}");
    for _ in 0..20 {
        world.write(line.as_bytes());
    }
    world.handle.sync();
    assert_eq!(world.handle.take_troubles(), [("s".to_owned(), None)]);
    assert_eq!(world.handle.all_troubles(), []);
}

#[test]
fn file_that_was_moved_away_or_emptied_is_not_lost() {
    let mut world = World::new(0, 1);
    world.write(b"one\n");
    world.handle.sync();
    fs::rename(world.current(), world.dir().join("a")).unwrap();
    world.write(b"two\n");
    world.handle.sync();
    File::create(world.current()).unwrap();
    world.write(b"three\n");
    assert_eq!(text(&world.stop()), ["one", "three"]);
}

#[test]
fn torn_last_line_of_an_earlier_life_is_ended_first() {
    let tmp = TempDir::new().unwrap();
    fs::write(tmp.path().join(CURRENT), "2026-11-22T23:04:05.123456Z torn").unwrap();
    let handle = LogThread::start().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    handle.open(
        "s",
        Spec {
            dir: tmp.path().into(),
            size_bytes: 0,
            keep: 1,
            ..Spec::default()
        },
        reader.into(),
    );
    writer.write_all(b"new\n").unwrap();
    handle.stop();
    assert_eq!(text(&lines(&tmp.path().join(CURRENT))), ["torn", "new"]);
}
