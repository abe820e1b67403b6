//! `[[asserts]]`, and settings that are read from a file, that have no value under a condition, or
//! that do nothing.

use insta::assert_snapshot;

use super::Machine;

const APP: &str = r#"
command = ["/bin/app"]
enable = false
[settings]
dir = { type = "path", default = "/opt/suite" }
on = { type = "bool", default = false }
id = { type = "string" }
key = { type = "string", secret = true }
[[asserts]]
path_exists = "{{ dir }}/bin/app"
message = "there is no {{ dir }}/bin/app"
hint = "install it"
[[asserts]]
path_missing = "{{ dir }}/service/app"
message = "another supervisor runs it"
[[asserts]]
that = "{{ not on or id is defined }}"
about = "on"
level = "warning"
message = "is on without an id"
"#;

fn app(site: &str) -> Machine {
    let mut machine = Machine::new();
    machine.catalog("[roles]\nall = ['app']\n");
    machine.shipped("app", APP).site(site);
    machine
}

#[test]
fn an_assert_is_told_where_the_service_is_enabled() {
    assert_eq!(app("").remarks(), "");
    assert_snapshot!(app("\napp.enable = true\n").errors(), @r"
    /etc/mattervisor/mattervisor.toml:2: error: app.enable: there is no /opt/suite/bin/app
      hint: install it
    ");
    assert_snapshot!(app("roles = ['all']\n").errors(), @r"
    /etc/mattervisor/mattervisor.toml:1: error: roles: app: there is no /opt/suite/bin/app
      hint: install it
    ");
    let mut here = app("app.enable = true\napp.dir = '/srv'\n");
    here.put("/srv/bin/app", "");
    assert_eq!(here.remarks(), "");
    here.put("/srv/service/app", "");
    assert_snapshot!(here.errors(), @"/etc/mattervisor/mattervisor.toml:1: error: app.enable: another supervisor runs it");
    let mut dangling = app("app.enable = true\n");
    dangling.put("/opt/suite/bin/app", "");
    dangling.dangling("/opt/suite/service/app");
    assert!(dangling.errors().contains("another supervisor"));
}

#[test]
fn an_assert_can_be_about_a_setting_and_only_warn() {
    let mut here = app("app.enable = true\napp.on = true\n");
    here.put("/opt/suite/bin/app", "");
    assert_snapshot!(here.remarks(), @"/etc/mattervisor/mattervisor.toml:2: warning: app.on: is on without an id");
    here.site("app.enable = true\napp.on = true\napp.id = 'x'\n");
    assert_eq!(here.remarks(), "");
}

#[test]
fn wrong_asserts() {
    let wrong = |lines: &str| {
        let service = format!(
            "command = ['/bin/a']\n[settings]\nkey = {{ secret = true, default = 'hidden' }}\n[[asserts]]\n{lines}"
        );
        Machine::new().shipped("app", &service).errors()
    };
    assert_snapshot!(wrong("message = 'x'"), @"/cat/services.d/app.toml:4: error: asserts: needs path_exists, path_missing or that");
    assert_snapshot!(wrong("that = false"), @"/cat/services.d/app.toml:4: error: asserts: needs a message");
    assert_snapshot!(wrong("that = 3\nmessage = 'x'"), @"/cat/services.d/app.toml:5: error: asserts.that: must be true or false, not a number");
    assert_snapshot!(wrong("that = true\nmesage = 'x'\nmessage = 'x'"), @r"
    /cat/services.d/app.toml:6: error: asserts.mesage: unknown key
      hint: did you mean `message`?
    ");
    let secret = wrong("that = false\nmessage = 'it is {{ key }}'");
    assert!(
        secret.contains("would show a secret") && !secret.contains("hidden"),
        "{secret}"
    );
}

#[test]
fn a_setting_is_read_from_the_first_line_of_a_file() {
    let service = "command = ['/bin/a']\n[settings]\n\
        version = { read = '{{ state_dir }}/VERSION', default = 'none', env = 'VERSION' }\n\
        count = { type = 'int', read = '/count', env = 'COUNT' }\n";
    let mut machine = Machine::new();
    machine.shipped("app", service);
    let var = |machine: &Machine, name: &str| {
        let plan = machine.plan();
        plan.services["app"]
            .env
            .get(name)
            .map(|it| it.value.clone())
    };
    assert_eq!(var(&machine, "VERSION").as_deref(), Some("none"));
    assert_eq!(var(&machine, "COUNT"), None);
    machine.put("/var/lib/mattervisor/VERSION", " 1.2.3 \nrest\n");
    machine.put("/count", "4");
    assert_eq!(var(&machine, "VERSION").as_deref(), Some("1.2.3"));
    assert_eq!(var(&machine, "COUNT").as_deref(), Some("4"));
    machine.put("/var/lib/mattervisor/VERSION", "\n");
    assert_eq!(var(&machine, "VERSION").as_deref(), Some("none"));
    machine.put("/count", "many");
    assert_eq!(var(&machine, "COUNT"), None);
    assert_snapshot!(machine.remarks(), @"/cat/services.d/app.toml:4: warning: settings.count.read: /count does not hold a number, and is not used");
    machine.site("app.version = '9'\napp.count = 1\n");
    assert_eq!(var(&machine, "VERSION").as_deref(), Some("9"));
}

#[test]
fn none_is_no_value() {
    let service = "command = ['/bin/a']\n[settings]\non = { type = 'bool', default = false }\n\
        mail = { type = 'bool', default = '{{ false if on else none }}', env = 'MAIL' }\n\
        [env]\nSEEN = '{{ mail is defined }}'\nALSO = '{{ 1 if on else none }}'\n";
    let mut machine = Machine::new();
    machine.shipped("app", service);
    let names = |machine: &Machine| {
        let plan = machine.plan();
        let env = plan.services["app"].env.iter();
        let pairs = env.map(|(name, it)| format!("{name}={}", it.value));
        pairs
            .filter(|it| !it.starts_with("PATH"))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&machine), ["SEEN=false"]);
    machine.site("app.on = true\n");
    assert_eq!(names(&machine), ["ALSO=1", "MAIL=false", "SEEN=true"]);
    machine.site("app.on = true\napp.mail = true\n");
    assert_eq!(names(&machine)[1], "MAIL=true");
}

#[test]
fn what_does_nothing_is_accepted_and_said() {
    let mut machine = Machine::new();
    let service = "command = ['/bin/a']\n[settings]\nold = { obsolete = 'write `new`' }\n\
        odd = { obsolete = 'x', env = 'ODD' }\n";
    machine.shipped("app", service);
    assert!(machine.errors().contains("settings.odd.env: unknown key"));
    let service = service.replace(", env = 'ODD'", "");
    for value in ["1", "'x'", "true", "[1, { a = 2 }]", "{ a = [1] }"] {
        machine
            .shipped("app", &service)
            .site(&format!("app.old = {value}\n"));
        let said = "/etc/mattervisor/mattervisor.toml:1: note: app.old: has no effect here\n  hint: write `new`";
        assert_eq!(machine.remarks(), said);
    }
}

#[test]
fn a_scalar_is_whatever_the_program_takes() {
    let mut machine = Machine::new();
    machine.shipped(
        "app",
        "command = ['/bin/a']\n[settings]\nx = { type = 'scalar', env = 'X' }\n",
    );
    for (value, text) in [
        ("3", "3"),
        ("0.9", "0.9"),
        ("true", "true"),
        ("'5min'", "5min"),
    ] {
        machine.site(&format!("app.x = {value}\n"));
        assert_eq!(machine.plan().services["app"].env["X"].value, text);
    }
    machine.site("app.x = [1]\n");
    assert_snapshot!(machine.errors(), @"/etc/mattervisor/mattervisor.toml:1: error: app.x: must be a string, a number, true or false, not a list");
    machine.site("app.x = \"a\\u0000b\"\n");
    assert!(machine.errors().contains("cannot contain a NUL"));
}

#[test]
fn a_group_turns_nothing_on() {
    let mut machine = Machine::new();
    machine.catalog("[groups]\nsuite = ['app']\n[sections.shared]\nname = { default = 'x' }\n");
    machine.shipped("app", "command = ['/bin/{{ shared.name }}']\n");
    machine.site("suite.enable = true\n");
    assert_snapshot!(machine.remarks(), @r"
    /etc/mattervisor/mattervisor.toml:1: note: suite.enable: a group turns its services off; it turns none on
      hint: write SERVICE.enable = true for each that shall run here
    ");
    machine.site("shared.name = 'y'\n");
    assert_eq!(machine.plan().services["app"].command, ["/bin/y"]);
    machine.site("shared.enable = false\n");
    assert!(machine.errors().contains("has no setting `enable`"));
}

const MAIL: &str = r#"
command = ["/bin/mail"]
enable = false
[env]
PORT = "{{ port }}"
[settings]
port = { type = "port", default = 25 }
host = { type = "string", env = "HOST" }
[variables]
public = ["TLS"]
[[asserts]]
that = "{{ environment.PORT != '465' or environment.TLS | default('') == 'yes' }}"
about = "environment.TLS"
level = "warning"
message = "port {{ environment.PORT }} of {{ environment.HOST | default('nobody') }} needs TLS"
[[asserts]]
that = "{{ environment.MAIL_PASSWORD is not defined }}"
message = "a secret is seen"
"#;

/// An assert sees the value that the service gets, whatever its source, except for secrets.
#[test]
fn an_assert_can_be_about_a_variable() {
    let mail = |site: &str| {
        let mut machine = Machine::new();
        machine.shipped("mail", MAIL).site(site);
        machine.mode("/etc/mattervisor/mattervisor.toml", 0o600);
        machine.remarks()
    };
    assert_eq!(mail(""), "");
    let on = "mail.enable = true\n";
    assert_eq!(mail(on), "");
    assert_snapshot!(mail(&format!("{on}mail.port = 465\n")), @"/etc/mattervisor/mattervisor.toml:1: warning: mail.enable: port 465 of nobody needs TLS");
    assert_snapshot!(mail(&format!("{on}mail.host = 'mx'\nmail.port = 465\nmail.env.TLS = 'no'\n")), @"/etc/mattervisor/mattervisor.toml:4: warning: mail.env.TLS: port 465 of mx needs TLS");
    assert_eq!(
        mail(&format!(
            "{on}mail.port = 465\nmail.env = {{ TLS = 'yes', MAIL_PASSWORD = 'x' }}\n"
        )),
        ""
    );
}

#[test]
fn the_environment_is_there_in_asserts_alone() {
    let wrong = "command = ['/bin/a', '{{ environment.X }}']\n";
    assert_snapshot!(Machine::new().shipped("app", wrong).errors(), @r"
    /cat/services.d/app.toml:1: error: command: there is no `environment.X`
      hint: `environment` is there in [[asserts]] only
    ");
}
