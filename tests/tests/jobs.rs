//! Jobs: work that outlives its client, and the lease by which a job keeps services stopped, which
//! ends with the job whatever process dies.

mod leases;

use std::{fs, os::unix::fs::PermissionsExt, thread};

use api::{JobResult, Outcome, Verdict};
use mattervisor_tests::{Reply, Site, StatusExt, StatusReply, eventually, kill, stamps};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const JOB: &str = "type = 'oneshot'\njob = true\n";
/// Like [`JOB`], with a retry after 10 ms.
const HASTY: &str = r#"
    type = "oneshot"
    job = true
    [restart]
    delay = "10ms"
    max_delay = "10ms"
"#;

/// Two services, of which one requires the other, and a job with these verbs.
fn site(verbs: &[&str], more: &str) -> Site {
    let mut site = Site::new();
    site.child("base", &["sleep"], "");
    site.child("web", &["sleep"], "requires = ['base']");
    let stamp = format!("file={}", site.file("runs"));
    let verbs: Vec<&str> = std::iter::once(stamp.as_str())
        .chain(verbs.iter().copied())
        .collect();
    site.child("work", &verbs, more);
    site.start_ready();
    site
}

fn request(site: &Site, id: &str, wait: bool) -> Reply {
    let body = json!({ "id": id, "arguments": { "depth": 3 }, "wait": wait });
    site.ask("POST", "/v1/jobs/work", &body)
}

