//! Readers of logs get every line once and in order, whatever happens to the files and to the
//! readers.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    process::{Child, Stdio},
};

use api::LogLine;
use mattervisor_tests::{Site, eventually, kill};
use nix::sys::signal::Signal;

/// `ctl` with its output in a file; killed when dropped.
struct Follower {
    child: Child,
    out: PathBuf,
}

impl Follower {
    #[expect(
        clippy::disallowed_methods,
        reason = "no supervisor: it is ended and waited for when dropped"
    )]
    fn start(site: &Site, arguments: &[&str]) -> Self {
        let out = site.path(&format!("followed-{}", arguments.join("-")));
        let mut command = site.ctl_command();
        command.args(arguments).args(["--format", "json"]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(File::create(&out).unwrap());
        let child = command.spawn().unwrap();
        Self { child, out }
    }

    fn bytes(&self) -> u64 {
        fs::metadata(&self.out).unwrap().len()
    }

    /// The complete lines so far.
    fn lines(&self) -> Vec<LogLine> {
        let text = fs::read_to_string(&self.out).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines = whole.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The texts that `ctl logs` prints.
fn texts(site: &Site, arguments: &[&str]) -> Vec<String> {
    let mut all = vec!["logs", "--format", "json"];
    all.extend(arguments);
    let out = site.ctl(&all).ok().stdout;
    let lines = out.lines().map(|line| {
        let line: LogLine = serde_json::from_str(line).unwrap();
        line.text
    });
    lines.collect()
}

/// Behaviours 42 and 44 for a follower: rotation with compression, a new run and the death of the
/// control process, again and again during a flood, neither lose nor repeat a line.
#[test]
fn b42_following_shows_every_line_once_whatever_dies() {
    const LINES: usize = 20_000;
    let mut site = Site::new();
    site.env("MATTERVISOR_COMPRESS_DELAY_MS", "20");
    let flood = format!("flood={LINES}:100");
    let verbs = [&flood, "print=flooded", "sleep"];
    site.child(
        "a",
        &verbs,
        r#"
            [log]
            size = "200K"
            keep = 1000
            compress = true
        "#,
    );
    site.child("b", &["print=quiet", "sleep"], "");
    site.start_ready();
    let follower = Follower::start(&site, &["logs", "-f", "-n", "all", "a", "b"]);
    // Reads only from `from` on, since reading all of the output at each look would be slow.
    let flooded = |from: u64| {
        eventually("the flood has been followed to its end", || {
            let mut text = String::new();
            let mut out = File::open(&follower.out).unwrap();
            out.seek(SeekFrom::Start(from)).unwrap();
            out.read_to_string(&mut text).unwrap();
            text.contains("\"text\":\"flooded\"").then_some(())
        });
        follower.bytes()
    };
    let mut seen = 0;
    for run in 0..2 {
        if run > 0 {
            site.ctl(&["restart", "a", "--no-wait"]).ok();
        }
        // A line of a flood takes some 300 bytes here.
        for kills in 1..3 {
            eventually("more lines come", || {
                let enough = seen + kills * 20_000 * 60;
                (follower.bytes() > enough).then_some(())
            });
            kill(site.control_pid(), Signal::SIGKILL);
        }
        seen = flooded(seen + 2 * 20_000 * 60);
    }
    let lines = follower.lines();
    let gaps = lines
        .iter()
        .filter(|line| line.marker && line.text.contains("missing"));
    let gaps: Vec<_> = gaps.collect();
    assert!(gaps.is_empty(), "{gaps:?}");
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for line in lines.iter().filter(|line| line.text.starts_with("flood ")) {
        let mut words = line.text.split(' ').skip(1);
        let (pid, number) = (words.next().unwrap(), words.next().unwrap());
        if runs.last().is_none_or(|(last, _)| *last != pid) {
            runs.push((pid, 0));
        }
        let next = &mut runs.last_mut().unwrap().1;
        assert_eq!(number.parse(), Ok(*next), "after {next} lines of {pid}");
        *next += 1;
    }
    assert_eq!(
        runs.iter().map(|(_, count)| *count).collect::<Vec<_>>(),
        [LINES; 2]
    );
    let quiet = lines.iter().filter(|line| line.text == "quiet").count();
    assert_eq!(quiet, 1, "a quiet service is not repeated");
    assert!(
        fs::read_dir(site.log_dir("a")).unwrap().count() > 20,
        "it did not rotate"
    );
}

/// Searches go over rotated and compressed files, and `-n` counts what matches.
#[test]
fn searches_reach_into_rotated_and_compressed_files() {
    const LINES: usize = 6000;
    let mut site = Site::new();
    site.env("MATTERVISOR_COMPRESS_DELAY_MS", "20");
    let flood = format!("flood={LINES}:100");
    site.child(
        "a",
        &[&flood, "print=flooded", "sleep"],
        r#"
            [log]
            size = "100K"
            keep = 1000
            compress = true
        "#,
    );
    site.start_ready();
    site.wait_log("a", |line| line == "flooded");
    eventually("files are compressed", || {
        let names = fs::read_dir(site.log_dir("a")).unwrap();
        let packed = names.filter(|entry| {
            let path = entry.as_ref().unwrap().path();
            path.extension().is_some_and(|it| it == "zst")
        });
        (packed.count() >= 3).then_some(())
    });
    let wanted: Vec<String> = (0..LINES)
        .filter(|n| n % 1000 == 77)
        .map(|n| format!(" {n:010} "))
        .collect();
    let found = texts(&site, &["a", "--grep", r"^flood \d+ \d{7}077 "]);
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (line, wanted) in found.iter().zip(&wanted) {
        assert!(line.contains(wanted), "{line}");
    }
    let last = texts(&site, &["a", "--grep", "077 X*", "-n", "2"]);
    assert!(last.len() == 2 && last[0].contains(&wanted[4]), "{last:#?}");
    assert_eq!(texts(&site, &["a", "--grep", "FLOODED"]), [""; 0]);
    assert_eq!(texts(&site, &["a", "--grep", "FLOODED", "-i"]), ["flooded"]);
    let all = texts(&site, &["a", "--since", "1h"]);
    assert_eq!(
        all.iter().filter(|line| line.starts_with("flood ")).count(),
        LINES
    );
    assert_eq!(texts(&site, &["a", "--until", "1h ago"]), [""; 0]);
    let wrong = site.ctl(&["logs", "a", "--grep", "("]).expect_code(2);
    assert!(
        wrong.stderr.contains("no regular expression"),
        "{}",
        wrong.stderr
    );
}

/// `--rotate` begins new files for the named services alone, and refuses an unknown name.
#[test]
fn logs_are_rotated_when_asked() {
    let mut site = Site::new();
    site.child("a", &["print=before", "sleep"], "");
    site.child("b", &["print=before", "sleep"], "");
    site.start_ready();
    site.wait_log("a", |line| line == "before");
    site.wait_log("b", |line| line == "before");
    let files = |service: &str| fs::read_dir(site.log_dir(service)).unwrap().count();
    let said = site.ctl(&["logs", "--rotate", "a"]).ok().stdout;
    assert!(said.starts_with("a: "), "{said}");
    eventually("the log of a is rotated", || {
        (files("a") == 2).then_some(())
    });
    assert_eq!(files("b"), 1);
    eventually("who asked is on record", || {
        let changes = site.ctl(&["events", "--changes"]).ok().stdout;
        changes.contains("rotate log").then_some(())
    });
    assert_eq!(
        texts(&site, &["a"])
            .iter()
            .filter(|it| *it == "before")
            .count(),
        1
    );
    let unknown = site.ctl(&["logs", "--rotate", "aa"]).expect_code(4);
    assert!(unknown.stderr.contains("aa"), "{}", unknown.stderr);
}

/// `--files` shows the files that programs write themselves, and follows them over a rename.
#[test]
fn files_of_services_are_shown_and_followed() {
    let mut site = Site::new();
    let own = site.path("own");
    fs::create_dir(&own).unwrap();
    let file = own.join("own.log");
    fs::write(
        &file,
        "{\"timestamp\":\"2026-11-22 10:00:00.000 Z\",\"msg\":\"first\"}\n",
    )
    .unwrap();
    let pattern = format!("log_files = ['{}']", own.join("*.log").display());
    site.child("a", &["print=on stdout", "sleep"], &pattern);
    site.start_ready();
    site.wait_log("a", |line| line == "on stdout");
    assert!(
        !texts(&site, &["a"])
            .iter()
            .any(|line| line.contains("first"))
    );
    let shown = site.ctl(&["logs", "a", "--files"]).ok().stdout;
    let first = shown.lines().next().unwrap();
    assert!(
        first.starts_with("a:own.log  2026-11-22T10:00:00.000000Z {"),
        "{shown}"
    );
    assert!(shown.contains("on stdout"), "{shown}");
    let follower = Follower::start(&site, &["logs", "a", "--files", "-f"]);
    let wait = |text: &str| {
        eventually("a line is followed", || {
            follower
                .lines()
                .iter()
                .any(|line| line.text.contains(text))
                .then_some(())
        });
    };
    wait("first");
    fs::rename(&file, own.join("own.log.1")).unwrap();
    fs::write(&file, "second\n").unwrap();
    wait("second");
    kill(site.control_pid(), Signal::SIGKILL);
    fs::write(own.join("other.log"), "third\n").unwrap();
    wait("third");
    let texts: Vec<String> = follower.lines().into_iter().map(|line| line.text).collect();
    assert_eq!(
        texts.iter().filter(|it| *it == "second").count(),
        1,
        "{texts:?}"
    );
}

/// A follower of a service that leaves the plan gets a line that says so, and ends if that service
/// was its only one.
#[test]
fn following_ends_when_the_service_leaves_the_plan() {
    let mut site = Site::new();
    site.child("a", &["print=here", "sleep"], "");
    site.child("b", &["print=first", "sleep"], "");
    site.start_ready();
    site.wait_log("b", |line| line == "first");
    let mut one = Follower::start(&site, &["tail", "b"]);
    let two = Follower::start(&site, &["tail", "a", "b"]);
    eventually("both follow", || {
        (one.lines().len() == 1 && two.lines().len() == 2).then_some(())
    });
    site.without("b").ctl(&["reconfigure"]).ok();
    let ended = eventually("the one who follows b alone ends", || {
        one.child.try_wait().unwrap()
    });
    assert_eq!(ended.code(), Some(4));
    let hears = |follower: &Follower| {
        let lines = follower.lines();
        let mut gone = lines.iter().filter(|it| it.marker);
        gone.any(|it| {
            it.text == "[mattervisor] this service has left the plan" && it.service == "b"
        })
    };
    assert!(hears(&one), "{:?}", one.lines());
    eventually("the other hears of it", || hears(&two).then_some(()));
}
