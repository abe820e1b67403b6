//! A dry run predicts a reconfigure, and a reconfigure changes all or nothing.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use api::{Outcome, PlanImpact, Preview, StatusReply};
use mattervisor_tests::{Ctl, Running, Site, StatusExt, eventually};

/// Limit for a command that waited for the test.
const LET_GO: Duration = Duration::from_secs(60);

pub(crate) fn dry_run(site: &Site, more: &[&str]) -> Preview {
    let arguments = [&["reconfigure", "--dry-run", "--format", "json"], more].concat();
    let told = site.ctl(&arguments).ok();
    serde_json::from_str(&told.stdout).unwrap()
}

pub(crate) fn actions(preview: &Preview) -> BTreeMap<&str, PlanImpact> {
    let services = preview.services.iter();
    services.map(|it| (it.name.as_str(), it.action)).collect()
}

pub(crate) fn outcome(told: &Ctl) -> Outcome {
    serde_json::from_str(&told.stdout).unwrap()
}

/// Every file below a directory, with its content and its modification time.
fn everything(dir: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                left.push(path);
            } else if about.is_file() {
                let content = fs::read(&path).unwrap();
                found.insert(
                    path.display().to_string(),
                    (content, about.modified().unwrap()),
                );
            }
        }
    }
    found
}

/// Keys of a service whose rendered file `grep` checks, and which reloads when the file changes.
fn with_file(path: &str) -> String {
    format!(
        r#"
            [settings]
            word = {{ type = "string", default = "fine" }}
            [reload]
            signal = "HUP"
            [[files]]
            path = "{path}"
            content = "word: {{{{ word }}}}\n"
            validate = ["/bin/grep", "fine", "{{{{ candidate }}}}"]
            on_change = "reload"
        "#
    )
}

/// Changes the files so that each service needs another action.
fn changed_in_every_way(site: &Site) {
    site.site_file("conf.word = 'fine too'\nheld.word = 'x'\n");
    site.child("changed", &["sleep"], "[env]\nNEW = '1'\n");
    site.child("policy", &["sleep"], "[restart]\ndelay = '7s'\n");
    site.child("added", &["sleep"], "");
    site.without("removed");
}

/// One service for each action that a reconfigure can take.
fn services(site: &Site, conf: &str) {
    for name in ["same", "changed", "removed", "policy"] {
        site.child(name, &["sleep"], "");
    }
    site.child("dependent", &["sleep"], "requires = ['changed']\n");
    let held = "[settings]\nword = { type = 'string', default = 'a', env = 'WORD' }\n";
    site.child("held", &["sleep"], held);
    site.child("conf", &["on-hup=reread", "sleep"], &with_file(conf));
}

/// A dry run predicts what happens to every service, changes nothing and leaves nothing behind.
#[test]
fn a_dry_run_says_what_the_real_one_then_does() {
    let mut site = Site::new();
    let conf = site.file("out.conf");
    services(&site, &conf);
    site.start_ready();
    site.ctl(&["stop", "held"]).ok();
    let before = site.status();
    assert!(
        actions(&dry_run(&site, &[]))
            .values()
            .all(|it| *it == PlanImpact::Keep)
    );
    changed_in_every_way(&site);
    let files = everything(site.root());
    let text = site.ctl(&["reconfigure", "--dry-run"]).ok().stdout;
    let preview = dry_run(&site, &[]);
    // Only the logs and the list of kept plans may change meanwhile.
    let same = |path: &str| {
        !path.contains("/var/log/")
            && !path.ends_with("supervisor.log")
            && !path.ends_with("kept-plans.json")
    };
    let after = everything(site.root());
    let mine = |all: &BTreeMap<String, (Vec<u8>, SystemTime)>| {
        let kept = all.clone().into_iter().filter(|(path, _)| same(path));
        kept.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        mine(&files),
        mine(&after),
        "a dry run has written something"
    );
    assert_eq!(
        actions(&preview),
        BTreeMap::from([
            ("added", PlanImpact::Start),
            ("changed", PlanImpact::Restart),
            ("conf", PlanImpact::Reload),
            ("dependent", PlanImpact::Restart),
            ("held", PlanImpact::InPlace),
            ("policy", PlanImpact::InPlace),
            ("removed", PlanImpact::Stop),
            ("same", PlanImpact::Keep),
        ])
    );
    for said in [
        "env NEW added",
        "with changed, which it requires",
        "stopped by",
        "restart policy changed",
    ] {
        assert!(text.contains(said), "no {said:?} in {text}");
    }
    assert!(
        preview.checks.iter().all(|it| it.passed && it.path == conf),
        "{preview:?}"
    );
    assert!(!preview.checks.is_empty());
    does(&site, &before, &preview);
}

