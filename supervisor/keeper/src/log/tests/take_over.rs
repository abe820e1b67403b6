//! A log pipe whose previous reader died.

use super::*;

/// The dead reader may have been within a line, and may have read lines that it did not write.
/// These lines are missing before what is left in the pipe, so the mark stands there.
#[test]
fn the_mark_stands_before_what_is_left_in_the_pipe() {
    let tmp = TempDir::new().unwrap();
    let current = tmp.path().join(CURRENT);
    fs::write(&current, "2026-11-22T23:04:05.123456Z torn").unwrap();
    let handle = LogThread::start().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"left\n").unwrap();
    let spec = Spec {
        dir: tmp.path().into(),
        ..Spec::default()
    };
    handle.take_over("s", spec, reader.into(), "lines may be missing here");
    writer.write_all(b"new\n").unwrap();
    handle.stop();
    let mark = format!("{MARK}lines may be missing here");
    assert_eq!(text(&lines(&current)), ["torn", &mark, "left", "new"]);
}

/// The run's record stays until the last output of the run is written.
#[test]
fn what_a_run_said_last_is_written_before_that_is_said() {
    let tmp = TempDir::new().unwrap();
    let handle = LogThread::start().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let pipe = reader.try_clone().unwrap();
    let spec = Spec {
        dir: tmp.path().into(),
        ..Spec::default()
    };
    let pipe_reader = handle.open("s", spec, reader.into());
    assert!(pipe_reader.is_written(), "no run has ended");
    writer.write_all(b"last").unwrap();
    handle.finish("s", &pipe_reader, &pipe, None);
    assert!(!pipe_reader.is_written(), "nobody has woken the thread");
    handle.sync();
    assert!(pipe_reader.is_written());
    assert_eq!(text(&lines(&tmp.path().join(CURRENT))), ["last"]);
    handle.stop();
}
