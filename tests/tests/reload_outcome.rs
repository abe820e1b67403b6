//! The outcome of a reload is observed and reported, and a failure stays visible.

mod program;

use std::time::Duration;

use api::{ActionResult, ReloadOutcome, ServiceState, StatusReply, Verdict};
use mattervisor_tests::{Ctl, Running, Site, StatusExt, eventually, free_port, kill};
use nix::sys::signal::Signal;

use program::Program;

use crate::{reconfigure::outcome, reconfigure_rollback::until_kept};

/// Limit for a reconfigure and its way back, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const WORD: &str = r#"
    [settings]
    word = { type = "string", default = "old" }
    [env]
    WORD = "{{ word }}"
    [ready]
    notify = true
"#;

fn last_reload(status: &StatusReply) -> Option<ReloadOutcome> {
    let outcome = status.service("a").last_reload.as_ref();
    outcome.map(|it| it.outcome)
}

fn said(told: &Ctl, words: &[&str]) {
    for word in words {
        assert!(told.both().contains(word), "no {word:?} in {}", told.both());
    }
}

#[test]
fn a_reload_is_done_when_the_program_answers_with_what_was_rendered_for_it() {
    let mut site = Site::new();
    let program = Program::new(&site);
    program.add(&site, &program.asks(), &["sleep"]);
    site.start_ready();
    let pid = site.status().pid("a");
    assert_eq!(last_reload(&site.status()), None);
    site.site_file("a.word = 'two'\n");
    site.ctl(&["reconfigure"]).ok();
    let first = program.loaded();
    assert!(first.starts_with("word: two\nanswer: reload-0"), "{first}");
    let status = site.status();
    assert_eq!(
        (last_reload(&status), status.pid("a")),
        (Some(ReloadOutcome::Done), pid)
    );

    // A new token alone is no difference of configurations; each reload has its own.
    assert_eq!(site.ctl(&["diff-config"]).ok().stdout, "no difference\n");
    said(&site.ctl(&["reconfigure"]).ok(), &["nothing has changed"]);
    assert_eq!(program.loaded(), first);
    site.ctl(&["reload", "a"]).ok();
    assert_ne!(program.loaded(), first);
    assert_eq!(site.status().pid("a"), pid);
    site.ctl(&["restart", "a"]).ok();
    assert_eq!(last_reload(&site.status()), None);
}

/// Parts of the message when a reload of `a` was not confirmed and `b` had restarted.
const GONE_BACK: [&str; 6] = [
    "a reloads: file ",
    "the reload was not confirmed",
    "exit code 1",
    "back to the configuration of ",
    "a, b: run with it again",
    "mattervisor.toml still holds the change that failed",
];