/// Reconfigures, and checks the actions that the dry run has named.
fn does(site: &Site, before: &StatusReply, preview: &Preview) {
    let told = site.ctl(&["reconfigure", "--format", "json"]).ok();
    let did = outcome(&told);
    let moved: Vec<&str> = did.results.iter().map(|it| it.service.as_str()).collect();
    let meant: Vec<&str> = actions(preview)
        .into_iter()
        .filter(|(_, action)| *action != PlanImpact::Keep)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(moved, meant);
    site.wait_log("conf", |line| line == "reread");
    judge(site, before, preview);
}

/// Compares the pids with the predicted actions.
fn judge(site: &Site, before: &StatusReply, preview: &Preview) {
    let after = site.wait_for("the removed one is gone", |status| {
        status.services.iter().all(|it| it.name != "removed")
    });
    for (name, action) in actions(preview) {
        let pid = |status: &StatusReply| {
            let found = status.services.iter().find(|it| it.name == name);
            found.and_then(|it| it.pid)
        };
        let (old, new) = (pid(before), pid(&after));
        match action {
            PlanImpact::Keep | PlanImpact::InPlace | PlanImpact::Reload => {
                assert_eq!(old, new, "{name}");
            }
            PlanImpact::Restart => assert!(old.is_some() && new.is_some() && old != new, "{name}"),
            PlanImpact::Start => assert!(old.is_none() && new.is_some(), "{name}"),
            PlanImpact::Stop => assert!(old.is_some() && new.is_none(), "{name}"),
        }
    }
    assert_eq!(after.state("held"), "stopped");
}

/// A dry run names the secrets that would be generated and generates none; no output shows a
/// secret.
#[test]
fn a_dry_run_makes_no_secret_and_tells_none() {
    let mut site = Site::new();
    site.child("a", &["sleep"], "");
    site.start_ready();
    let more = "[settings]\nkey = { secret = true, generate = 'hex:16', env = 'KEY' }\n";
    site.child("a", &["sleep"], more);
    let dir = site.file("made");
    site.child(
        "b",
        &["sleep"],
        &format!("[[directories]]\npath = '{dir}'\n"),
    );
    let preview = dry_run(&site, &[]);
    let host: Vec<String> = preview
        .host
        .iter()
        .map(|it| format!("{} {}", it.action, it.what))
        .collect();
    assert_eq!(
        host,
        [
            "generate secret a.key".to_owned(),
            format!("make directory {dir}")
        ]
    );
    assert!(!site.path("etc/mattervisor/secrets.toml").exists());
    assert!(!Path::new(&dir).exists());
    site.ctl(&["reconfigure"]).ok();
    let secrets = fs::read_to_string(site.path("etc/mattervisor/secrets.toml")).unwrap();
    let value = secrets.split('"').nth(1).unwrap().to_owned();
    assert_eq!(value.len(), 32);
    site.child("a", &["sleep"], &more.replace(", env = 'KEY'", ""));
    for told in [
        site.ctl(&["reconfigure", "--dry-run"]),
        site.ctl(&["reconfigure"]),
    ] {
        let told = told.ok().both();
        assert!(
            told.contains("env KEY removed") && !told.contains(&value),
            "{told}"
        );
    }
}

/// A rendered file that does not check changes nothing at all: no file, no process, no plan, and no
/// candidate stays behind. The checker's own words are shown, by a dry run too.
#[test]
fn a_file_that_does_not_check_changes_nothing_at_all() {
    let mut site = Site::new();
    let conf = site.file("conf/out.conf");
    fs::create_dir(site.path("conf")).unwrap();
    site.child("a", &["sleep"], &with_file(&conf));
    site.child("b", &["sleep"], "");
    site.start_ready();
    let before = site.status();
    let plan = fs::read(site.path("var/lib/mattervisor/plan.json")).unwrap();
    let files = everything(&site.path("conf"));
    site.site_file("a.word = 'bad'\n");
    site.child("b", &["sleep"], "[env]\nNEW = '1'\n");
    let checker = with_file(&conf).replace("/bin/grep\", \"fine\"", "/bin/ls\", \"--nonsense\"");
    site.child("a", &["sleep"], &checker);
    for arguments in [&["reconfigure"][..], &["reconfigure", "--dry-run"]] {
        let told = site.ctl(arguments).expect_code(1).both();
        assert!(told.contains("unrecognized option"), "{told}");
        assert!(
            told.contains(&conf) && told.contains("nothing has changed"),
            "{told}"
        );
        assert_eq!(everything(&site.path("conf")), files, "{arguments:?}");
    }
    let after = site.status();
    for name in ["a", "b"] {
        assert_eq!(after.pid(name), before.pid(name));
    }
    assert_eq!(
        fs::read(site.path("var/lib/mattervisor/plan.json")).unwrap(),
        plan
    );
}

