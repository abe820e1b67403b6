//! The daemon's own lines where its standard error is the journal.

use std::{fs::File, os::linux::fs::MetadataExt};

use mattervisor_tests::{Site, eventually, kill};
use nix::sys::signal::Signal;

/// A site whose supervisor has a file as standard error and a `JOURNAL_STREAM` that names the file.
fn in_the_journal() -> Site {
    let mut site = Site::new();
    let journal = File::create(site.path("journal")).unwrap();
    let stat = journal.metadata().unwrap();
    let stream = format!("{}:{}", stat.st_dev(), stat.st_ino());
    site.env("JOURNAL_STREAM", &stream);
    site.stderr(
        File::options()
            .append(true)
            .open(site.path("journal"))
            .unwrap(),
    );
    site
}

fn journal(site: &Site) -> String {
    std::fs::read_to_string(site.path("journal")).unwrap()
}

/// Lines that have no priority, or a time of their own.
fn unfit(text: &str) -> Vec<&str> {
    let is_fit = |line: &&str| {
        let rest = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let year = this_year();
        rest.is_some_and(|(number, text)| {
            ["3", "4", "6"].contains(&number) && !text.trim_start().starts_with(&year)
        })
    };
    text.lines().filter(|line| !is_fit(line)).collect()
}

/// How a time stamp of today begins.
fn this_year() -> String {
    jiff::Timestamp::now().strftime("%Y-").to_string()
}

/// Both processes mark errors as such, and neither writes the time beside the journal's.
#[test]
fn lines_have_a_priority_and_no_time_of_their_own() {
    let mut site = in_the_journal();
    site.child("a", &["sleep"], "");
    site.start_ready();
    site.ctl(&["restart", "a"]).ok();
    kill(site.control_pid(), Signal::SIGKILL);
    eventually("the keeper reports the death as an error", || {
        let text = journal(&site);
        let mut lines = text.lines();
        lines
            .any(|line| line.starts_with("<3>keeper: the control process"))
            .then_some(())
    });
    assert_eq!(site.stop(), 0);
    let text = journal(&site);
    assert_eq!(unfit(&text), [] as [&str; 0], "{text}");
    assert!(text.contains("<6>everything is stopped\n"), "{text}");
}

/// `journalctl -p err` shows a message of several lines as a whole.
#[test]
fn every_line_of_a_message_has_its_priority() {
    let site = in_the_journal();
    site.site_file("nonsense = 1\n");
    let mut daemon = site.spawn_supervisor();
    let status = eventually("the daemon gives up", || daemon.try_wait().unwrap());
    assert_eq!(status.code(), Some(78));
    let text = journal(&site);
    assert_eq!(unfit(&text), [] as [&str; 0], "{text}");
    assert!(
        text.lines()
            .any(|it| it.starts_with("<3>") && it.contains("nonsense")),
        "{text}"
    );
}

/// A command line that the daemon refuses keeps it from its start: that is an error too.
#[test]
fn a_refused_command_line_is_an_error() {
    let mut site = in_the_journal();
    site.behind(&["sh", "-c", r#"exec "$0" --nonsense "$@""#]);
    let mut daemon = site.spawn_supervisor();
    let status = eventually("the daemon gives up", || daemon.try_wait().unwrap());
    assert_eq!(status.code(), Some(2));
    let text = journal(&site);
    assert!(text.starts_with("<3>error: unexpected argument"), "{text}");
    assert_eq!(unfit(&text), [] as [&str; 0], "{text}");
}

/// Standard error that was redirected since is not the journal.
#[test]
fn a_stream_that_is_not_standard_error_changes_nothing() {
    let mut site = Site::new();
    site.env("JOURNAL_STREAM", "1:2");
    site.child("a", &["sleep"], "");
    site.start_ready();
    assert_eq!(site.stop(), 0);
    let log = std::fs::read_to_string(site.path("supervisor.log")).unwrap();
    let year = this_year();
    assert!(log.lines().all(|line| line.starts_with(&year)), "{log}");
}
