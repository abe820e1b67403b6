//! A changed configuration is applied by difference.

use mattervisor_tests::{Site, StatusExt, stamps};
use nix::sys::signal::Signal;

/// Behaviour 39: an unchanged service keeps its process; a changed one restarts, a removed one
/// stops, a new one starts.
#[test]
fn b39_unchanged_keep_their_pid_changed_restart_removed_stop_added_start() {
    let mut site = Site::new();
    for name in ["same", "changed", "removed", "policy"] {
        site.child(name, &["sleep"], "");
    }
    site.start_ready();
    let before = site.status();
    site.child("changed", &["sleep"], "[env]\nNEW = '1'");
    site.child("policy", &["sleep"], "[restart]\ndelay = '7s'");
    site.child("added", &["sleep"], "");
    site.without("removed");
    site.ctl(&["reconfigure"]).ok();
    let after = site.wait_for("the new plan runs", |status| {
        status
            .services
            .iter()
            .any(|service| service.name == "added" && service.ready)
            && status
                .services
                .iter()
                .all(|service| service.name != "removed")
            && status.ready("changed")
    });
    assert_eq!(after.pid("same"), before.pid("same"));
    assert_eq!(
        after.pid("policy"),
        before.pid("policy"),
        "a change of policy needs no restart"
    );
    assert_ne!(after.pid("changed"), before.pid("changed"));
    assert!(!mattervisor_tests::alive(before.pid("removed")));
}

/// Behaviour 40: a configuration that does not check changes nothing, and the fault is named with
/// file, line and the nearest right name.
#[test]
fn b40_a_bad_file_changes_nothing_and_names_the_fault() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.child("b", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    site.child("a", &["sleep"], "[env]\nNEW = '1'");
    site.child(
        "b",
        &["sleep"],
        r#"
            [restart]
            polcy = "never"
            [stop]
            signal = "TREM"
        "#,
    );
    let told = site.ctl(&["reconfigure"]).expect_code(1);
    for word in ["b.toml", "polcy", "policy", "TREM", "TERM"] {
        assert!(told.both().contains(word), "no {word} in {}", told.both());
    }
    let after = site.status();
    assert_eq!(
        (after.pid("a"), after.pid("b")),
        (before.pid("a"), before.pid("b"))
    );
}

/// At boot a configuration that does not check is refused with a warning, and the last good one
/// runs.
#[test]
fn at_boot_the_last_good_plan_runs() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    assert_eq!(site.stop(), 0);
    site.service("a", "comand = ['x']\n");
    site.start();
    let status = site.wait_for("the last good plan runs", |status| {
        status
            .services
            .iter()
            .any(|service| service.name == "a" && service.ready)
    });
    assert!(!status.warnings().is_empty(), "{:?}", status.supervisor);
}

/// SIGHUP to the supervisor does what `ctl reconfigure` does, and reaches no service.
#[test]
fn sighup_applies_the_configuration() {
    let mut site = Site::new();
    site.child("a", &["on-hup=hup", "sleep"], "");
    site.start_ready();
    let pid = site.status().pid("a");
    site.child("b", &["sleep"], "");
    site.signal(Signal::SIGHUP);
    let status = site.wait_for("b runs", |status| {
        status
            .services
            .iter()
            .any(|service| service.name == "b" && service.ready)
    });
    assert_eq!(status.pid("a"), pid);
    assert!(!site.log("a").iter().any(|line| line == "hup"));
}

/// Behaviour 46: `%` and `$` pass through as they are, the site file wins, and a removed key is
/// gone at the next start.
#[test]
fn b46_environment_is_literal_and_a_removed_key_vanishes() {
    let mut site = Site::new();
    site.env("LEAKED", "from outside");
    let more = r#"
        [settings]
        word = { type = "string", default = "plain", env = "WORD" }
        [env]
        ODD = '%d $HOME ${X} "q"'
        GOES = "soon"
    "#;
    site.child("a", &["env", "sleep"], more);
    site.site_file("a.word = 'from the setting'\na.env = { SITE = '%(x)s', EMPTY = '' }\n");
    site.start_ready();
    site.wait_log("a", |line| line == "env-end");
    let log = site.log("a");
    let has = |line: &str| log.iter().any(|have| have == line);
    assert!(has("ODD=%d $HOME ${X} \"q\""), "{log:#?}");
    assert!(
        has("SITE=%(x)s") && has("EMPTY=") && has("WORD=from the setting") && has("GOES=soon"),
        "{log:#?}"
    );
    assert!(log.iter().any(|line| line.starts_with("PATH=")));
    assert!(
        !log.iter().any(|line| line.starts_with("LEAKED=")),
        "nothing comes unasked: {log:#?}"
    );
    site.child(
        "a",
        &["env", "print=second", "sleep"],
        &more.replace("GOES = \"soon\"\n", ""),
    );
    site.ctl(&["reconfigure"]).ok();
    site.wait_log("a", |line| line == "second");
    let log = site.log("a");
    let cut = log.iter().position(|line| line == "env-end").unwrap();
    assert!(
        !log[cut + 1..].iter().any(|line| line.starts_with("GOES=")),
        "{log:#?}"
    );
}

