//! `ctl top`, on a real terminal.

use mattervisor_tests::{Pty, Site, StatusExt, eventually, kill};
use nix::sys::signal::Signal;

fn site() -> Site {
    let mut site = Site::new();
    site.child("chatty", &["print=hello from chatty", "sleep"], "");
    site.child("quiet", &["sleep"], "");
    site.start_ready();
    site
}

fn top(site: &Site) -> Pty {
    Pty::start(site.ctl_command().arg("top"))
}

fn row<'a>(screen: &'a str, name: &str) -> &'a str {
    let found = screen.lines().find(|line| line.starts_with(name));
    found.unwrap_or_default()
}

/// `ctl top` shows the services and a log, restarts a service by key, and restores the terminal.
#[test]
fn it_shows_and_restarts_and_gives_the_terminal_back() {
    let site = site();
    let pid = site.status().pid("chatty");
    let mut top = top(&site);
    top.until("the services", |screen| {
        row(screen, "chatty").contains(&format!("running   yes   {pid:>7}"))
            && row(screen, "quiet").contains("running")
            && screen.contains("hello from chatty")
            && screen.contains("2 services: 2 ready")
    });
    assert!(top.is_taken());
    top.send("r");
    top.until("the question", |screen| {
        screen.contains("restart chatty? y/n")
    });
    top.send("n");
    top.until("the keys", |screen| screen.contains("q quit"));
    assert_eq!(site.status().pid("chatty"), pid, "no is no");
    top.send("ry");
    let now = site.wait_reborn("chatty", pid).pid("chatty");
    top.until("the result", |screen| {
        screen.contains(&format!("chatty: running (pid {now}), ready"))
            && row(screen, "chatty").contains(&now.to_string())
    });
    // An arrow key selects another service; a change by another client shows.
    top.send("\x1b[B");
    top.until("the other's log", |screen| screen.contains("log of quiet"));
    site.ctl(&["stop", "quiet"]).ok();
    top.until("what somebody else did", |screen| {
        row(screen, "quiet").contains("stopped")
    });
    top.send("\r");
    top.until("why", |screen| screen.contains("stopped by"));
    top.send("q");
    top.until("the table", |screen| screen.contains("chatty"));
    top.send("q");
    assert_eq!(top.finish(), Some(0));
    eventually("the terminal is given back", || {
        (!top.is_taken()).then_some(())
    });
}

/// `ctl top` says when the control process hangs, and connects to the next one.
#[test]
fn it_outlives_the_control_process() {
    let site = site();
    let mut top = top(&site);
    top.until("the services", |screen| {
        row(screen, "quiet").contains("running")
    });
    let control = site.control_pid();
    kill(control, Signal::SIGSTOP);
    top.until("that nobody answers", |screen| {
        screen.contains("reconnecting")
    });
    kill(control, Signal::SIGKILL);
    top.until("that somebody answers", |screen| {
        !screen.contains("reconnecting")
    });
    assert_ne!(site.control_pid(), control);
    site.ctl(&["stop", "quiet"]).ok();
    top.until("the new state", |screen| {
        row(screen, "quiet").contains("stopped")
    });
    top.send("/quiet\rS");
    site.wait_for("it is started by key", |status| status.ready("quiet"));
    top.until("the new state", |screen| {
        row(screen, "quiet").contains("running") && !screen.contains("\nchatty")
    });
}

/// If a signal ends `ctl top`, the terminal is as it was.
#[test]
fn a_signal_gives_the_terminal_back() {
    let site = site();
    let mut top = top(&site);
    top.until("the services", |screen| screen.contains("chatty"));
    kill(top.pid(), Signal::SIGTERM);
    assert_eq!(top.finish(), Some(143));
    eventually("the terminal is given back", || {
        (!top.is_taken()).then_some(())
    });
}

/// Without a terminal `ctl top` is refused.
#[test]
fn in_a_pipe_it_is_refused() {
    let site = site();
    let told = site.ctl(&["top"]).expect_code(2);
    assert!(
        told.stderr.contains("ctl status --usage"),
        "{}",
        told.stderr
    );
}