/// After a reload that is not confirmed the previous configuration runs again, in the plan and on
/// disk, until the files are mended.
#[test]
fn a_reload_that_is_not_confirmed_is_gone_back_from() {
    let mut site = Site::new();
    let program = Program::new(&site);
    let reload = format!("timeout = '2s'\n{}", program.asks());
    let health = r#"
        [health]
        exec = ["/bin/true"]
        interval = "10ms"
    "#;
    program.add(&site, &format!("{reload}{health}"), &["sleep"]);
    site.child("b", &["notify=READY=1", "sleep"], WORD);
    site.start_ready();
    let before = site.status();
    let word = |told: &str| {
        let (rendered, loaded) = (program.rendered(), program.loaded());
        let word = format!("word: {told}\n");
        assert!(rendered.starts_with(&word), "{rendered}");
        assert!(loaded.starts_with(&word), "{loaded}");
    };

    // The previous plan need not have run for long enough to be kept.
    site.site_file("a.word = 'two'\n");
    site.ctl(&["reconfigure"]).ok();
    // A configuration goes back as a whole: the change of b is undone as well.
    site.site_file("a.word = 'bad'\nb.word = 'new'\n");
    for _ in 0..2 {
        let told = site.ctl(&["reconfigure"]).expect_code(1);
        said(&told, &GONE_BACK);
        assert!(!told.both().contains("--rollback"), "{}", told.both());
        word("two");
        let status = site.status();
        assert_eq!(last_reload(&status), Some(ReloadOutcome::Done));
        assert_eq!(status.pid("a"), before.pid("a"));
        assert_ne!(status.pid("b"), before.pid("b"));
        let warnings = status.supervisor.warnings.join("\n");
        assert!(warnings.contains("rolled back by"), "{warnings}");
        let environment = std::fs::read(format!("/proc/{}/environ", status.pid("b"))).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        assert!(environment.contains("WORD=old\0"), "{environment}");
    }
    let told = site
        .ctl(&["reconfigure", "--format", "json"])
        .expect_code(1);
    let told = outcome(&told);
    assert_eq!(
        verdicts(&told.results),
        [("a", Verdict::Failed), ("b", Verdict::Done)]
    );
    let back = told.gone_back.expect("it is gone back from");
    assert_eq!(back.refused, None);
    assert_eq!(back.to.by, "the supervisor (a reload had failed)");
    assert_eq!(
        verdicts(&back.results),
        [("a", Verdict::Done), ("b", Verdict::Done)]
    );
    let changes = site.ctl(&["events", "--changes"]).ok().stdout;
    let last = changes.lines().last().unwrap();
    for said in ["failed", "not confirmed", GONE_BACK[3]] {
        assert!(last.contains(said), "no {said:?} in {last}");
    }

    // A restart and a new supervisor use the configuration that works.
    site.ctl(&["restart", "a"]).ok();
    word("two");
    assert_eq!(site.stop(), 0);
    site.start();
    site.wait_for("it runs again", |status| status.ready("a"));
    word("two");
    site.site_file("a.word = 'good'\n");
    site.ctl(&["reconfigure"]).ok();
    word("good");
    assert_eq!(site.status().warnings(), [""; 0]);
}

fn verdicts(results: &[ActionResult]) -> Vec<(&str, Verdict)> {
    let verdicts = results.iter().map(|it| (it.service.as_str(), it.verdict));
    verdicts.collect()
}

/// A failed reload without a change of configuration has nothing to go back to; neither has the
/// failed reload of a rollback.
#[test]
fn a_reload_that_fails_stays_said_where_there_is_nothing_to_go_back_to() {
    let mut site = Site::new();
    let program = Program::new(&site);
    let reload = format!("timeout = '2s'\n{}", program.asks());
    let health = r#"
        [health]
        exec = ["/bin/true"]
        interval = "10ms"
    "#;
    program.add(&site, &format!("{reload}{health}"), &["sleep"]);
    // At its start the program takes a word that it rejects at a reload.
    site.site_file("a.word = 'bad'\n");
    site.start_ready();
    until_kept(&site, 1);
    let (pid, old) = (site.status().pid("a"), program.loaded());
    let words = ["the reload was not confirmed", "exit code 1"];
    said(&site.ctl(&["reload", "a"]).expect_code(1), &words);
    // The failure outlives successful health probes and the control process.
    let control = site.control_pid();
    kill(control, Signal::SIGKILL);
    let status = site.wait_for("another control process", |status| {
        status.supervisor.pid != control && status.service("a").healthy == Some(true)
    });
    assert_eq!(
        (status.pid("a"), last_reload(&status)),
        (pid, Some(ReloadOutcome::NotConfirmed))
    );
    said(&site.ctl(&["status", "a"]).ok(), &words);
    said(&site.ctl(&["why", "a"]).ok(), &words);
    said(&site.ctl(&["why", "a"]).ok(), &["ctl reload a"]);
    // A reconfigure tries the failed reload again.
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    said(&told, &["a reloads: its last reload has failed", words[0]]);
    let told = site.ctl(&["reconfigure", "--format", "json"]);
    assert_eq!(outcome(&told.expect_code(1)).gone_back, None);
    assert_eq!(program.loaded(), old);

    site.site_file("a.word = 'good'\n");
    site.ctl(&["reconfigure"]).ok();
    until_kept(&site, 2);
    let told = site.ctl(&["reconfigure", "--rollback"]).expect_code(1);
    said(&told, &words);
    assert!(program.loaded().starts_with("word: good\n"));
    assert!(program.rendered().starts_with("word: bad\n"));
    assert_eq!(
        last_reload(&site.status()),
        Some(ReloadOutcome::NotConfirmed)
    );
}

