//! What becomes of settings, secrets, templates and the environment.

use std::{fmt::Write, io};

use super::Machine;
use crate::{ReloadHow, Service};

#[test]
fn what_a_secret_touches_is_secret() {
    let service = "command = ['/bin/a']\n[settings]\nk = { secret = true, default = 'hush' }\n\
        d = { default = 'x{{ k }}' }\n[env]\nA = '{{ d }}!'\nB = 'b'\n\
        [[files]]\npath = '/f'\ncontent = 'c {{ k }}'\n[[files]]\npath = '/g'\ncontent = 'c'\n";
    let plan = Machine::new().shipped("app", service).plan();
    let app = &plan.services["app"];
    assert!(app.env["A"].secret && !app.env["B"].secret);
    assert!(app.files[0].secret && !app.files[1].secret);
    assert_eq!((app.files[0].mode, app.files[1].mode), (0o600, 0o640));
    let own = format!("user = 'app'\n{service}");
    let plan = Machine::new().shipped("app", &own).plan();
    assert_eq!(plan.services["app"].files[0].mode, 0o640);
    let open = service.replace("path = '/f'", "path = '/f'\nmode = '0644'");
    assert!(
        Machine::new()
            .shipped("app", &open)
            .errors()
            .contains("holds a secret")
    );
}

#[test]
fn a_generated_secret_is_missed_once_and_then_there() {
    let service =
        "command = ['/bin/a']\n[settings]\nk = { secret = true, generate = 'hex:4', env = 'K' }\n";
    let mut machine = Machine::new();
    machine.shipped("app", service);
    let plan = machine.plan();
    assert_eq!(plan.missing_secrets.len(), 1);
    let missing = &plan.missing_secrets[0];
    let value = crate::secrets::generate::generate(&missing.spec, &[1, 2, 3, 4]).unwrap();
    let row = (missing.service.clone(), missing.key.clone(), value);
    machine.secrets(&crate::secrets::generate::insert_into("", &[row]).unwrap());
    let plan = machine.plan();
    assert!(plan.missing_secrets.is_empty());
    assert_eq!(plan.services["app"].env["K"].value, "01020304");
}

const FIND: &str = "command = ['{{ bin }}']\n[settings]\nbin = { type = 'path', \
    find = ['/a/*/bin/p', '/b-*/p', '/usr/bin/p'], version_file = '/data/VERSION' }\n";

fn found(files: &[&str], version: Option<&str>) -> Service {
    let mut machine = Machine::new();
    machine.shipped("app", FIND);
    for file in files {
        machine.put(file, "");
    }
    if let Some(version) = version {
        machine.put("/data/VERSION", version);
    }
    machine.plan().services["app"].as_ref().clone()
}

#[test]
fn find_takes_the_newest_or_that_of_the_version_file() {
    let all = ["/a/9/bin/p", "/a/10/bin/p", "/b-15/p", "/usr/bin/p"];
    assert_eq!(found(&all, None).command, ["/b-15/p"]);
    assert_eq!(found(&all, Some("10\n")).command, ["/a/10/bin/p"]);
    assert_eq!(found(&["/usr/bin/p"], Some("10\n")).command, ["/usr/bin/p"]);
    assert_eq!(
        found(&["/a/15/bin/p", "/b-15/p"], None).command,
        ["/a/15/bin/p"]
    );
}

#[test]
fn what_is_missing_on_this_host_breaks_its_service_and_no_other() {
    let app = found(&["/a/9/bin/p"], Some("10\n"));
    assert_eq!(
        app.broken.as_deref(),
        Some("bin of version 10 was not found, only of 9")
    );
    let mut machine = Machine::new();
    machine
        .shipped("app", FIND)
        .shipped("other", "command = ['/bin/o']\nafter = ['app']\n");
    let plan = machine.plan();
    assert!(
        plan.services["app"]
            .broken
            .as_deref()
            .unwrap()
            .contains("looked for /a/*/bin/p")
    );
    assert_eq!(plan.services["other"].broken, None);
    assert!(
        machine
            .remarks()
            .contains("warning: `app` cannot run on this host"),
        "{}",
        machine.remarks()
    );
    machine.fault("/data/VERSION", io::ErrorKind::PermissionDenied);
    assert!(
        machine.plan().services["app"]
            .broken
            .as_deref()
            .unwrap()
            .contains("cannot read /data/VERSION")
    );
}