/// The message quotes the line that the checker complains of, since the candidate is gone by then.
/// Warnings are shown for a refused and for an applied change, since they often explain what the
/// checker does not.
#[test]
fn what_a_checker_means_and_warnings_are_told() {
    let mut site = Site::new();
    let conf = site.file("out.conf");
    let checker = r#"grep -qv bad "$1" || { echo "bad word in $1:1" >&2; exit 1; }"#;
    let checker =
        format!(r#"validate = ["/bin/sh", "-c", '''{checker}''', "check", "{{{{ candidate }}}}"]"#);
    let service = with_file(&conf).replace(
        r#"validate = ["/bin/grep", "fine", "{{ candidate }}"]"#,
        &checker,
    );
    assert!(service.contains("bad word"));
    site.child("a", &["sleep"], &service);
    site.start_ready();
    let secrets = site.path("etc/mattervisor/secrets.toml");
    fs::write(&secrets, "a.word = 'other'\n").unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    site.site_file("a.word = 'bad'\n");
    let warning = "warning: a.word: secrets.toml has another value for this; the one here counts";
    for arguments in [&["reconfigure"][..], &["reconfigure", "--dry-run"]] {
        let told = site.ctl(arguments).expect_code(1).both();
        assert!(told.contains("\nline 1 is: word: bad\n"), "{told}");
        assert!(told.contains(warning), "{told}");
    }
    site.site_file("a.word = 'good'\n");
    let told = site.ctl(&["reconfigure"]).ok().both();
    assert!(
        told.contains(warning) && told.contains("a reloads"),
        "{told}"
    );
}

/// A file that somebody has altered is restored, and the service that reads it reloads.
#[test]
fn an_altered_file_is_put_back_and_reloads() {
    let mut site = Site::new();
    let conf = site.file("out.conf");
    site.child("a", &["on-hup=reread", "sleep"], &with_file(&conf));
    site.start_ready();
    let pid = site.status().pid("a");
    fs::write(&conf, "by hand\n").unwrap();
    assert_eq!(actions(&dry_run(&site, &[]))["a"], PlanImpact::Reload);
    let told = site.ctl(&["reconfigure"]).ok().stdout;
    assert!(told.contains("was missing or altered"), "{told}");
    site.wait_log("a", |line| line == "reread");
    assert_eq!(fs::read_to_string(&conf).unwrap(), "word: fine\n");
    assert_eq!(site.status().pid("a"), pid);
}

/// While one reconfigure works, a second is refused, and the message names who asked for the first.
#[test]
fn a_second_one_is_refused_while_the_first_is_at_work() {
    let mut site = Site::new();
    let (conf, gate) = (site.file("out.conf"), site.file("gate"));
    site.child("a", &["sleep"], "");
    site.start_ready();
    let more = format!(
        r#"
            [[files]]
            path = "{conf}"
            content = "x"
            validate = ["/bin/sh", "-c", "touch {gate}; while test -e {gate}; do sleep 0.02; done"]
        "#
    );
    site.child("a", &["sleep"], &more);
    let mut first = site.ctl_command();
    first.arg("reconfigure");
    let first = Running::start(&mut first);
    eventually("its check is under way", || {
        Path::new(&gate).exists().then_some(())
    });
    for arguments in [
        &["reconfigure"][..],
        &["reconfigure", "--dry-run"],
        &["reconfigure", "--rollback"],
    ] {
        let told = site.ctl(arguments).expect_code(1).stderr;
        assert!(
            told.contains("another reconfigure is under way, asked for by"),
            "{told}"
        );
    }
    fs::remove_file(&gate).unwrap();
    first.finish_within(LET_GO).ok();
}
