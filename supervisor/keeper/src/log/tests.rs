//! The log thread from outside: bytes go into pipes, and lines come out in files. `Handle::stop`
//! and `sync` end every wait.

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

mod current;
mod forward;
mod full_disk;
mod lines;
mod rotation;
mod take_over;

/// A service `s` whose log directory does not exist yet.
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

    /// A world with this spec in this place, which may contain files already; the spec gets its
    /// directory here.
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

    /// Stops the thread and returns the lines of all files, oldest first, without stamps.
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
    // `current` is the newest file, and its name sorts after the digits of the others.
    files.sort();
    files
}

/// The lines of a file without their stamps; each line must have a stamp.
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
    // Enough lines that the thread reads the pipe as a stream.
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
    // The thread goes back to sleep after its answer; on a loaded machine this takes time.
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