/// A rendered file is checked before it replaces the old one, and the service reloads if it can.
#[test]
fn a_changed_file_reloads_and_a_refused_one_changes_nothing() {
    let mut site = Site::new();
    let (target, starts) = (site.file("out.conf"), site.file("starts"));
    let more = format!(
        r#"
            [settings]
            word = {{ type = "string", default = "fine" }}
            [reload]
            signal = "HUP"
            [[files]]
            path = "{target}"
            template = "a.j2"
            validate = ["/bin/grep", "-q", "fine", "{{{{ candidate }}}}"]
            on_change = "reload"
        "#
    );
    std::fs::write(
        site.path("etc/mattervisor/services.d/a.j2"),
        "word: {{ word }}\n",
    )
    .unwrap();
    site.child(
        "a",
        &[
            &format!("file={starts}"),
            "on-hup=reread",
            "print=up",
            "sleep",
        ],
        &more,
    );
    site.start_ready();
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "word: fine\n");
    site.wait_log("a", |line| line == "up");
    site.site_file("a.word = 'fine too'\n");
    site.ctl(&["reconfigure"]).ok();
    site.wait_log("a", |line| line == "reread");
    assert_eq!(
        std::fs::read_to_string(&target).unwrap(),
        "word: fine too\n"
    );
    site.site_file("a.word = 'bad'\n");
    assert_eq!(site.ctl(&["reconfigure"]).code, 1);
    assert_eq!(
        std::fs::read_to_string(&target).unwrap(),
        "word: fine too\n"
    );
    assert_eq!(stamps(starts.as_ref()).len(), 1);
}

fn set_token(site: &Site, value: &str) {
    let path = site.path("etc/mattervisor/secrets.toml");
    std::fs::write(&path, format!("a.token = '{value}'\n")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// `show-config` shows the running plan without its secrets, and `diff-config` what the files would
/// change.
#[test]
fn show_config_and_diff_config_tell_before_and_after() {
    let mut site = Site::new();
    let more = |word: &str| {
        format!(
            r#"
                [settings]
                token = {{ secret = true, env = "TOKEN" }}
                [env]
                WORD = "{word}"
            "#
        )
    };
    set_token(&site, "hush-one");
    let (open, closed) = (site.file("open.conf"), site.file("closed.conf"));
    let files = |size: u8| {
        format!(
            r#"
                [[files]]
                path = "{open}"
                content = "size {size}\nsame\n"
                [[files]]
                path = "{closed}"
                content = "size {size}\nkey {{{{ token }}}}\n"
            "#
        )
    };
    site.child("a", &["sleep"], &(more("one") + &files(1)));
    site.child("b", &["sleep"], "");
    site.start_ready();
    let said = site.ctl(&["diff-config"]).ok().stdout;
    assert_eq!(said, "no difference\n");
    let shown = site.ctl(&["show-config", "a"]).ok().stdout;
    assert!(shown.contains("env.WORD = \"one\""), "{shown}");
    assert!(shown.contains("env.TOKEN = \"(secret)\""), "{shown}");
    assert!(!shown.contains("hush") && !shown.contains("[b]"), "{shown}");

    set_token(&site, "hush-two");
    site.child("a", &["sleep"], &(more("two") + &files(2)));
    site.child("added", &["sleep"], "");
    site.without("b");
    let told = site.ctl(&["diff-config"]).expect_code(1).stdout;
    for line in [
        &*format!("  - {open}: size 1"),
        &*format!("  + {open}: size 2"),
        &*format!("  - {closed}: (secret)"),
        &*format!("  + {closed}: (secret)"),
        "  - env.WORD = \"one\"",
        "  + env.WORD = \"two\"",
        "added would start: added",
        "b would stop: removed",
    ] {
        assert!(told.lines().any(|it| it == line), "no {line:?} in {told}");
    }
    let whole = "a would restart: env TOKEN changed, env WORD changed, file";
    assert!(
        told.contains(whole) && told.contains("closed.conf"),
        "{told}"
    );
    // A file with a secret in it is not quoted.
    assert!(
        !told.contains("hush") && told.matches("size").count() == 2,
        "{told}"
    );
    let json = site.ctl(&["diff-config", "a", "--format", "json"]);
    let json = json.expect_code(1).stdout;
    assert!(!json.contains("hush") && !json.contains("added"), "{json}");

    site.service("bad", "comand = ['x']\n");
    let said = site.ctl(&["diff-config"]).expect_code(1).both();
    assert!(said.contains("comand"), "{said}");
    site.without("bad");
    site.ctl(&["reconfigure"]).ok();
    site.ctl(&["diff-config"]).ok();
}
