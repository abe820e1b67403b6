//! Leases: a job's right to keep services stopped. A lease ends with its job, whatever process
//! dies.

use std::fs;

use api::Verdict;
use mattervisor_tests::{Site, StatusExt, alive, eventually, kill, requester, stamps};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{HASTY, JOB, begin, is_down, is_up, outcome, runs, site};

#[test]
fn what_a_job_has_stopped_is_started_by_nobody_else_until_it_is_given_back() {
    let mut site = Site::new();
    let (go, end) = (site.file("go"), site.file("end"));
    site.child("base", &["sleep"], "");
    site.child("web", &["sleep"], "requires = ['base']");
    site.child("aside", &["sleep"], "");
    let verbs = [
        "lease=base",
        &format!("write={}:", site.file("down")),
        &format!("wait-file={go}"),
        "release",
        &format!("write={}:", site.file("up")),
        &format!("wait-file={end}"),
    ];
    site.child("work", &verbs, JOB);
    site.start_ready();
    let pid = site.status().pid("base");
    begin(&site, "one");
    eventually("it is told that all is down", || {
        site.path("down").exists().then_some(())
    });
    assert!(!alive(pid));
    let status = site.status();
    assert!(is_down(&status), "{status:#?}");
    let base = status.service("base");
    assert_eq!(base.leased.as_ref().unwrap().job, "work");
    let reason = base.reason.clone().unwrap();
    assert!(
        reason.starts_with("stopped for the job work (since 2"),
        "{reason}"
    );
    let reason = status.service("web").reason.clone().unwrap();
    assert_eq!(reason, "waiting on base (stopped for a job)");
    assert_eq!(
        status.service("work").job.as_ref().unwrap().leases,
        ["base"]
    );
    for words in [
        ["start", "base"],
        ["restart", "base"],
        ["start", "web"],
        ["once", "web"],
    ] {
        let refused = site.ctl(&words).expect_code(1);
        assert!(
            refused.stderr.contains("kept stopped by the job work"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("ctl stop work"), "{refused:?}");
    }
    let refused = site.ctl(&["reconfigure"]).expect_code(1);
    assert!(
        refused
            .stderr
            .contains("the job work keeps services stopped"),
        "{refused:?}"
    );
    site.ctl(&["reconfigure", "--dry-run"]).ok();
    // Without names, `ctl restart` leaves out the services that a job keeps stopped.
    site.ctl(&["restart"]);
    assert!(is_down(&site.status()));
    fs::write(go, "").unwrap();
    eventually("it is told that all is up", || {
        site.path("up").exists().then_some(())
    });
    // Services that require the leased one come up after it.
    let status = site.wait_for("all is up", is_up);
    assert_eq!(status.service("base").leased, None);
    fs::write(end, "").unwrap();
    assert_eq!(outcome(&site, "one").results[0].verdict, Verdict::Done);
}

/// A SIGHUP during a lease is not lost: its reconfigure waits for the end of the lease.
#[test]
fn a_hangup_waits_for_the_end_of_a_lease() {
    let mut site = Site::new();
    let go = format!("wait-file={}", site.file("go"));
    site.child("base", &["sleep"], "");
    let down = format!("write={}:", site.file("down"));
    site.child("work", &["lease=base", &down, &go], JOB);
    site.start_ready();
    begin(&site, "one");
    eventually("base is down", || site.path("down").exists().then_some(()));
    site.child("new", &["sleep"], "");
    site.signal(Signal::SIGHUP);
    let events = site.ctl(&["status", "base"]).both();
    assert!(!events.contains("new"));
    fs::write(site.path("go"), "").unwrap();
    site.wait_for("the new service is there", |status| {
        status
            .services
            .iter()
            .any(|it| it.name == "new" && it.ready)
            && status.ready("base")
    });
}

/// Whatever process dies while services are kept stopped, the job completes and the services run
/// again.
#[test]
fn a_lease_ends_whoever_dies() {
    for victims in [
        &["control"][..],
        &["job"],
        &["control", "job"],
        &["job", "control", "job"],
    ] {
        let mut site = Site::new();
        let (go, down) = (site.file("go"), site.file("down"));
        site.child("base", &["sleep"], "");
        site.child("web", &["sleep"], "requires = ['base']");
        let verbs = [
            &format!("file={}", site.file("runs")),
            "lease=base",
            &format!("file={down}"),
            &format!("wait-file={go}"),
            "result=true:done",
        ];
        site.child("work", &verbs, HASTY);
        site.start_ready();
        begin(&site, "one");
        let mut expected = 1;
        for victim in victims {
            eventually("it has what it wants", || {
                (stamps(down.as_ref()).len() >= expected).then_some(())
            });
            if *victim == "control" {
                kill(site.control_pid(), Signal::SIGKILL);
            } else {
                let status = site.wait_state("work", "starting");
                kill(status.pid("work"), Signal::SIGKILL);
                expected += 1;
            }
            assert!(is_down(&site.status()), "{victims:?}");
        }
        fs::write(&go, "").unwrap();
        let outcome = outcome(&site, "one");
        assert_eq!(outcome.results[0].verdict, Verdict::Done, "{outcome:?}");
        assert_eq!(outcome.job.unwrap().message, "done");
        site.wait_for("all is up", is_up);
        assert_eq!(runs(&site), expected, "{victims:?}");
        assert_eq!(site.stop(), 0);
    }
}

/// The lease of a job that is stopped or has failed ends, and the services come up.
#[test]
fn a_job_that_is_stopped_or_given_up_gives_everything_back() {
    let mut site = site(&["lease=base", "sleep"], JOB);
    begin(&site, "one");
    site.wait_for("base is down", is_down);
    let stopped = site.ctl(&["stop", "work"]).ok();
    site.wait_for("all is up", is_up);
    let ended = outcome(&site, "one");
    assert_eq!(
        ended.results[0].verdict,
        Verdict::Failed,
        "{stopped:?} {ended:?}"
    );
    assert!(
        ended.results[0]
            .full_state()
            .contains(&format!("stopped by {}", requester())),
        "{ended:?}"
    );
    assert_eq!(runs(&site), 1);
    // The next request lifts the stop.
    begin(&site, "two");
    site.wait_for("base is down", is_down);
    site.ctl(&["stop", "base"]).ok();
    site.ctl(&["stop", "work"]).ok();
    let status = site.wait_for("the lease is over", |it| {
        it.service("base").leased.is_none()
    });
    assert_eq!(
        status.state("base"),
        "stopped",
        "that was somebody else's word"
    );
    site.ctl(&["start", "base"]).ok();
    // An orderly shutdown ends job and lease, and the next start does not resume them.
    begin(&site, "three");
    site.wait_for("base is down", is_down);
    assert_eq!(site.stop(), 0);
    site.start_ready();
    let status = site.status();
    assert!(
        is_up(&status) && status.service("work").is_resting_job(),
        "{status:#?}"
    );
    assert_eq!(runs(&site), 3);
}

#[test]
fn nothing_of_a_job_outlives_the_keeper() {
    let mut site = site(&["lease=base", "sleep"], JOB);
    begin(&site, "one");
    site.wait_for("base is down", is_down);
    let pid = site.status().pid("work");
    site.signal(Signal::SIGKILL);
    site.wait_end(mattervisor_tests::LIMIT);
    eventually("the job has been stopped", || (!alive(pid)).then_some(()));
    eventually("all has gone", || site.leftovers().is_empty().then_some(()));
    site.start_ready();
    let status = site.status();
    assert!(
        is_up(&status) && status.service("work").is_resting_job(),
        "{status:#?}"
    );
    let request = fs::read_to_string(site.path("var/lib/mattervisor/jobs/work/request.json"));
    assert!(
        request.unwrap().contains("\"one\""),
        "what it was doing can be found"
    );
}

/// Only a running job gets a lease, and never on itself or on a service that it requires.
#[test]
fn a_lease_is_refused_to_all_others() {
    let mut site = Site::new();
    let asked = format!("wait-file={}", site.file("go"));
    site.child("base", &["sleep"], "");
    site.child("work", &[&asked], &format!("requires = ['base']\n{JOB}"));
    site.start_ready();
    let lease = |job: &str, service: &str| {
        let body = json!({ "job": job, "services": [service] });
        site.ask("POST", "/v1/leases", &body)
    };
    let cases = [
        (lease("work", "base"), 409, "the job work does not run"),
        (lease("base", "work"), 409, "base is no job"),
        (lease("nobody", "base"), 404, "there is no service 'nobody'"),
    ];
    for (reply, status, message) in &cases {
        assert_eq!(reply.status, *status, "{reply:?}");
        assert!(reply.body.contains(message), "{reply:?}");
    }
    begin(&site, "one");
    site.wait_state("work", "starting");
    let reply = lease("work", "base");
    assert!(reply.body.contains("which it is or requires"), "{reply:?}");
    let reply = site.ask("DELETE", "/v1/leases", &json!({ "job": "work" }));
    assert_eq!(reply.status, 200, "{reply:?}");
    let not = site.ask(
        "POST",
        "/v1/jobs/base",
        &json!({ "id": "two", "wait": true }),
    );
    assert!(
        not.status == 409 && not.body.contains("base is no job"),
        "{not:?}"
    );
    fs::write(site.path("go"), "").unwrap();
}
