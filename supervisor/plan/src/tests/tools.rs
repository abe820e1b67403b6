//! `[tools.NAME]`: programs that people run by `ctl NAME`.

use api::{Tool, ToolAssert};
use insta::assert_snapshot;

use super::Machine;

const APP: &str = r#"
command = ["/bin/app"]
user = "app"
[settings]
dir = { type = "path", default = "/opt/suite" }
on = { type = "bool", default = true }
key = { type = "string", secret = true, default = "hush-hush" }
[tools.appctl]
command = ["{{ dir }}/bin/appctl", "--quiet"]
command_hint = "install it"
description = """talks
  to app"""
disabled_hint = "run it where app is"
env = { APP_DIR = "{{ dir }}" }
unset_env = ["APP_HOST"]
user = "app"
[[tools.appctl.asserts]]
with = "--local"
that = "{{ on }}"
message = "it is off"
hint = "switch it on"
[[tools.appctl.asserts]]
accounts = ["root", "app"]
level = "warning"
message = "only app may"
"#;

fn with(site: &str, more: &str) -> Machine {
    let mut machine = Machine::new();
    machine.shipped("app", &format!("{APP}{more}")).site(site);
    machine
}

fn tool(site: &str) -> Tool {
    let mut tools = with(site, "").plan().tools().tools;
    assert_eq!(tools.len(), 1);
    tools.remove(0)
}

#[test]
fn a_tool_is_rendered_and_what_holds_for_all_is_left_out() {
    let found = tool("");
    let accounts = ToolAssert {
        holds: true,
        accounts: vec!["root".into(), "app".into()],
        warning: true,
        message: "only app may".into(),
        ..ToolAssert::default()
    };
    let wanted = Tool {
        name: "appctl".into(),
        service: "app".into(),
        description: "talks to app".into(),
        enabled: true,
        disabled_hint: "run it where app is".into(),
        command: vec!["/opt/suite/bin/appctl".into(), "--quiet".into()],
        command_hint: "install it".into(),
        env: [("APP_DIR".to_owned(), "/opt/suite".to_owned())].into(),
        unset_env: vec!["APP_HOST".into()],
        user: Some("app".into()),
        asserts: vec![accounts.clone()],
    };
    assert_eq!(found, wanted);
    let off = ToolAssert {
        with: Some("--local".into()),
        message: "it is off".into(),
        hint: "switch it on".into(),
        ..ToolAssert::default()
    };
    assert_eq!(tool("app.on = false\n").asserts, [off, accounts]);
}

#[test]
fn a_tool_of_a_disabled_service_is_known_with_what_to_do_instead() {
    let found = tool("app.enable = false\n");
    assert!(!found.enabled);
    assert_eq!(
        (
            found.name,
            found.service,
            found.description,
            found.disabled_hint
        ),
        (
            "appctl".into(),
            "app".into(),
            "talks to app".into(),
            "run it where app is".into()
        )
    );
}

#[test]
fn what_is_wrong_is_told_with_its_key() {
    let errors = with(
        "",
        r#"
[tools.open]
command = ["app"]
env = { APP_KEY = "{{ key }}", "A=B" = "x" }
unset_env = ["A=B"]
user = ""
comand_hint = "x"
[tools."two words"]
command = ["/bin/app"]
[tools.none]
description = "{{ key }}"
[[tools.none.asserts]]
message = "x"
[[tools.none.asserts]]
that = true
[tools.loud]
command = ["/bin/app", "{{ key }}"]
"#,
    )
    .errors();
    assert_snapshot!(errors);
}

#[test]
fn a_name_means_one_tool() {
    let mut machine = with("", "");
    machine.shipped(
        "beta",
        "command = [\"/bin/b\"]\n[tools.appctl]\ncommand = [\"/bin/b\"]\n",
    );
    assert_snapshot!(machine.errors(), @r"
    /cat/services.d/beta.toml:2: error: tools.appctl: `app` has a tool `appctl` already
      hint: give one of the two another name
    ");
}

#[test]
fn a_tool_that_changes_restarts_nothing() {
    let (old, new) = (with("", "").plan(), with("app.dir = '/srv'\n", "").plan());
    let changes = crate::changes(&old, &new);
    let kinds: Vec<_> = changes.values().map(|change| change.impact).collect();
    assert_eq!(kinds, [crate::PlanImpact::InPlace]);
}
