//! The log thread from outside: pipes in, files out. `Handle::stop` and `sync` end every wait.

use std::{
    fs::{self, File},
    io::{PipeWriter, Write, pipe},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    rc::Rc,
    sync::mpsc,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::*;

mod forward;
mod full_disk;
mod rotation;
mod take_over;

/// One service `s` with its log in a directory that is not there yet.
struct World {
    tmp: Rc<TempDir>,
    handle: Handle,
    writer: PipeWriter,
    pipe_reader: PipeReader,
}

impl World {
    fn new(size_bytes: u64, keep: u32) -> World {
        let tmp = Rc::new(TempDir::new().unwrap());
        let spec = Spec {
            size_bytes,
            keep,
            ..Spec::default()
        };
        World::with(tmp, spec, Places::usual())
    }

    /// With a spec whose directory is filled in, in a place that may hold something already.
    fn with(tmp: Rc<TempDir>, mut spec: Spec, places: Places) -> World {
        let handle = LogThread::start_with(places).unwrap();
        let (reader, writer) = pipe().unwrap();
        spec.dir = tmp.path().join("var/s");
        let pipe_reader = handle.open("s", spec, reader.into());
        World {
            tmp,
            handle,
            writer,
            pipe_reader,
        }
    }

    fn dir(&self) -> PathBuf {
        self.tmp.path().join("var/s")
    }

    fn current(&self) -> PathBuf {
        self.dir().join(CURRENT)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).unwrap();
    }

    fn finish(&self) {
        self.handle
            .finish("s", &self.pipe_reader, &self.writer, None);
    }

    fn finish_marked(&self, mark: &str) {
        let mark = Some(mark.to_owned());
        self.handle
            .finish("s", &self.pipe_reader, &self.writer, mark);
    }

    /// Stops the thread; the lines of all files, oldest first, without stamps.
    fn stop(self) -> Vec<Vec<u8>> {
        let dir = self.dir();
        self.handle.stop();
        files(&dir).iter().flat_map(|path| lines(path)).collect()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // `current` is the newest, and sorts behind the digits.
    files.sort();
    files
}

/// The lines of a file, each checked for its stamp and stripped of it.
fn lines(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    assert!(
        bytes.is_empty() || bytes.ends_with(b"\n"),
        "{path:?} ends in the middle of a line"
    );
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines
        .map(|line| {
            let stamp = std::str::from_utf8(&line[..STAMP_BYTES - 1]).unwrap();
            stamp.parse::<jiff::Timestamp>().unwrap();
            assert_eq!(line[STAMP_BYTES - 1], b' ');
            line[STAMP_BYTES..line.len() - 1].to_vec()
        })
        .collect()
}

fn text(lines: &[Vec<u8>]) -> Vec<String> {
    lines
        .iter()
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect()
}

#[test]
fn lines_are_stamped_and_bytes_pass_as_they_are() {
    let mut world = World::new(0, 1);
    world.write(b"one\n\ntwo \xff\xfe\n");
    world.handle.sync();
    assert_eq!(
        fs::metadata(world.current()).unwrap().permissions().mode() & 0o137,
        0
    );
    assert_eq!(
        fs::metadata(world.dir()).unwrap().permissions().mode() & 0o027,
        0
    );
    assert_eq!(
        world.stop(),
        [b"one".to_vec(), b"".to_vec(), b"two \xff\xfe".to_vec()]
    );
}

#[test]
fn line_that_comes_in_pieces_is_one_line() {
    let mut world = World::new(0, 1);
    for piece in ["a", "b", "c\nd", "e\n"] {
        world.write(piece.as_bytes());
        world.handle.sync();
    }
    assert_eq!(text(&world.stop()), ["abc", "de"]);
}

#[test]
fn no_line_of_a_service_looks_like_one_of_ours() {
    let mut world = World::new(0, 1);
    world.write(b"[mattervisor] whole\n[matter");
    world.handle.sync();
    world.write(b"visor] in pieces\n [mattervisor] no\n\\[mattervisor] no\n[mattervisor\n");
    world.write(
        &[
            b"x".repeat(LINE_BYTES_MAX),
            b"[mattervisor] cut\n[mattervisor]half".to_vec(),
        ]
        .concat(),
    );
    world.handle.mark("s", "ours");
    let lines = world.stop();
    let short: Vec<_> = lines.iter().filter(|line| line.len() < 100).collect();
    let short: Vec<_> = short
        .iter()
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    let cut = short[5];
    assert!(
        cut.starts_with("[mattervisor] the line above is longer"),
        "{cut}"
    );
    assert_eq!(
        short,
        [
            r"\[mattervisor] whole",
            r"\[mattervisor] in pieces",
            " [mattervisor] no",
            r"\[mattervisor] no",
            "[mattervisor",
            cut,
            r"\[mattervisor] cut",
            r"\[mattervisor]half",
            "[mattervisor] ours",
        ]
    );
}

#[test]
fn partial_line_is_flushed_by_close_by_mark_and_by_the_last_writer_going() {
    let mut world = World::new(0, 1);
    world.write(b"half");
    world.handle.mark("s", "exited\nwith 1");
    world.handle.sync();
    world.write(b"at close");
    world.handle.close("s");
    world.handle.sync();
    assert_eq!(
        text(&lines(&world.current())),
        ["half", "[mattervisor] exited with 1", "at close"]
    );

    let mut world = World::new(0, 1);
    world.write(b"at the end");
    let World {
        tmp,
        handle,
        writer,
        ..
    } = world;
    drop(writer);
    handle.mark("s", "after");
    handle.stop();
    let lines = lines(&tmp.path().join("var/s/current"));
    assert_eq!(text(&lines), ["at the end", "[mattervisor] after"]);
}

/// The thread reads the last words of two runs and the first ones of a third at once.
#[test]
fn a_run_that_ends_within_a_line_does_not_get_that_of_the_next_one() {
    let tmp = Rc::new(TempDir::new().unwrap());
    let handle = LogThread::start_with(Places::usual()).unwrap();
    let (reader, writer) = pipe().unwrap();
    let spec = Spec {
        dir: tmp.path().join("var/s"),
        keep: 1,
        ..Spec::default()
    };
    // Nothing is read before all has been written.
    let pipe_reader = handle.open_later("s", spec, reader.into(), None);
    let mut world = World {
        tmp,
        handle,
        writer,
        pipe_reader,
    };
    for run in ["one\nonly ha", "", "two\nand ha", "lf\nthree\n"] {
        world.write(run.as_bytes());
        world.finish();
    }
    world.handle.sync();
    let expected = ["one", "only ha", "two", "and ha", "lf", "three"];
    assert_eq!(text(&lines(&world.current())), expected);

    // The end comes when all of the run has been read; then with what the next one writes, or not.
    for next in ["next\n", ""] {
        world.write(b"again ha");
        world.handle.sync();
        world.finish();
        world.write(next.as_bytes());
        world.handle.wake();
        world.handle.sync();
    }
    let now = text(&lines(&world.current()));
    assert_eq!(now[expected.len()..], ["again ha", "next", "again ha"]);
}

/// Also of runs that said nothing, and though nothing is read before the next run writes.
#[test]
fn a_mark_stands_behind_all_that_its_run_has_said() {
    let mut world = World::new(0, 1);
    world.write(b"first\nhalf");
    world.finish_marked("one ended");
    world.finish_marked("two ended");
    world.write(b"third\n");
    world.handle.wake();
    world.handle.sync();
    world.finish_marked("three ended");
    world.handle.wake();
    world.handle.sync();
    let expected = [
        "first",
        "half",
        "[mattervisor] one ended",
        "[mattervisor] two ended",
        "third",
        "[mattervisor] three ended",
    ];
    assert_eq!(text(&lines(&world.current())), expected);
}

#[test]
fn rotation_keeps_every_line_once_and_whole() {
    const LINES: usize = 20_000;
    let mut world = World::new(10_000, 1000);
    let mut sent = Vec::new();
    for n in 0..LINES {
        writeln!(sent, "line {n} {}", "x".repeat(n % 200)).unwrap();
    }
    // Pieces that end anywhere.
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

#[test]
fn line_of_64_kib_stays_whole_and_a_longer_one_is_cut_and_marked() {
    let mut world = World::new(0, 1);
    let whole = vec![b'w'; LINE_BYTES_MAX];
    let long = vec![b'l'; LINE_BYTES_MAX + 5];
    for line in [&whole, &long, &b"end".to_vec()] {
        world.write(line);
        world.write(b"\n");
    }
    let lines = world.stop();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], whole);
    assert_eq!(lines[1], long[..LINE_BYTES_MAX]);
    assert!(text(&lines)[2].starts_with("[mattervisor] the line above is longer"));
    assert_eq!(lines[3], b"lllll");
    assert_eq!(lines[4], b"end");
}

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

