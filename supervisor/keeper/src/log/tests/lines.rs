//! Lines in the log: stamped, cut, ended and marked, and never mixed.

use super::*;

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

/// The thread reads the end of two runs and the beginning of a third at once.
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
    // The thread reads nothing before everything is written.
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

    // The run ends after the thread has read all of its output, with or without output of the next
    // run.
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

/// The mark follows the run's output even if the run wrote nothing, and even if nothing is read
/// before the next run writes.
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
