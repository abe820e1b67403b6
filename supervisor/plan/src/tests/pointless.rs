//! Values that would match everything, never end, or do nothing are refused.

use super::Machine;

/// Errors of a machine with this service file.
fn service(content: &str) -> String {
    Machine::new().shipped("app", content).errors()
}

/// Lines after the command, the number of the refused line, and the message.
const NOTHING: &[(&str, u32, &str)] = &[
    (
        "[ready]\nhttp = 'http://h:1/'\nbody = ''",
        4,
        "ready.body: would be in every answer",
    ),
    (
        "[liveness]\nhttp = 'http://h:1/'\nbody = ''",
        4,
        "liveness.body: would be in every answer",
    ),
    (
        "[health]\nhttp = 'http://h:1/'\nbody = '{{ none or \"\" }}'",
        4,
        "health.body: would be in every answer",
    ),
    (
        "[reload]\nsignal = 'HUP'\n[reload.confirm]\nhttp = 'http://h:1/'\nbody = ''",
        6,
        "reload.confirm.body: would be in every answer",
    ),
    ("[ready]\nlog = ''", 3, "ready.log: would match every line"),
    (
        "[ready]\nnotify = true\ntimeout = '0s'",
        4,
        "ready.timeout: must be longer than nothing",
    ),
    (
        "[ready]\ntcp = 'h:1'\nattempt_timeout = '0'",
        4,
        "ready.attempt_timeout: must be longer than nothing",
    ),
    (
        "[liveness]\ntcp = 'h:1'\ntimeout = '0'",
        4,
        "liveness.timeout: must be longer than nothing",
    ),
    (
        "[watchdog]\ntimeout = '0'",
        3,
        "watchdog.timeout: must be longer than nothing",
    ),
    (
        "[reload]\nsignal = 'HUP'\ntimeout = '0s'",
        4,
        "reload.timeout: must be longer than nothing",
    ),
    (
        "[restart]\ndelay = '0s'",
        3,
        "restart.delay: must be longer than nothing",
    ),
    (
        "[restart]\nreset_after = '0s'",
        3,
        "restart.reset_after: must be longer than nothing",
    ),
    (
        "[restart]\nlimit = { starts = 1, within = '0s' }",
        3,
        "restart.limit.within: must be longer than nothing",
    ),
    (
        "[restart]\nlimit = { starts = 0, within = '1s' }",
        3,
        "restart.limit.starts: must be from 1",
    ),
    (
        "[liveness]\ntcp = 'h:1'\nfailures = 0",
        4,
        "liveness.failures: must be from 1",
    ),
    (
        "[log]\nage = '0s'",
        3,
        "log.age: must be longer than nothing",
    ),
    ("[log]\nsize = 0", 3, "log.size: must be at least 4K"),
    (
        "[settings]\na = { read = '/x', read_after = '' }",
        3,
        "settings.a.read_after: would be anywhere",
    ),
    (
        "type = 'oneshot'\nschedule = '*/0 * * * *'",
        3,
        "a step is a number from 1",
    ),
    (
        "type = 'oneshot'\nschedule = { at = '03:00', days = [] }",
        3,
        "schedule.days: names no day",
    ),
];

/// Empty or zero values that would match everything, never end, or end immediately.
#[test]
fn an_empty_text_and_no_time_are_refused_where_they_mean_nothing() {
    for (text, line, said) in NOTHING {
        let errors = service(&format!("command = ['/bin/a']\n{text}\n"));
        let place = format!("app.toml:{line}: error: ");
        assert!(
            errors.contains(&place) && errors.contains(said),
            "{text}: {errors}"
        );
    }
}

/// SIGCONT follows a stop signal and cancels these signals; no process can handle the others.
#[test]
fn signals_that_cannot_do_what_they_are_for_are_refused() {
    let said = |table: &str, signal: &str| {
        service(&format!(
            "command = ['/bin/a']\n{table}\nsignal = '{signal}'\nother = 1\n"
        ))
    };
    for table in ["[stop]", "[watchdog]\ntimeout = '1s'"] {
        for signal in ["TSTP", "SIGTTIN", "ttou", "STOP", "CONT", "20"] {
            let said = said(table, signal);
            assert!(said.contains(&format!("signal: `{signal}` ")), "{said}");
        }
        // As in systemd, SIGKILL as stop signal means that no grace is wanted.
        assert!(!said(table, "KILL").contains("KILL"));
    }
    for signal in ["KILL", "STOP"] {
        let said = said("[reload]", signal);
        assert!(said.contains("is heard by no process"), "{said}");
    }
    assert!(!said("[reload]", "TSTP").contains("TSTP"));
}

#[test]
fn a_second_stop_signal_needs_its_time_before_the_kill() {
    let said = |escalate: &str| {
        service(&format!(
            "command = ['/bin/a']\n[stop]\ntimeout = '15s'\nescalate = {escalate}\nother = 1\n"
        ))
    };
    for half in ["{ signal = 'TERM' }", "{ after = '5s' }"] {
        let said = said(half);
        assert!(
            said.contains(":4: error: stop.escalate: needs both signal and after"),
            "{said}"
        );
    }
    let late = said("{ signal = 'TERM', after = '15s' }");
    assert!(
        late.contains(":4: error: stop.escalate.after: must be shorter than stop.timeout"),
        "{late}"
    );
    let deaf = said("{ signal = 'STOP', after = '5s' }");
    assert!(deaf.contains("stop.escalate.signal: `STOP` "), "{deaf}");
    let more = said("{ signal = 'TERM', after = '5s', agian = true }");
    assert!(more.contains("stop.escalate.agian: unknown key"), "{more}");
    let fine = said("{ signal = 'TERM', after = '14s' }");
    assert!(!fine.contains("escalate"), "{fine}");
}
