//! The variables that a service gets: the layers of its environment, and errors in them.

use super::Machine;
use crate::Service;
use api::VariableSource;

fn env(service: &Service) -> Vec<(&str, &str)> {
    service
        .env
        .iter()
        .filter(|(name, _)| *name != "PATH")
        .map(|(name, var)| (name.as_str(), var.value.as_str()))
        .collect()
}

const APP: &str = r#"
command = ["/bin/app"]
[settings]
port = { type = "port", default = 80, env = "PORT" }
flag = { type = "bool", env = "FLAG" }
hosts = { type = "list", env = "HOSTS" }
more = { type = "map", env = "MORE" }
text = { type = "string", env = "TEXT" }
over = { type = "string", env = "OVER" }
key = { type = "string", secret = true, env = "KEY" }
[env]
OVER = "computed"
URL = "http://{{ text if text is defined else 'none' }}:{{ port }}/"
LONE = "{{ text }}"
FLAGGED = "{{ flag }}/{{ hosts }}"
COPY = "{{ more }}"
"#;

/// Settings that the templates of [`APP`] need.
const NEEDED: &str = "app.flag = true\napp.hosts = []\n";

fn app(site: &str) -> Service {
    Machine::new()
        .shipped("app", APP)
        .site(site)
        .plan()
        .services["app"]
        .as_ref()
        .clone()
}