#[test]
fn the_administrators_file_overrides_single_keys() {
    let mut machine = Machine::new();
    machine
        .shipped("app", "command = ['/bin/a']\nuser = 'www'\n[stop]\nsignal = 'INT'\ntimeout = '5s'\n[reload]\nsignal = 'HUP'\n")
        .own("app", "[stop]\ntimeout = '9s'\n")
        .own("extra", "command = ['/bin/e']\n");
    let plan = machine.plan();
    let app = &plan.services["app"];
    assert_eq!((app.stop.signal, app.stop.timeout_ms), (2, 9000));
    assert_eq!(app.user.as_deref(), Some("www"));
    let reload = app.reload.as_ref().unwrap();
    assert_eq!(reload.how, ReloadHow::Signal(1));
    assert_eq!((reload.timeout_ms, &reload.confirm), (60_000, &None));
    assert!(plan.services["extra"].enabled);
    machine.own("app", "reload = false\n");
    assert_eq!(machine.plan().services["app"].reload, None);
}

#[test]
fn an_administrators_template_comes_before_the_shipped_one() {
    let mut machine = Machine::new();
    machine
        .shipped("app", "command = ['/bin/a']\n[[files]]\npath = '{{ run_dir }}/f'\ntemplate = 'd/t'\nvalidate = ['/v', '{{ candidate }}']\n")
        .put("/cat/services.d/d/t", "{% for n in [1, 2] %}\nline {{ n }}\n{% endfor %}\n");
    let file = machine.plan().services["app"].files[0].clone();
    assert_eq!(file.content, "line 1\nline 2\n");
    assert_eq!(file.validate, ["/v", "/run/mattervisor/.f.candidate"]);
    machine.put("/etc/mattervisor/services.d/d/t", "mine\n");
    assert_eq!(machine.plan().services["app"].files[0].content, "mine\n");
}

#[test]
fn explicit_wins_over_group_over_role_over_the_service_file() {
    let catalog = "[groups]\nsuite = ['a']\n[roles]\nsmall = { enable = ['a'], disable = ['b'] }\n";
    let on = |site: &str, name: &str| {
        let mut machine = Machine::new();
        machine.catalog(catalog).site(site);
        machine
            .shipped("a", "command = ['/a']\nenable = false\n")
            .shipped("b", "command = ['/b']\n");
        machine.plan().services[name].enabled
    };
    assert!(!on("", "a") && on("", "b"));
    assert!(on("roles = ['small']\n", "a") && !on("roles = ['small']\n", "b"));
    assert!(!on("roles = ['small']\nsuite.enable = false\n", "a"));
    assert!(on("suite.enable = false\na.enable = true\n", "a"));
}

#[test]
fn a_dependency_that_is_disabled_does_not_constrain() {
    let mut machine = Machine::new();
    machine
        .shipped("a", "command = ['/a']\nrequires = ['b']\n")
        .shipped("b", "command = ['/b']\nenable = false\n");
    assert!(machine.plan().services["a"].requires.is_empty());
    let note = "note: requires: `b` is disabled on this host, so `a` does not wait for it";
    assert!(machine.remarks().contains(note), "{}", machine.remarks());
}

#[test]
fn a_section_has_settings_of_its_own_or_is_another_name() {
    let mut machine = Machine::new();
    machine
        .catalog("[sections]\nalias = 'app'\n")
        .shipped("app", "command = ['/a', '{{ x }}', '{{ own_section.x }}', '{{ alias.x }}']\n[settings]\nx = { default = '1' }\n[sections.own_section]\nx = { default = '2{{ x }}' }\n")
        .site("alias.x = '5'\napp.x = '4'\n");
    let errors = machine.errors();
    assert!(errors.contains("the value depends on itself"), "{errors}");
    machine.shipped("app", "command = ['/a', '{{ x }}', '{{ own_section.x }}', '{{ alias.x }}']\n[settings]\nx = { default = '1' }\n[sections.own_section]\nx = { default = '2' }\n");
    assert_eq!(
        machine.plan().services["app"].command,
        ["/a", "5", "2", "5"]
    );
}

#[test]
fn defaults_are_those_of_the_design() {
    let plan = Machine::new().shipped("app", "command = ['app']\n").plan();
    let app = &plan.services["app"];
    assert_eq!((app.stop.signal, app.stop.timeout_ms), (15, 30_000));
    assert_eq!(
        (
            app.restart.delay_ms,
            app.restart.factor_milli,
            app.restart.max_delay_ms
        ),
        (1000, 2000, 60_000)
    );
    assert_eq!(
        (
            app.restart.jitter_milli,
            app.restart.reset_after_ms,
            app.restart.limit
        ),
        (100, 60_000, None)
    );
    assert_eq!(
        (app.log.size_bytes, app.log.keep, app.log.age_ms),
        (10 << 20, 10, None)
    );
    assert_eq!(
        (app.umask, app.user.as_deref(), app.enabled),
        (0o022, None, true)
    );
    assert_eq!(app.command, ["app"]);
}