/// Requests the job without waiting for it.
#[track_caller]
fn begin(site: &Site, id: &str) {
    let reply = request(site, id, false);
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// The outcome of a change, once it has ended; a later control process may give it.
#[track_caller]
fn outcome(site: &Site, id: &str) -> Outcome {
    eventually("the change ends", || {
        let reply = site.get(&format!("/v1/changes/{id}"));
        let outcome: Outcome = serde_json::from_str(&reply.body).ok()?;
        outcome.finished.then_some(outcome)
    })
}

fn runs(site: &Site) -> usize {
    stamps(&site.path("runs")).len()
}

fn is_down(status: &StatusReply) -> bool {
    status.state("base") == "stopped" && status.state("web") == "waiting"
}

fn is_up(status: &StatusReply) -> bool {
    status.ready("base") && status.ready("web")
}

fn lines_of(reply: &Reply) -> Vec<Value> {
    let lines = reply.body.lines().map(serde_json::from_str);
    lines.map(Result::unwrap).collect()
}

/// Neither a start, a restart nor a boot runs a job; only a request does.
#[test]
fn nothing_but_a_request_starts_a_job() {
    let mut site = Site::new();
    let stamp = format!("file={}", site.file("runs"));
    site.child("work", &[&stamp], JOB);
    site.start_ready();
    site.ctl(&["start"]).ok();
    site.ctl(&["restart"]).ok();
    site.ctl(&["start", "work"]).ok();
    let refused = site.ctl(&["restart", "work"]).expect_code(1);
    assert!(refused.stderr.contains("is a job"), "{refused:?}");
    assert_eq!(runs(&site), 0);
    assert!(site.status().service("work").is_resting_job());
    request(&site, "one", true);
    request(&site, "one", true);
    assert_eq!(runs(&site), 1, "it is done once");
}

/// Progress reaches a waiting client, and the last line has the result.
#[test]
fn a_job_says_how_far_it_is_and_how_it_ended() {
    let progress =
        r#"notify=X_MATTERVISOR_PROGRESS={"step":"copy files","done":2,"total":5,"unit":"files"}"#;
    let mut site = Site::new();
    let gate = format!("wait-file={}", site.file("go"));
    site.child("work", &[progress, &gate, "result=true:copied all"], JOB);
    site.start_ready();
    let reply = thread::scope(|scope| {
        let client = scope.spawn(|| request(&site, "one", true));
        let status = site.wait_for("it says how far it is", |status| {
            let job = status.service("work").job.as_ref().unwrap();
            job.progress.is_some()
        });
        let job = status.service("work").job.clone().unwrap();
        assert_eq!((job.id.as_deref(), job.active), (Some("one"), true));
        assert_eq!(job.progress.unwrap().total, Some(5));
        let metrics = site.get("/metrics").body;
        for sample in ["job_active", "job_progress_ratio"] {
            let value = if sample == "job_active" { "1" } else { "0.4" };
            let line = format!("mattervisor_{sample}{{service=\"work\"}} {value}\n");
            assert!(metrics.contains(&line), "{line}: {metrics}");
        }
        fs::write(site.path("go"), "").unwrap();
        client.join().unwrap()
    });
    let said = lines_of(&reply);
    let kinds: Vec<&str> = (said.iter())
        .filter_map(|it| it["progress"].as_str())
        .collect();
    assert_eq!((kinds[0], *kinds.last().unwrap()), ("accepted", "done"));
    let step = said.iter().find(|it| it["progress"] == "job").unwrap();
    assert_eq!(
        (&step["step"], &step["done"]),
        (&json!("copy files"), &json!(2))
    );
    let done: Outcome = serde_json::from_value(said.last().unwrap().clone()).unwrap();
    let result = JobResult {
        id: "one".to_owned(),
        ok: true,
        aside: false,
        message: "copied all".to_owned(),
        report: json!({ "depth": 3 }),
    };
    assert_eq!(done.job.as_deref(), Some(&result));
    assert_eq!(done.results[0].verdict, Verdict::Done);
    // A later control process knows the outcome, too.
    kill(site.control_pid(), Signal::SIGKILL);
    assert_eq!(outcome(&site, "one").job.as_deref(), Some(&result));
    let events = site.ctl(&["events", "work", "-n", "50"]).ok().stdout;
    assert!(events.contains("copy files"), "{events}");
    let changes = site.get("/v1/changes?services=work").body;
    assert!(changes.contains(r#""what":"job""#), "{changes}");
}

/// One job runs at a time. Its request lies in a directory that is closed to others, and its
/// environment names that directory and the control socket.
#[test]
fn one_job_at_a_time_has_a_directory_and_the_control_socket() {
    let mut site = Site::new();
    site.child(
        "work",
        &["env", &format!("wait-file={}", site.file("go"))],
        JOB,
    );
    site.child("other", &["sleep"], JOB);
    site.start_ready();
    begin(&site, "one");
    site.wait_state("work", "starting");
    for other in ["other", "work"] {
        let body = json!({ "id": format!("second-{other}"), "wait": true });
        let second = site.ask("POST", &format!("/v1/jobs/{other}"), &body);
        assert_eq!(second.status, 409);
        assert!(second.body.contains("job-runs"), "{second:?}");
        assert!(
            second.body.contains("the job work is on its way"),
            "{second:?}"
        );
    }
    let dir = site.path("var/lib/mattervisor/jobs/work");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&dir), mode(&dir.join("request.json"))),
        (0o700, 0o600)
    );
    let wanted = format!("MATTERVISOR_JOB_DIR={}", dir.display());
    site.wait_log("work", |line| line == wanted);
    let wanted = format!(
        "MATTERVISOR_SOCKET={}",
        site.file("run/mattervisor/ctl.sock")
    );
    site.wait_log("work", |line| line == wanted);
    fs::write(site.path("go"), "").unwrap();
    outcome(&site, "one");
    assert!(site.status().service("work").is_resting_job());
}

