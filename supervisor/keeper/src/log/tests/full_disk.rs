//! Logging on a full disk.

use std::time::Instant;

use super::*;

/// Mounts a disk of 64 KiB; false: mounting needs root.
fn small_disk(tmp: &TempDir) -> bool {
    let (tmpfs, size) = (Some("tmpfs"), Some("size=64k"));
    let flags = nix::mount::MsFlags::empty();
    if let Err(error) = nix::mount::mount(tmpfs, tmp.path(), tmpfs, flags, size) {
        skip::note(&format!("needs root to mount a small tmpfs: {error}"));
        return false;
    }
    true
}

#[test]
fn what_a_full_disk_takes_is_counted_and_told_when_it_works_again() {
    let tmp = TempDir::new().unwrap();
    if !small_disk(&tmp) {
        return;
    }
    let current = tmp.path().join(CURRENT);
    let filler = tmp.path().join("filler");
    let mut full = File::create(&filler).unwrap();
    while full.write(&[0; 4096]).is_ok() {}
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
    writer.write_all(b"lost\nlost too\n").unwrap();
    handle.sync();
    writer.write_all(b"and this\n").unwrap();
    handle.sync();
    let told = handle.take_troubles();
    let [(_, Some(LogTrouble::LosesLines { lines: 2.., why }))] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(why.starts_with("No space left"), "{why}");
    drop(full);
    fs::remove_file(&filler).unwrap();
    writer.write_all(b"back\n").unwrap();
    handle.sync();
    assert_eq!(handle.take_troubles(), [("s".to_owned(), None)]);
    handle.stop();
    let lines = text(&lines(&current));
    nix::mount::umount(tmp.path()).unwrap();
    let bytes = "lostlost tooand this".len() + 3 * (STAMP_BYTES + 1);
    let told = format!(
        "[mattervisor] 3 lines ({bytes} bytes) could not be written and are lost: No space left"
    );
    assert!(lines[0].starts_with(&told), "{}", lines[0]);
    assert_eq!(lines[1..], ["back"]);
}

#[test]
fn half_written_line_is_taken_back_when_the_disk_fills_up() {
    let tmp = TempDir::new().unwrap();
    if !small_disk(&tmp) {
        return;
    }
    let handle = LogThread::start().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let dir = tmp.path().join("s");
    handle.open(
        "s",
        Spec {
            dir: dir.clone(),
            size_bytes: 0,
            keep: 1,
            ..Spec::default()
        },
        reader.into(),
    );
    for n in 0..1000 {
        writer.write_all(format!("{n:0100}\n").as_bytes()).unwrap();
    }
    handle.sync();
    let before = lines(&dir.join(CURRENT));
    fs::rename(dir.join(CURRENT), "/dev/null").unwrap_err();
    fs::remove_file(dir.join(CURRENT)).unwrap();
    writer.write_all(b"back\n").unwrap();
    handle.stop();
    let after = text(&lines(&dir.join(CURRENT)));
    nix::mount::umount(tmp.path()).unwrap();
    assert!(
        (300..520).contains(&before.len()),
        "{} lines fit",
        before.len()
    );
    for (n, line) in text(&before).iter().enumerate() {
        assert_eq!(*line, format!("{n:0100}"));
    }
    let told = format!("[mattervisor] {} lines", 1000 - before.len());
    assert!(after[0].starts_with(&told), "{}", after[0]);
    assert_eq!(after[1..], ["back"]);
}

/// The count of lost lines dies with the keeper, so the keeper reports it once there is room, not
/// with the next line.
#[test]
fn what_was_lost_is_told_once_there_is_room_though_no_line_comes() {
    let tmp = Rc::new(TempDir::new().unwrap());
    if !small_disk(&tmp) {
        return;
    }
    let filler = tmp.path().join("filler");
    let mut full = File::create(&filler).unwrap();
    while full.write(&[0; 4096]).is_ok() {}
    let mut world = World::with(Rc::clone(&tmp), Spec::default(), Places::usual());
    world.writer.write_all(b"lost\n").unwrap();
    world.handle.sync();
    drop(full);
    fs::remove_file(&filler).unwrap();
    let current = tmp.path().join("var/s").join(CURRENT);
    let end = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let told = fs::read_to_string(&current).unwrap_or_default();
        if !told.is_empty() || Instant::now() > end {
            break told;
        }
        let _ = nix::poll::poll(&mut [], 5u8);
    };
    world.handle.stop();
    nix::mount::umount(tmp.path()).unwrap();
    assert!(told.contains("[mattervisor] 1 lines ("), "{told:?}");
}
