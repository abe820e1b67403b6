//! `[[status_files]]`: their text in each situation, and every wrong use.

use insta::assert_snapshot;

use super::Machine;
use crate::{JobSituation, MaintenanceSituation, PlanImpact, Situation, StatusFile, When};

const FILE: &str = "[[status_files]]\npath = '/srv/web/status'\ntemplate = 'web/status.txt.j2'\n";

fn with(more: &str, templates: &[(&str, &str)]) -> Machine {
    let mut machine = Machine::new();
    machine.shipped("web", &format!("command = ['/bin/web']\n{more}"));
    for (name, text) in templates {
        machine.put(&format!("/cat/services.d/web/{name}"), text);
    }
    machine
}

fn only(machine: &Machine) -> StatusFile {
    let plan = machine.plan();
    let [only] = &plan.services["web"].status_files[..] else {
        panic!("there is one");
    };
    // A stored status file is read back unchanged.
    let stored = serde_json::to_string(only).unwrap();
    let only: StatusFile = serde_json::from_str(&stored).unwrap();
    assert_eq!(only, plan.services["web"].status_files[0]);
    only
}

fn situation(state: &str) -> Situation {
    Situation {
        state: state.to_owned(),
        ready: false,
        held: false,
        blocked: false,
        job: None,
        maintenance: None,
    }
}

fn in_maintenance(message: &str) -> Situation {
    Situation {
        maintenance: Some(MaintenanceSituation {
            message: Some(message.to_owned()),
            since: "2026-11-30T12:00:00.000Z".to_owned(),
        }),
        ..situation("running")
    }
}

#[test]
fn a_template_sees_settings_of_its_plan_and_the_situation_of_the_moment() {
    let more = format!("{FILE}[settings]\nname = {{ type = 'string', default = 'Web' }}\n");
    let text = "{{ name }} is {{ situation.state }}\
        {% if situation.job %} by {{ situation.job.name }}, {{ situation.job.announcement }} {{ situation.job.percent }}{% endif %}\
        {% include 'web/more.j2' %}";
    let machine = with(&more, &[("status.txt.j2", text), ("more.j2", "!")]);
    let file = only(&machine);
    let said = |situation| file.render(&situation).unwrap().unwrap();
    assert_eq!(said(situation("starting")), "Web is starting!");
    let mut restored = situation("stopped");
    restored.job = Some(JobSituation {
        name: "restore".to_owned(),
        announcement: Some("is being restored".to_owned()),
        percent: Some(43),
    });
    assert_eq!(
        said(restored),
        "Web is stopped by restore, is being restored 43!"
    );
}

#[test]
fn text_is_written_as_the_file_needs_it() {
    let hostile = "</script> \"quoted\" & 'so'\n";
    for (name, text, said) in [
        (
            "status.txt.j2",
            "{{ situation.maintenance.message if situation.maintenance }}",
            hostile,
        ),
        (
            "status.html.j2",
            "<p>{{ situation.maintenance.message if situation.maintenance }}</p>",
            "<p>&lt;&#x2f;script&gt; &quot;quoted&quot; &amp; &#x27;so&#x27;\n</p>",
        ),
        (
            "status.json.j2",
            "{ \"said\": {{ situation.maintenance.message if situation.maintenance else none }}, \"up\": {{ situation.ready }} }",
            "{ \"said\": \"</script> \\\"quoted\\\" & 'so'\\n\", \"up\": false }",
        ),
    ] {
        let machine = with(&FILE.replace("status.txt.j2", name), &[(name, text)]);
        let rendered = only(&machine).render(&in_maintenance(hostile));
        assert_eq!(rendered.unwrap().unwrap(), said, "{name}");
    }
}

#[test]
fn one_for_maintenance_is_there_only_then() {
    let more = format!("{FILE}when = 'maintenance'\n");
    let file = only(&with(&more, &[("status.txt.j2", "closed")]));
    assert_eq!(file.when, When::Maintenance);
    assert_eq!(file.render(&situation("stopped")), Ok(None));
    let closed = file.render(&in_maintenance("x"));
    assert_eq!(closed, Ok(Some("closed".to_owned())));
}

#[test]
fn wrong_status_files() {
    let more = "[settings]\ntoken = { type = 'string', secret = true, default = 'x' }\n\
         unset = { type = 'string' }\n\
         [[status_files]]\ntemplate = 'web/good.j2'\n\
         [[status_files]]\npath = '/srv/a'\n\
         [[status_files]]\npath = '/srv/b'\ntemplate = 'web/good.j2'\nwhen = 'maintenanc'\nmode = '0644'\n\
         [[status_files]]\npath = '/srv/c'\ntemplate = 'web/secret.j2'\n\
         [[status_files]]\npath = '/srv/d'\ntemplate = 'web/typo.j2'\n\
         [[status_files]]\npath = '/srv/e'\ntemplate = 'web/unset.j2'\n\
         [[status_files]]\npath = '/srv/f'\ntemplate = 'web/late.j2'\n\
         [[status_files]]\npath = '/srv/g'\ntemplate = 'web/bad.json.j2'\n\
         [[status_files]]\npath = '/srv/h'\ntemplate = 'web/good.j2'\n\
         [[status_files]]\npath = '/srv/h'\ntemplate = 'web/good.j2'\n";
    let errors = with(
        more,
        &[
            ("good.j2", "{{ situation.state }}"),
            ("secret.j2", "{{ token }}"),
            ("typo.j2", "\n{{ situaton.state }}"),
            ("unset.j2", "{{ unset }}"),
            // Only one of the states reaches the mistake.
            (
                "late.j2",
                "ok\n{% if situation.state == 'backoff' %}\n{{ situation.stat }}\n{% endif %}",
            ),
            (
                "bad.json.j2",
                "{ \"a\": {{ situation.state }}{{ situation.held }} }",
            ),
        ],
    )
    .errors();
    assert_snapshot!(errors);
}