#[test]
fn the_environment_is_fixed_path_then_computed_then_settings_then_the_env_map() {
    let site = "app.flag = true\napp.hosts = ['a', 'b']\napp.more = { x = 1, y = 'z' }\n\
        app.over = 'setting'\napp.env = { TEXT = '{{ x }} %d $HOME', N = 3, B = false, PORT = '' }\n";
    let app = app(site);
    assert_eq!(
        env(&app),
        [
            ("B", "false"),
            ("COPY", r#"{"x":1,"y":"z"}"#),
            ("FLAG", "true"),
            ("FLAGGED", "true/a b"),
            ("HOSTS", "a b"),
            ("MORE", r#"{"x":1,"y":"z"}"#),
            ("N", "3"),
            ("OVER", "setting"),
            ("PORT", ""),
            ("TEXT", "{{ x }} %d $HOME"),
            ("URL", "http://none:80/"),
        ]
    );
    assert_eq!(app.env["PATH"].source, VariableSource::Supervisor);
    assert_eq!(app.env["URL"].source, VariableSource::ServiceFile);
    assert_eq!(app.env["OVER"].source, VariableSource::Setting);
    assert_eq!(app.env["TEXT"].source, VariableSource::SiteFile);
}

#[test]
fn a_key_that_is_removed_takes_its_variable_with_it() {
    let site = "app.flag = true\napp.hosts = []\napp.more = {}\n";
    assert_eq!(app(&format!("{site}app.text = ''\n")).env["TEXT"].value, "");
    let without = app(site);
    assert!(!without.env.contains_key("TEXT") && !without.env.contains_key("LONE"));
}

#[test]
fn secrets_come_from_their_file_and_the_site_file_wins() {
    let mut machine = Machine::new();
    let site = "app.flag = true\napp.hosts = []\napp.more = {}\n";
    machine
        .shipped("app", APP)
        .site(site)
        .secrets("app.key = 'hush'\napp.text = 'x'\n");
    let plan = machine.plan();
    let app = &plan.services["app"];
    assert_eq!(
        (app.env["KEY"].value.as_str(), app.env["KEY"].secret),
        ("hush", true)
    );
    assert_eq!(app.env["TEXT"].value, "x");
    machine.site(&format!("{site}app.text = 'y'\n"));
    assert_eq!(machine.plan().services["app"].env["TEXT"].value, "y");
    assert!(
        machine
            .remarks()
            .contains("warning: app.text: secrets.toml has another value"),
        "{}",
        machine.remarks()
    );
}

#[test]
fn a_variable_that_replaces_what_is_worked_out_from_settings_is_told() {
    let remarks = |site: &str| {
        Machine::new()
            .shipped("app", APP)
            .site(&format!("{site}{NEEDED}"))
            .remarks()
    };
    let told = remarks("app.port = 81\napp.env.URL = 'http://other/'\n");
    assert!(
        told.contains("mattervisor.toml:2: warning: app.env.URL")
            && told.contains("worked out from app.port, app.text"),
        "{told}"
    );
    // These do no harm: the same value, a setting's own variable, and a fixed one.
    for harmless in ["URL = 'http://none:80/'", "TEXT = 'x'", "OVER = 'x'"] {
        assert_eq!(remarks(&format!("app.env.{harmless}\n")), "", "{harmless}");
    }
}

#[test]
fn an_environment_that_no_program_starts_with_is_refused() {
    let long = |bytes: usize| format!("app.env.LONG = '{}'\n{NEEDED}", "x".repeat(bytes));
    let most = (128 << 10) - "LONG=".len() - 1;
    let load = |site: &str| Machine::new().shipped("app", APP).site(site).errors();
    Machine::new().shipped("app", APP).site(&long(most)).plan();
    let told = load(&long(most + 1));
    assert!(
        told.contains("mattervisor.toml:1: error: app.env.LONG: is 131073 bytes long"),
        "{told}"
    );
    // Half of the variables in each file, because no single file may be that long.
    let half = |name: &str| {
        let line = |it| format!("{name}{it} = '{}'\n", "x".repeat(120 << 10));
        (0..5).map(line).collect::<String>()
    };
    let (own, site) = (half("OWN"), half("app.env.GIVEN"));
    let mut machine = Machine::new();
    machine.shipped("app", &format!("{APP}{own}"));
    let told = machine.site(&format!("{site}{NEEDED}")).errors();
    assert!(told.contains("all variables together"), "{told}");
}

#[test]
fn a_variable_that_is_unset_is_none_whatever_the_service_file_says() {
    let app = app(&format!(
        "{NEEDED}app.unset_env = ['PORT', 'OVER', 'FLAGGED', 'PATH']\napp.env = {{ NEW = 'x' }}\n"
    ));
    let names: Vec<&str> = env(&app).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["FLAG", "HOSTS", "NEW", "URL"]);
    assert!(!app.env.contains_key("PATH"));
}

#[test]
fn what_is_set_and_unset_at_once_or_never_set_is_told() {
    let machine = |site: &str| {
        let mut machine = Machine::new();
        machine.shipped("app", APP).site(&format!("{NEEDED}{site}"));
        machine
    };
    let of_a_setting = machine("app.over = 'x'\napp.unset_env = ['OVER']\n").errors();
    assert!(
        of_a_setting.contains("app.over sets OVER"),
        "{of_a_setting}"
    );
    assert!(
        of_a_setting.contains("remove one of the two"),
        "{of_a_setting}"
    );
    let of_the_map = machine("app.env.NEW = 'x'\napp.unset_env = ['NEW']\n").errors();
    assert!(of_the_map.contains("app.env.NEW sets NEW"), "{of_the_map}");
    for wrong in ["'OVER'", "['A=B']", "[1]"] {
        let errors = machine(&format!("app.unset_env = {wrong}\n")).errors();
        assert!(errors.contains("app.unset_env"), "{wrong}: {errors}");
    }
    let remarks = machine("app.unset_env = ['OVR', 'MORE']\n").remarks();
    assert!(remarks.contains("nothing sets OVR"), "{remarks}");
    assert!(remarks.contains("did you mean `OVER`?"), "{remarks}");
    assert!(!remarks.contains("MORE"), "{remarks}");
}

#[test]
fn filters_quote_and_measure() {
    let service = r#"
        command = ["/a"]
        [settings]
        odd = { default = "it's \"x\" \\" }
        size = { type = "size", default = "2K" }
        time = { type = "duration", default = "1m30s" }
        [env]
        A = "{{ odd | sh }}"
        B = "{{ odd | quoted }}"
        C = "{{ size | bytes }} {{ time | ms }} {{ time | seconds }}"
        D = "{{ '/a/b/c' | dirname }} {{ '/a' | dirname }} {{ '/a/b' | basename }}"
        "#;
    let plan = Machine::new().shipped("app", service).plan();
    let app = &plan.services["app"];
    assert_eq!(
        env(app),
        [
            ("A", r#"'it'\''s "x" \'"#),
            ("B", r#""it's \"x\" \\""#),
            ("C", "2048 90000 90"),
            ("D", "/a/b / b"),
        ]
    );
}