/// A write into a FIFO works until that is full, and nobody reads it.
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
    // The FIFO lies under another name.
    let after = text(&lines(&world.current()));
    assert!(after[0].starts_with("[mattervisor] 1 lines"), "{after:?}");
    assert_eq!(after[1..], ["four"]);
}

/// Nobody can rename what something is mounted on.
#[test]
fn a_file_that_cannot_be_rotated_is_told_and_goes_on() {
    let mut world = World::new(500, 9);
    world.handle.sync();
    let (current, none) = (world.current(), None::<&str>);
    let flags = nix::mount::MsFlags::MS_BIND;
    if let Err(error) = nix::mount::mount(Some(&current), &current, none, flags, none) {
        eprintln!("skipped: needs root to mount something: {error}");
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

#[test]
fn three_writers_at_once_lose_and_mix_nothing() {
    const LINES: usize = 3000;
    let world = World::new(50_000, 1000);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let mut writer = world.writer.try_clone().unwrap();
            scope.spawn(move || {
                for n in 0..LINES {
                    let line = format!("{name} {n} {}\n", name.repeat(n % 300));
                    writer.write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
    let got = text(&world.stop());
    assert_eq!(got.len(), 3 * LINES);
    for name in ["a", "b", "c"] {
        let own = got.iter().filter(|line| line.starts_with(name));
        for (n, line) in own.enumerate() {
            assert_eq!(*line, format!("{name} {n} {}", name.repeat(n % 300)));
        }
    }
}

#[test]
fn reconfigure_moves_and_resizes_from_the_next_line_on() {
    let mut world = World::new(0, 1);
    world.write(b"old\n");
    let tmp = Rc::clone(&world.tmp);
    let elsewhere = tmp.path().join("elsewhere");
    world.handle.reconfigure(
        "s",
        Spec {
            dir: elsewhere.clone(),
            size_bytes: 1,
            keep: 1,
            ..Spec::default()
        },
    );
    world.handle.sync();
    world.write(b"new\n");
    assert_eq!(text(&world.stop()), ["old"]);
    let files = files(&elsewhere);
    assert_eq!(text(&lines(&files[0])), ["new"]);
    assert_eq!(fs::metadata(&files[1]).unwrap().size(), 0);
}

#[test]
fn idle_thread_never_wakes() {
    const LINES: usize = 20_000;
    let mut worlds = World::new(0, 1);
    // Long enough to be read as a stream.
    for _ in 0..LINES {
        worlds.write(b"a line\n");
    }
    worlds.handle.sync();
    let status = PathBuf::from(format!("/proc/self/task/{}/status", worlds.handle.tid()));
    let field = |key: &str| {
        let text = fs::read_to_string(&status).unwrap();
        text.lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    // Asleep again after the answer; a loaded machine takes its time.
    let (_nobody, never) = mpsc::channel::<()>();
    let wait = |ms| never.recv_timeout(Duration::from_millis(ms)).unwrap_err();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !field("State:").contains("(sleeping)") {
        assert!(
            Instant::now() < deadline,
            "the log thread does not go to sleep"
        );
        wait(1);
    }
    wait(20);
    let before = field("voluntary_ctxt_switches");
    wait(300);
    assert_eq!(field("voluntary_ctxt_switches"), before);
    assert_eq!(text(&worlds.stop()), vec!["a line"; LINES]);
}
