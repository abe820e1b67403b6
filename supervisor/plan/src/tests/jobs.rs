//! Jobs, the oneshots that run when a request asks for their work: their implied keys, and keys
//! that contradict a job.

use serde_json::json;

use super::Machine;
use crate::{Policy, Service};

fn file(lines: &str) -> String {
    format!("command = ['/bin/a']\njob = true\n{lines}")
}

fn job(lines: &str) -> Service {
    let mut plan = Machine::new().shipped("app", &file(lines)).plan();
    *plan.services.remove("app").unwrap()
}

fn wrong(content: &str) -> String {
    Machine::new().shipped("app", content).errors()
}

#[test]
fn a_job_is_tried_again_five_times_but_not_after_exit_code_1() {
    let it = job("type = 'oneshot'");
    assert!(it.job && it.has_notify_socket());
    assert_eq!(it.restart.policy, Policy::OnFailure);
    assert_eq!(it.restart.prevent_codes, [1].into());
    assert_eq!(it.restart.limit.map(|(starts, _)| starts), Some(5));
    let own = job(
        "type = 'oneshot'\nrestart = { prevent = [2, 'TERM'], limit = { starts = 1, within = '1h' } }",
    );
    assert_eq!(own.restart.prevent_codes, [2].into());
    assert_eq!(own.restart.prevent_signals, [15].into());
    assert_eq!(own.restart.limit, Some((1, 3_600_000)));
}

#[test]
fn a_schedule_says_what_it_asks_for() {
    let it = job(
        "type = 'oneshot'\n[schedule]\nat = '03:00'\narguments = { to = '{{ dir }}', keep = 3, online = true }\n\
         [settings]\ndir = { default = '/b' }",
    );
    let arguments = serde_json::to_value(it.schedule.unwrap().arguments).unwrap();
    assert_eq!(arguments, json!({ "to": "/b", "keep": 3, "online": true }));
}

#[test]
fn what_makes_no_sense_of_a_job_is_refused() {
    let cases = [
        (file(""), ":2: error: type: only a oneshot can be a job"),
        (
            file("type = 'oneshot'\nuser = 'www-data'"),
            ":4: error: user: a job has the supervisor's own account",
        ),
        (
            file("type = 'oneshot'\nschedule = { at = '03:00', at_start = true }"),
            ":4: error: schedule.at_start: a start does not run a job",
        ),
        (
            file("type = 'oneshot'\nexit_when_failed = true"),
            ":4: error: exit_when_failed: work that has failed",
        ),
        (
            file("type = 'oneshot'\nschedule = { at = '03:00', arguments = { a = [1] } }"),
            ":4: error: schedule.arguments.a: must be a text, a whole number, true or false",
        ),
        (
            "command = ['/bin/a']\ntype = 'oneshot'\nschedule = { at = '03:00', arguments = { a = 1 } }\n".into(),
            ":3: error: schedule.arguments: only a job takes arguments",
        ),
        (
            file("type = 'oneshot'\nannouncement = 'is <b>restored</b>'"),
            ":4: error: announcement: has '<' in it",
        ),
        (
            file(&format!("type = 'oneshot'\nannouncement = '{}'", "x".repeat(101))),
            ":4: error: announcement: has more than 100 characters",
        ),
        (
            file("type = 'oneshot'\nannouncement = ' '"),
            ":4: error: announcement: is empty",
        ),
        (
            "command = ['/bin/a']\ntype = 'oneshot'\nannouncement = 'is restored'\n".into(),
            ":3: error: announcement: only a job has something to announce",
        ),
        (
            file("type = 'oneshot'\nrestart = { prevent = ['SIGNONE'] }"),
            ":4: error: restart.prevent: must be exit codes and names of signals",
        ),
    ];
    for (content, expected) in cases {
        let said = wrong(&content);
        assert!(said.contains(expected), "{content}\n{said}");
    }
}

/// A service that required a job would wait for work that is done only now and then.
#[test]
fn nothing_requires_a_job() {
    for kind in ["requires", "binds_to"] {
        let said = Machine::new()
            .shipped("app", &file("type = 'oneshot'"))
            .shipped("web", &format!("command = ['/bin/w']\n{kind} = ['app']"))
            .errors();
        let expected = format!(":2: error: {kind}: `app` is a job");
        assert!(said.contains(&expected), "{said}");
    }
}