/// If the way back fails as well, the message says that and what to do.
#[test]
fn a_way_back_that_fails_says_what_is_to_be_done() {
    let mut site = Site::new();
    let program = Program::new(&site);
    let fine = site.file("fine");
    std::fs::write(&fine, "").unwrap();
    let validate = format!("validate = ['/bin/ls', '{fine}']\n");
    let own = program.verbs();
    let more = format!("{validate}{}", program.more(&program.asks()));
    site.child("a", &[&own[0], &own[1], "sleep"], &more);
    site.start_ready();
    std::fs::remove_file(&fine).unwrap();
    site.site_file("a.word = 'two'\n");
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    let words = [
        "the reload was refused by its validator",
        "back to the configuration of ",
        "a: failed with it too",
        "ctl why a",
    ];
    said(&told, &words);
    assert!(program.rendered().starts_with("word: one\n"));
    assert_eq!(last_reload(&site.status()), Some(ReloadOutcome::Refused));
    std::fs::write(&fine, "").unwrap();
    site.ctl(&["reconfigure"]).ok();
    assert!(program.loaded().starts_with("word: two\n"));
}

/// The next control process completes the way back, whether the one before died during the reload
/// or on the way back.
#[test]
fn a_way_back_outlives_the_control_process() {
    let mut site = Site::new();
    let program = Program::new(&site);
    let reload = format!("timeout = '2s'\n{}", program.asks());
    program.add(&site, &reload, &["sleep"]);
    site.start_ready();
    let pid = site.status().pid("a");
    for goes_back in [false, true] {
        let goes = || site.supervisor_log().matches(": goes back to the").count();
        let before = goes();
        site.site_file(&format!("a.word = 'bad {goes_back}'\n"));
        let mut asked = site.ctl_command();
        let asked = Running::start(asked.args(["reconfigure", "--format", "json"]));
        eventually("the moment has come", || {
            let reloads = || site.status().service("a").state == ServiceState::Reloading;
            let come = if goes_back {
                goes() > before
            } else {
                reloads()
            };
            come.then_some(())
        });
        kill(site.control_pid(), Signal::SIGKILL);
        let told = outcome(&asked.finish_within(LIMIT).expect_code(1));
        let back = told.gone_back.expect("it is gone back from");
        assert_eq!(verdicts(&back.results), [("a", Verdict::Done)], "{back:?}");
        assert!(program.rendered().starts_with("word: one\n"));
        assert!(program.loaded().starts_with("word: one\n"));
        let status = site.status();
        assert_eq!(
            (status.pid("a"), last_reload(&status)),
            (pid, Some(ReloadOutcome::Done))
        );
    }
}

/// A reconfigure by SIGHUP, for which no client waits, goes back as well.
#[test]
fn a_hangup_is_gone_back_from_too() {
    let mut site = Site::new();
    let program = Program::new(&site);
    let reload = format!("timeout = '2s'\n{}", program.asks());
    program.add(&site, &reload, &["sleep"]);
    site.start_ready();
    site.site_file("a.word = 'bad'\n");
    site.signal(Signal::SIGHUP);
    let changes = eventually("it is gone back from", || {
        let changes = site.ctl(&["events", "--changes"]).ok().stdout;
        changes.contains("gone back to").then_some(changes)
    });
    assert!(
        changes.contains("SIGHUP") && changes.contains("not confirmed"),
        "{changes}"
    );
    assert!(program.rendered().starts_with("word: one\n"));
    assert!(program.loaded().starts_with("word: one\n"));
}