#[test]
fn numbers_may_be_written_in_several_ways() {
    let service = "command = ['/a']\numask = 0o027\ncapabilities = ['net_bind_service']\n\
        [restart]\nfactor = 1.5\njitter = '20%'\nlimit = { starts = 3, within = '1m' }\nsuccess = [3, 'TERM']\n\
        [limits]\nnofile = { soft = 1024, hard = 'unlimited' }\ncore = 0\n";
    let plan = Machine::new().shipped("app", service).plan();
    let app = &plan.services["app"];
    assert_eq!(app.umask, 0o027);
    assert_eq!(
        (app.restart.factor_milli, app.restart.jitter_milli),
        (1500, 200)
    );
    assert_eq!(app.restart.limit, Some((3, 60_000)));
    assert!(app.restart.success_codes.contains(&3) && app.restart.success_signals.contains(&15));
    assert_eq!(app.limits["nofile"], (Some(1024), None));
    assert_eq!(app.limits["core"], (Some(0), Some(0)));
    assert_eq!(
        app.capabilities.as_deref(),
        Some(["net_bind_service".to_owned()].as_slice())
    );
}

#[test]
fn debug_output_shows_no_secret() {
    let service = "command = ['/a']\n[settings]\nk = { secret = true, default = 'hush', env = 'K' }\n\
        [[files]]\npath = '/f'\ncontent = '{{ k }}'\n";
    let plan = Machine::new().shipped("app", service).plan();
    assert_eq!(plan.services["app"].env["K"].value, "hush");
    assert!(!format!("{plan:?}").contains("hush"));
}

#[test]
fn a_whole_section_can_be_handed_to_a_loop() {
    let service = "command = ['/a']\n[sections.opts]\na = { default = '1' }\nb = {}\n\
        [env]\nALL = \"{% for k in opts %}{{ k }}={{ opts[k] }};{% endfor %}\"\n";
    let plan = Machine::new().shipped("app", service).plan();
    assert_eq!(plan.services["app"].env["ALL"].value, "a=1;enable=true;");
}

#[test]
fn a_long_chain_of_settings_ends_in_an_error_and_not_in_a_crash() {
    let mut text = "command = ['/a', '{{ s00000 }}']\n[settings]\n".to_owned();
    for n in 0..5000 {
        let next = n + 1;
        writeln!(text, "s{n:05} = {{ default = '{{{{ s{next:05} }}}}x' }}").unwrap();
    }
    text += "s05000 = { default = 'end' }\n";
    assert!(
        Machine::new()
            .shipped("app", &text)
            .errors()
            .contains("depends on a chain of more than 64 settings")
    );
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let service = "command = ['/a']\n[env]\nA = \"{% for a in range(9999) %}{% for b in range(9999) %}\
        {% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}\"\n";
    assert!(
        Machine::new()
            .shipped("app", service)
            .errors()
            .contains("a loop without end")
    );
}

#[test]
fn a_default_without_value_in_a_list_is_never_lost_silently() {
    let service = "command = ['/a', '{{ l }}']\n[settings]\nx = {}\nl = { type = 'list', default = ['{{ x }}'] }\n";
    let errors = Machine::new().shipped("app", service).errors();
    assert!(errors.contains("needs `l`, which is not set"), "{errors}");
    let service = "command = ['/a', '{{ l }}']\n[settings]\nx = {}\nl = { type = 'list', default = ['{{ x }}', [1]] }\n";
    assert_ne!(Machine::new().shipped("app", service).errors(), "no error");
}

#[test]
fn without_root_a_warning_says_what_that_gives_up() {
    let mut machine = Machine::new();
    machine.shipped("app", "command = ['/a']\nuser = 'www'\n");
    assert_eq!(machine.remarks(), "");
    machine.uid(1000);
    assert!(
        machine
            .remarks()
            .contains("warning: without root all services run as")
    );
}

#[test]
fn an_empty_string_is_a_value_of_a_url() {
    let service = "command = ['/a']\n[settings]\nu = { type = 'url', env = 'U' }\n";
    let plan = Machine::new()
        .shipped("app", service)
        .site("app.u = ''\n")
        .plan();
    assert_eq!(plan.services["app"].env["U"].value, "");
}

#[test]
fn two_services_on_one_address_are_refused() {
    let mut machine = Machine::new();
    machine
        .shipped("a", "command = ['/a']\nlistens = [':80']\n")
        .shipped("b", "command = ['/b']\nlistens = ['0.0.0.0:80']\n");
    let said =
        "b.toml:2: error: listens: `b` listens on 0.0.0.0:80, but `a` has 0.0.0.0:80 already";
    assert!(machine.errors().contains(said), "{}", machine.errors());
    machine.shipped("a", "command = ['/a']\nlistens = [':80']\nenable = false\n");
    assert_eq!(machine.remarks(), "");
}
