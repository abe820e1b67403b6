//! `[reload]`, `[reload.confirm]` and the reload token.

use super::Machine;
use crate::{Ask, PlanImpact, Probe, ReloadHow, changes, compare::describe, model::reload_token};

const APP: &str = "command = ['/bin/a']\n[reload]\nsignal = 'HUP'\ntimeout = '20s'\n\
    [reload.confirm]\nhttp = 'http://127.0.0.1:80/generation'\nbody = '{{ reload_token }}'\n\
    [[files]]\npath = '/run/a.conf'\non_change = 'reload'\ncontent = 'answer {{ reload_token }}'\n";

fn errors(text: &str) -> String {
    Machine::new().shipped("app", text).errors()
}

#[test]
fn a_reload_has_a_deadline_and_may_be_confirmed() {
    let plan = Machine::new().shipped("app", APP).plan();
    let app = &plan.services["app"];
    let reload = app.reload.as_ref().unwrap();
    assert_eq!(
        (&reload.how, reload.timeout_ms),
        (&ReloadHow::Signal(1), 20_000)
    );
    let ask = Ask::Http {
        url: "http://127.0.0.1:80/generation".to_owned(),
        socket: None,
        status: vec![],
        body: Some(reload_token::BLANK.to_owned()),
    };
    let probe = Probe {
        ask,
        delay_ms: 0,
        interval_ms: 250,
        timeout_ms: 5_000,
        failures: 1,
        successes: 1,
    };
    assert_eq!(reload.confirm, Some(probe));
    assert!(app.has_reload_token());
    let keys = describe::service(app);
    let value = |key: &str| keys.iter().find(|it| it.key == key).unwrap().value.clone();
    assert_eq!(value("reload.timeout"), "20s");
    assert_eq!(value("reload.confirm.interval"), "250ms");
}

#[test]
fn the_question_is_about_the_token_of_one_reload() {
    let text = APP.replace(
        "http = 'http://127.0.0.1:80/generation'\nbody = '{{ reload_token }}'",
        "exec = ['/bin/ask', 'is={{ reload_token }}']",
    );
    let plan = Machine::new().shipped("app", &text).plan();
    let confirm = plan.services["app"]
        .reload
        .as_ref()
        .unwrap()
        .confirm
        .as_ref();
    let asked = confirm.unwrap().ask.filled(&reload_token::token(255));
    let argv = ["/bin/ask", "is=reload-00000000000000ff"].map(str::to_owned);
    assert_eq!(asked, Ask::Exec(argv.into()));
}

#[test]
fn a_token_alone_is_no_change_of_the_plan() {
    let plan = || Machine::new().shipped("app", APP).plan();
    assert_eq!(plan(), plan());
    let other = Machine::new()
        .shipped("app", &APP.replace("20s", "21s"))
        .plan();
    let change = changes(&plan(), &other).remove("app").unwrap();
    assert_eq!(
        (change.impact, change.reasons),
        (PlanImpact::InPlace, vec!["reload changed".to_owned()])
    );
}

#[test]
fn a_token_is_asked_for_only_where_a_program_can_have_it() {
    let nowhere = APP.replace("answer {{ reload_token }}", "nothing");
    let said = errors(&nowhere);
    assert!(
        said.contains("reload.confirm: asks for the `reload_token`, which is in no file"),
        "{said}"
    );
    // A disabled service is not rendered, so nothing is known of its files.
    assert_eq!(
        Machine::new()
            .shipped("app", &format!("enable = false\n{nowhere}"))
            .remarks(),
        ""
    );

    let once = APP.replace("on_change", "create_only = true\non_change");
    let said = errors(&once);
    assert!(
        said.contains("files.create_only: has a `reload_token`, but is written only once"),
        "{said}"
    );

    let elsewhere = APP.replace("'/bin/a'", "'/bin/a', '{{ reload_token }}'");
    let said = errors(&elsewhere);
    assert!(
        said.contains("`reload_token` is there in [[files]] and [reload.confirm] only"),
        "{said}"
    );
}

/// Each reload writes a new token, so the service would reload for ever.
#[test]
fn a_file_with_a_token_is_no_reason_to_reload() {
    let watched = format!("{APP}[[watches]]\npath = '/run/a.conf'\non_change = 'reload'\n");
    let said = errors(&watched);
    assert!(
        said.contains("watches: /run/a.conf has a `reload_token`"),
        "{said}"
    );
    let told_alone = watched.replace(
        "path = '/run/a.conf'\non_change = 'reload'\n",
        "path = '/run/a.conf'\non_change = 'nothing'\n",
    );
    assert_ne!(watched, told_alone);
    assert_eq!(Machine::new().shipped("app", &told_alone).remarks(), "");
}

#[test]
fn what_confirms_a_reload_is_a_question_about_the_configuration() {
    let with = |confirm: &str| {
        errors(&format!(
            "command = ['/bin/a']\n[reload]\nsignal = 'HUP'\n[reload.confirm]\n{confirm}\n"
        ))
    };
    for (confirm, wanted) in [
        (
            "tcp = 'localhost:80'",
            "reload.confirm.tcp: says nothing of the configuration",
        ),
        (
            "unix = '/a'",
            "reload.confirm.unix: says nothing of the configuration",
        ),
        (
            "interval = '1s'",
            "does not say what is asked: write one of http or exec",
        ),
        (
            "exec = ['/bin/a']\nhttp = 'http://h:1/'",
            "`http` and `exec` exclude each other",
        ),
        ("exec = ['/bin/a']\nfailures = 3", "failures"),
        (
            "exec = ['/bin/a']\nattempt_timeout = '0s'",
            "must be longer than nothing",
        ),
    ] {
        let said = with(confirm);
        assert!(said.contains(wanted), "{confirm}: {said}");
    }
    let said = errors("command = ['/bin/a']\n[reload]\nsignal = 'HUP'\ntimeout = '0s'\n");
    assert!(
        said.contains("reload.timeout: must be longer than nothing"),
        "{said}"
    );
}