#[test]
fn exit_code_1_is_the_end_and_any_other_failure_is_tried_again() {
    let mut site = Site::new();
    let codes = [
        ("plain", "exit=1", 1),
        ("open", "exit=75", 3),
        ("killed", "kill-self=SEGV", 3),
    ];
    for (name, verb, _) in codes {
        let stamp = format!("file={}", site.file(name));
        let more = format!("{HASTY}limit = {{ starts = 2, within = '1h' }}\n");
        site.child(name, &[&stamp, "result=false:no room", verb], &more);
    }
    site.start_ready();
    for (name, _, expected) in codes {
        let body = json!({ "id": name, "wait": true });
        let reply = site.ask("POST", &format!("/v1/jobs/{name}"), &body);
        let last = lines_of(&reply).pop().unwrap();
        let done: Outcome = serde_json::from_value(last).unwrap();
        assert_eq!(done.results[0].verdict, Verdict::Failed, "{done:?}");
        let detail = &done.results[0].detail;
        assert!(detail.starts_with("no room"), "{done:?}");
        assert_eq!(detail.matches("no room").count(), 1, "{done:?}");
        assert_eq!(stamps(&site.path(name)).len(), expected, "{name}");
    }
    // A failed job does not make the site unready.
    assert_eq!(site.get("/readyz").status, 200);
}

/// A job whose required service has failed does not begin, and no client waits for ever.
#[test]
fn a_job_ends_where_what_it_requires_has_failed() {
    let mut site = Site::new();
    site.child("base", &["exit=3"], "[restart]\npolicy = 'never'\n");
    let stamp = format!("file={}", site.file("runs"));
    let requires = r#"
        type = "oneshot"
        job = true
        requires = ["base"]
    "#;
    site.child("work", &[&stamp], requires);
    site.start();
    site.wait_state("base", "failed");
    let reply = request(&site, "one", true);
    let said = lines_of(&reply);
    let last = &said.last().unwrap()["results"][0];
    assert_eq!(last["verdict"], "failed", "{said:?}");
    let why = last["detail"].as_str().unwrap();
    let wanted =
        "could not begin: it requires base, which is not up (failed: ended with exit code 3";
    assert!(why.starts_with(wanted), "{why}");
    assert_eq!(runs(&site), 0);
    let metrics = site.get("/metrics").body;
    let failed = "mattervisor_job_requests_total{service=\"work\",outcome=\"failed\"} 1\n";
    assert!(metrics.contains(failed), "{metrics}");
    assert!(metrics.contains("mattervisor_job_active{service=\"work\"} 0\n"));
}

/// If the result of a job cannot be read, the client learns the path of its file.
#[test]
fn a_result_that_cannot_be_read_is_named() {
    let mut site = Site::new();
    let gate = format!("wait-file={}", site.file("go"));
    site.child("work", &[&gate], JOB);
    site.start_ready();
    let reply = thread::scope(|scope| {
        let client = scope.spawn(|| request(&site, "one", true));
        site.wait_state("work", "starting");
        let result = site.path("var/lib/mattervisor/jobs/work/result.json");
        fs::create_dir(&result).unwrap();
        fs::write(site.path("go"), "").unwrap();
        client.join().unwrap()
    });
    let said = lines_of(&reply);
    let last = said.last().unwrap();
    assert_eq!(last["results"][0]["verdict"], "done", "{last}");
    let why = last["results"][0]["detail"].as_str().unwrap();
    assert!(
        why.contains("its result is in ") && why.contains("jobs/work/result.json: "),
        "{why}"
    );
}

/// The schedule of a job passes the arguments of the service file.
#[test]
fn a_schedule_asks_a_job_for_its_work() {
    let mut site = Site::new();
    let dir = site.path("var/lib/mattervisor");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("schedule.json"), r#"{"until": {"work": 1000000}}"#).unwrap();
    let schedule = r#"
        [schedule]
        at = "00:00"
        catch_up = true
        arguments = { keep = 3 }
    "#;
    site.child("work", &["result=true:done"], &format!("{JOB}{schedule}"));
    site.start_ready();
    let changes = eventually("it has run", || {
        let changes = site.get("/v1/changes?services=work").body;
        changes.contains(r#""outcome":"done""#).then_some(changes)
    });
    assert!(changes.contains(r#""by":"its schedule""#), "{changes}");
    let result = fs::read_to_string(dir.join("jobs/work/result.json")).unwrap();
    assert!(result.contains(r#""report":{"keep":3}"#), "{result}");
}
