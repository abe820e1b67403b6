//! A supervisor that did not run for a while handles the messages that have arrived before it
//! judges any timeout.

use std::time::{Duration, Instant};

use mattervisor_tests::{Site, StatusExt, eventually, kill, stamps};
use nix::sys::signal::Signal;

/// `READY=1` came in time, while the control process was stopped.
#[test]
fn what_was_said_in_time_counts_after_a_stall() {
    let mut site = Site::new();
    let (go, said) = (site.file("go"), site.file("said"));
    let verbs = [
        format!("wait-file={go}"),
        "notify=READY=1".to_owned(),
        format!("file={said}"),
        "sleep".to_owned(),
    ];
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    site.child(
        "slow",
        &verbs,
        r#"
            [ready]
            notify = true
            timeout = "3s"
        "#,
    );
    let begun = Instant::now();
    site.start();
    site.wait_state("slow", "starting");
    let (control, pid) = (site.control_pid(), site.status().pid("slow"));
    kill(control, Signal::SIGSTOP);
    let in_time = begun.elapsed() < Duration::from_secs(2);
    std::fs::write(&go, "").unwrap();
    eventually("it has said that it is ready", || {
        (!stamps(said.as_ref()).is_empty()).then_some(())
    });
    eventually("its time is over", || {
        (begun.elapsed() > Duration::from_secs(5)).then_some(())
    });
    kill(control, Signal::SIGCONT);
    let status = site.wait_settled().status();
    assert!(in_time, "this machine is too slow for this test");
    assert_eq!((status.pid("slow"), status.state("slow")), (pid, "running"));
    assert_eq!(status.service("slow").restarts, 0);
}

/// How long the keeper is stopped: longer than any timeout below.
const KEEPER_STOPPED: Duration = Duration::from_secs(4);

/// Stops the keeper, runs `meanwhile`, and lets the keeper go on once its time is over and
/// `happened` holds.
fn stop_keeper(site: &Site, meanwhile: impl FnOnce(), happened: impl Fn() -> bool) {
    let begun = Instant::now();
    kill(site.keeper_pid(), Signal::SIGSTOP);
    meanwhile();
    eventually("the keeper was stopped for long enough", || {
        (begun.elapsed() > KEEPER_STOPPED && happened()).then_some(())
    });
    kill(site.keeper_pid(), Signal::SIGCONT);
}

/// All messages of a service come through the keeper, so silence means nothing while the keeper
/// does not run.
#[test]
fn what_speaks_in_time_is_left_alone_though_the_keeper_was_stopped() {
    let mut site = Site::new();
    let (alive, go, said) = (site.file("alive"), site.file("go"), site.file("said"));
    std::fs::write(&alive, "").unwrap();
    let pings = ["notify=READY=1", &format!("ping-while={alive}:50")];
    let table = r#"
        [ready]
        notify = true
        [watchdog]
        timeout = "1s"
    "#;
    site.child("watched", &pings, table);
    let (wait, told) = (format!("wait-file={go}"), format!("file={said}"));
    let notifies = [&wait, "notify=READY=1", &told, "sleep"];
    let table = r#"
        [ready]
        notify = true
        timeout = "3s"
    "#;
    site.child("notifies", &notifies, table);
    let writes = [&wait, "ready-fd=5:\\n", "sleep"];
    site.child(
        "writes",
        &writes,
        r#"
            [ready]
            fd = 5
            timeout = "3s"
        "#,
    );
    site.child("while", &["delay=2500"], "type = 'oneshot'");
    site.start();
    site.wait_state("while", "completed");
    let begun = Instant::now();
    site.ctl(&["restart", "notifies", "writes", "--no-wait"])
        .ok();
    site.wait_state("notifies", "starting");
    site.wait_state("writes", "starting");
    site.wait_state("watched", "running");
    let status = site.status();
    let names = ["watched", "notifies", "writes"];
    let pids = names.map(|name| status.pid(name));
    let in_time = begun.elapsed() < Duration::from_secs(2);
    let speak = || std::fs::write(&go, "").unwrap();
    stop_keeper(&site, speak, || !stamps(said.as_ref()).is_empty());
    site.ctl(&["restart", "while"]).ok();
    let status = site.status();
    assert!(in_time, "this machine is too slow for this test");
    for (name, pid) in names.into_iter().zip(pids) {
        assert_eq!((status.pid(name), status.state(name)), (pid, "running"));
        assert_eq!(status.service(name).restarts, 0, "{name}");
    }
}

/// A stop signal that the stopped keeper could not send in time is not followed by SIGKILL at once.
#[test]
fn what_is_asked_to_stop_has_its_time_though_the_keeper_was_stopped() {
    let mut site = Site::new();
    let verbs = ["stop-delay=700", "trap-term=0", "sleep"];
    site.child("slow", &verbs, "[stop]\ntimeout = '2s'");
    site.start_ready();
    let stop = || drop(site.ctl(&["stop", "slow", "--no-wait"]).ok());
    stop_keeper(&site, stop, || true);
    let status = site.wait_state("slow", "stopped");
    let exit = status.service("slow").last_exit.clone().unwrap();
    assert_eq!(exit.code, Some(0), "{exit:?}");
}