/// A reload that its validator refused shows in no difference of plans; a reconfigure tries it
/// again all the same, until the fault is mended.
#[test]
fn a_reload_that_its_validator_refuses_stays_said_until_it_is_mended() {
    let mut site = Site::new();
    let program = Program::new(&site);
    let fine = site.file("fine");
    std::fs::write(&fine, "").unwrap();
    let validate = format!("validate = ['/bin/ls', '{fine}']\n");
    let own = program.verbs();
    let more = format!("{validate}{}", program.more(&program.asks()));
    site.child("a", &[&own[0], &own[1], "sleep"], &more);
    site.start_ready();
    std::fs::remove_file(&fine).unwrap();
    site.site_file("a.word = 'two'\n");
    let words = ["the reload was refused by its validator", "No such file"];
    said(&site.ctl(&["reconfigure"]).expect_code(1), &words);
    said(&site.ctl(&["status", "a"]).ok(), &words);
    said(&site.ctl(&["reconfigure"]).expect_code(1), &words);
    assert_eq!(last_reload(&site.status()), Some(ReloadOutcome::Refused));
    said(&site.ctl(&["reload", "a"]).expect_code(1), &words);

    std::fs::write(&fine, "").unwrap();
    let pid = site.status().pid("a");
    site.ctl(&["reconfigure"]).ok();
    let status = site.status();
    assert_eq!(
        (status.pid("a"), last_reload(&status)),
        (pid, Some(ReloadOutcome::Done))
    );
    assert!(program.loaded().starts_with("word: two\n"));
}

#[test]
fn a_file_that_somebody_else_writes_is_seen_to_be_taken() {
    let mut site = Site::new();
    let program = Program::new(&site);
    let watched = site.file("watched");
    std::fs::write(&watched, "first").unwrap();
    let watches = format!(
        r#"
            [[watches]]
            path = "{watched}"
            on_change = "reload"
        "#
    );
    program.add(&site, &format!("{}{watches}", program.asks()), &["sleep"]);
    site.start_ready();
    let before = program.loaded();
    let (started, probe) = (std::time::SystemTime::now(), site.path("probe"));
    // A file's time is that of the kernel's last tick, which may lie before the start.
    eventually("files are newer than the start", || {
        std::fs::write(&probe, "").unwrap();
        let time = std::fs::metadata(&probe).unwrap().modified().unwrap();
        (time > started + Duration::from_millis(1)).then_some(())
    });
    std::fs::write(&watched, "second").unwrap();
    let status = site.wait_for("it has taken the file", |status| {
        last_reload(status) == Some(ReloadOutcome::Done)
    });
    assert!(status.ready("a"));
    assert_ne!(program.loaded(), before);
}

#[test]
fn a_program_answers_over_http_with_what_was_rendered_for_it() {
    let mut site = Site::new();
    let program = Program::new(&site);
    let port = free_port();
    let reload = format!(
        r#"
            timeout = "2s"
            [reload.confirm]
            http = "http://127.0.0.1:{port}/"
            body = "answer: {{{{ reload_token }}}}"
            interval = "20ms"
        "#
    );
    let loaded = &program.loaded;
    program.add(&site, &reload, &[&format!("http={port}:200:@{loaded}")]);
    site.start_ready();
    site.wait_for("it answers", |_| {
        mattervisor_tests::http_get(port, "/").is_some()
    });
    site.site_file("a.word = 'bad'\n");
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    said(
        &told,
        &["the reload was not confirmed", "has no 'answer: reload-0"],
    );
    site.site_file("a.word = 'good'\n");
    site.ctl(&["reconfigure"]).ok();
    assert!(program.loaded().starts_with("word: good\n"));
}
