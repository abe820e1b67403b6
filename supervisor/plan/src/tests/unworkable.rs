//! What is well written and cannot work here is told, and refuses nothing.

use super::World;

fn remarks(content: &str, missing: &[&str]) -> String {
    let mut world = World::new();
    world.shipped("web", content);
    for path in missing {
        world.missing(path);
    }
    world.remarks()
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

/// What the plan makes by itself, and what does not run here, is nobody's concern.
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

/// The line of the site file is the one to change.
#[test]
fn an_ipv6_address_without_brackets_is_told_where_it_is_given() {
    let web = "command = ['/bin/web']\nlistens = ['{{ address }}:{{ port }}']\n\
               [settings]\naddress = { type = 'string', default = '127.0.0.1' }\n\
               port = { type = 'port', default = 80 }\n";
    let mut world = World::new();
    world.shipped("web", web).site("\nweb.address = '::1'\n");
    let said = world.errors();
    assert!(
        said.contains(
            "mattervisor.toml:2: error: web.address: an IPv6 address stands in brackets where a port follows it\n  \
             hint: write \"[::1]\""
        ),
        "{said}"
    );
    world.site("web.address = '[::1]'\n");
    world.plan();
    let mut world = World::new();
    world.shipped("web", "command = ['/bin/web']\nlistens = ['fe80::1:80']\n");
    let said = world.errors();
    assert!(said.contains("write \"[fe80::1]:80\""), "{said}");
}
