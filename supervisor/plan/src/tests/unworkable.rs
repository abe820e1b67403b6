//! Valid values that cannot work on this machine yield a warning, and refuse nothing.

use super::Machine;

fn remarks(content: &str, missing: &[&str]) -> String {
    let mut machine = Machine::new();
    machine.shipped("web", content);
    for path in missing {
        machine.missing(path);
    }
    machine.remarks()
}

#[test]
fn programs_and_directories_that_are_not_there_are_told() {
    let web = "command = ['/opt/web', 'x']\nworking_dir = '/srv/web'\n";
    assert_eq!(remarks(web, &[]), "");
    let said = remarks(web, &["/opt/web", "/srv/web"]);
    assert!(
        said.contains("web.toml:1: warning: command: there is no program /opt/web\n  hint: "),
        "{said}"
    );
    assert!(
        said.contains("web.toml:2: warning: working_dir: there is no directory /srv/web"),
        "{said}"
    );
    let bare = "command = ['web']\n[env]\nPATH = '/a:/b'\n";
    assert_eq!(remarks(bare, &["/a/web"]), "");
    let said = remarks(bare, &["/a/web", "/b/web"]);
    assert!(said.contains("there is no program web in /a:/b"), "{said}");
}

/// Paths that the plan makes itself, and paths of disabled services, yield no warning.
#[test]
fn what_is_made_or_disabled_is_not_missed() {
    let made = "command = ['/run/web/go']\nworking_dir = '/run/web'\n\
                [[directories]]\npath = '/run/web'\n[[files]]\npath = '/run/web/go'\ncontent = 'x'\n";
    assert_eq!(remarks(made, &["/run/web", "/run/web/go"]), "");
    let disabled = "command = ['/opt/web']\nenable = false\n";
    assert_eq!(remarks(disabled, &["/opt/web"]), "");
}

#[test]
fn tables_that_a_oneshot_has_no_use_for_are_told() {
    let idle = "[liveness]\nexec = ['/bin/true']\n[health]\nexec = ['/bin/true']\n\
                [watchdog]\ntimeout = '5s'\n[reload]\nsignal = 'HUP'\n[ready]\nlog = 'done'\n";
    let said = remarks(
        &format!("command = ['/bin/web']\ntype = 'oneshot'\n{idle}"),
        &[],
    );
    for (table, line) in [
        ("liveness", 3),
        ("health", 5),
        ("watchdog", 7),
        ("reload", 9),
        ("ready", 11),
    ] {
        let wanted =
            format!("web.toml:{line}: warning: {table}: `[{table}]` of a oneshot is not used");
        assert!(said.contains(&wanted), "{said}");
    }
    let daemon = remarks(&format!("command = ['/bin/web']\n{idle}"), &[]);
    assert!(!daemon.contains("oneshot"), "{daemon}");
}

/// The error names the line of the site file, which is the line to change.
#[test]
fn an_ipv6_address_without_brackets_is_told_where_it_is_given() {
    let web = "command = ['/bin/web']\nlistens = ['{{ address }}:{{ port }}']\n\
               [settings]\naddress = { type = 'string', default = '127.0.0.1' }\n\
               port = { type = 'port', default = 80 }\n";
    let mut machine = Machine::new();
    machine.shipped("web", web).site("\nweb.address = '::1'\n");
    let said = machine.errors();
    assert!(
        said.contains(
            "mattervisor.toml:2: error: web.address: an IPv6 address stands in brackets where a port follows it\n  \
             hint: write \"[::1]\""
        ),
        "{said}"
    );
    machine.site("web.address = '[::1]'\n");
    machine.plan();
    let mut machine = Machine::new();
    machine.shipped("web", "command = ['/bin/web']\nlistens = ['fe80::1:80']\n");
    let said = machine.errors();
    assert!(said.contains("write \"[fe80::1]:80\""), "{said}");
}

/// A missing program in a missing directory yields one message, with the hint how to install both.
#[test]
fn what_brings_a_program_is_said_where_it_is_missing() {
    let web = "command = ['{{ dir }}/bin/web']\nworking_dir = '{{ dir }}'\ncommand_hint = 'unpack it in {{ dir }}'\n\
               [settings]\ndir = { type = 'path', default = '/opt/web' }\n";
    let said = remarks(web, &["/opt/web", "/opt/web/bin/web"]);
    assert_eq!(
        said.trim_end(),
        "/cat/services.d/web.toml:1: warning: command: there is no program /opt/web/bin/web\n  hint: unpack it in /opt/web"
    );
}

/// A list with a missing element is not a shorter list.
#[test]
fn a_command_by_a_program_that_is_not_found_breaks_its_service_alone() {
    let find = "[settings]\nbinary = { type = 'path', find = ['/opt/web'], find_hint = 'install it: get web' }\n\
                more = { type = 'list', default = ['-q'] }\n";
    let command = "{{ [binary, '-x'] + more }}";
    let web = format!(
        "command = \"{command}\"\nvalidate = \"{command}\"\n{find}[[files]]\npath = '/run/web.conf'\ncontent = 'x'\nvalidate = \"{command}\"\n"
    );
    let mut machine = Machine::new();
    machine
        .shipped("web", &web)
        .shipped("other", "command = ['/bin/other']\n");
    let plan = machine.plan();
    let why = "binary was not found; looked for /opt/web; install it: get web";
    assert_eq!(plan.services["web"].broken.as_deref(), Some(why));
    assert_eq!(plan.services["other"].broken, None);
    let said = machine.remarks();
    assert!(
        said.contains(&format!("`web` cannot run on this host: {why}")),
        "{said}"
    );
    machine.put("/opt/web", "");
    assert_eq!(
        machine.plan().services["web"].command,
        ["/opt/web", "-x", "-q"]
    );
}

#[test]
fn a_hint_on_what_nobody_looks_for_is_an_error() {
    let mut machine = Machine::new();
    machine.shipped(
        "web",
        "command = ['/bin/web']\n[settings]\nx = { type = 'path', find_hint = 'y' }\n",
    );
    let said = machine.errors();
    assert!(
        said.contains("settings.x.find_hint: means nothing without find"),
        "{said}"
    );
}