/// A part that a situation may lack is missing in the other situations, and the load finds that.
#[test]
fn what_is_not_always_said_cannot_be_taken_for_granted() {
    let text = "{{ situation.maintenance.message }}";
    let errors = with(FILE, &[("status.txt.j2", text)]).errors();
    assert!(
        errors.contains("web/status.txt.j2:1: error: status_files.template"),
        "{errors}"
    );
}

#[test]
fn a_status_file_lies_in_nobody_else_s_directory() {
    let more = format!("user = 'web'\n[[directories]]\npath = '/srv/web'\n{FILE}");
    let errors = with(&more, &[("status.txt.j2", "x")]).errors();
    let said = "status_files.path: /srv/web/status of `web` is to be root's, but lies in /srv/web";
    assert!(errors.contains(said), "{errors}");
}

/// A changed text of a page touches no process.
#[test]
fn another_text_touches_no_process() {
    let old = with(FILE, &[("status.txt.j2", "one")]).plan();
    let new = with(FILE, &[("status.txt.j2", "two")]).plan();
    let change = &crate::changes(&old, &new)["web"];
    assert_eq!(change.impact, PlanImpact::InPlace);
    assert_eq!(change.reasons, ["status_files changed"]);
}

fn shown(name: &str, situation: &Situation) -> String {
    let site = "mattermost_external_url = 'https://chat.example.com'\n";
    let plan = super::catalogue::shipped(site).plan();
    let files = &plan.services["mattermost"].status_files;
    let file = files.iter().find(|it| it.path.ends_with(name)).unwrap();
    file.render(situation).unwrap().unwrap_or_default()
}

/// The page for people in each situation; the JSON of the API says the same.
#[test]
fn the_page_says_what_goes_on() {
    let job = |announcement: Option<&str>, percent| Situation {
        job: Some(JobSituation {
            name: "any".to_owned(),
            announcement: announcement.map(str::to_owned),
            percent,
        }),
        ..situation("stopped")
    };
    let held = Situation {
        held: true,
        ..situation("stopped")
    };
    let blocked = Situation {
        blocked: true,
        ..situation("waiting")
    };
    for (situation, said) in [
        (situation("waiting"), "Mattermost is starting."),
        (situation("starting"), "Mattermost is starting."),
        (blocked, "Mattermost is not running at the moment."),
        (
            situation("running"),
            "Mattermost does not answer at the moment.",
        ),
        (
            situation("stopping"),
            "Mattermost is being stopped or restarted.",
        ),
        (
            situation("backoff"),
            "Mattermost has had a problem and is about to be started again.",
        ),
        (
            situation("failed"),
            "Mattermost is not running at the moment.",
        ),
        (held, "Mattermost has been stopped by its administrators."),
        (
            job(Some("is being restored"), Some(43)),
            "Mattermost is being restored: 43 %",
        ),
        (
            job(Some("is being backed up"), None),
            "Mattermost is being backed up.",
        ),
        (job(None, None), "Mattermost is being worked on."),
        (
            in_maintenance("Back at <b>ten</b>: \"soon\""),
            "Mattermost is down for maintenance.",
        ),
    ] {
        let page = shown("unavailable.html", &situation);
        assert!(page.contains(&format!("<h1>{said}</h1>")), "{page}");
        let body = shown("unavailable.json", &situation);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let message = body["message"].as_str().unwrap();
        assert_eq!(body["status_code"], 503);
        if situation.maintenance.is_some() {
            assert_eq!(body["id"], "mattervisor.maintenance.app_error");
            assert!(
                page.contains("<p>Back at &lt;b&gt;ten&lt;&#x2f;b&gt;: &quot;soon&quot;</p>"),
                "{page}"
            );
            assert_eq!(message, format!("{said} Back at <b>ten</b>: \"soon\""));
        } else {
            assert_eq!(body["id"], "mattervisor.unavailable.app_error");
            assert_eq!(message, said);
        }
    }
}

/// The page is shown when nothing else can be fetched.
#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = shown("unavailable.html", &situation("starting"));
    for elsewhere in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(elsewhere), "{elsewhere}: {page}");
    }
    assert!(
        page.contains("http-equiv=\"refresh\" content=\"10\""),
        "{page}"
    );
}
