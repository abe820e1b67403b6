//! A reconfigure is foretold by a dry run, told while it goes, and can be gone back from.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use api::{Outcome, Preview, StatusReply, Verdict};
use mattervisor_tests::{Ctl, Running, StatusExt, World, eventually};
use nix::sys::signal::Signal;

/// A plan counts as one that works when it has done so for this long; with room for a busy machine.
const PROOF: Duration = Duration::from_secs(60);

fn dry_run(world: &World, more: &[&str]) -> Preview {
    let arguments = [&["reconfigure", "--dry-run", "--format", "json"], more].concat();
    let told = world.ctl(&arguments).ok();
    serde_json::from_str(&told.stdout).unwrap()
}

fn actions(preview: &Preview) -> BTreeMap<&str, &str> {
    let services = preview.services.iter();
    services
        .map(|it| (it.name.as_str(), it.action.as_str()))
        .collect()
}

fn outcome(told: &Ctl) -> Outcome {
    serde_json::from_str(&told.stdout).unwrap()
}

/// Every file below a directory, with what is in it and when it was written.
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

/// The service file of one whose rendered file is checked by `grep`, and reloads it.
fn with_file(path: &str) -> String {
    format!(
        "[settings]\nword = {{ type = \"string\", default = \"fine\" }}\n[reload]\nsignal = \"HUP\"\n\
         [[files]]\npath = \"{path}\"\ncontent = \"word: {{{{ word }}}}\\n\"\n\
         validate = [\"/bin/grep\", \"fine\", \"{{{{ candidate }}}}\"]\non_change = \"reload\"\n"
    )
}

/// Keeps plan A, with everything up: what can be gone back to.
fn until_kept(world: &World, count: usize) {
    let kept = world.path("var/lib/mattervisor/kept-plans.json");
    let plans = || -> Option<usize> {
        let text = fs::read_to_string(&kept).ok()?;
        let list: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(list.as_array()?.len())
    };
    let end = Instant::now() + PROOF;
    eventually("the plan is kept", || {
        (plans() == Some(count) || Instant::now() > end).then_some(())
    });
    assert_eq!(plans(), Some(count));
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

/// Each service with the action that it must be given.
fn changed_in_every_way(world: &World) {
    world.site("conf.word = \"fine too\"\nheld.word = \"x\"\n");
    world.child("changed", &["sleep"], "[env]\nNEW = \"1\"\n");
    world.child("policy", &["sleep"], "[restart]\ndelay = \"7s\"\n");
    world.child("added", &["sleep"], "");
    world.without("removed");
}

/// What a dry run says of every service is what then happens to it; the dry run itself changes
/// nothing at all, and leaves nothing behind.
#[test]
fn a_dry_run_says_what_the_real_one_then_does() {
    let mut world = World::new();
    for name in ["same", "changed", "removed", "policy"] {
        world.child(name, &["sleep"], "");
    }
    world.child("dependent", &["sleep"], "requires = [\"changed\"]\n");
    let held = "[settings]\nword = { type = \"string\", default = \"a\", env = \"WORD\" }\n";
    world.child("held", &["sleep"], held);
    let conf = world.file("out.conf");
    world.child("conf", &["on-hup=reread", "sleep"], &with_file(&conf));
    world.start_ready();
    world.ctl(&["stop", "held"]).ok();
    let before = world.status();
    assert!(
        actions(&dry_run(&world, &[]))
            .values()
            .all(|it| *it == "nothing")
    );
    changed_in_every_way(&world);
    let files = everything(world.root());
    let text = world.ctl(&["reconfigure", "--dry-run"]).ok().stdout;
    let preview = dry_run(&world, &[]);
    // The logs and the history go on meanwhile, and only they.
    let same = |path: &str| {
        !path.contains("/var/log/")
            && !path.ends_with("supervisor.log")
            && !path.ends_with("kept-plans.json")
    };
    let after = everything(world.root());
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
            ("added", "start"),
            ("changed", "restart"),
            ("conf", "reload"),
            ("dependent", "restart"),
            ("held", "in place"),
            ("policy", "in place"),
            ("removed", "stop"),
            ("same", "nothing"),
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
    let told = world.ctl(&["reconfigure", "--format", "json"]).ok();
    let did = outcome(&told);
    let moved: Vec<&str> = did.results.iter().map(|it| it.service.as_str()).collect();
    let meant: Vec<&str> = actions(&preview)
        .into_iter()
        .filter(|(_, action)| *action != "nothing")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(moved, meant);
    world.wait_log("conf", |line| line == "reread");
    judge(&world, &before, &preview);
}

/// Pids say whether it was so.
fn judge(world: &World, before: &StatusReply, preview: &Preview) {
    let after = world.wait_for("the removed one is gone", |status| {
        status.services.iter().all(|it| it.name != "removed")
    });
    for (name, action) in actions(preview) {
        let pid = |status: &StatusReply| {
            let found = status.services.iter().find(|it| it.name == name);
            found.and_then(|it| it.pid)
        };
        let (old, new) = (pid(before), pid(&after));
        match action {
            "nothing" | "in place" | "reload" => assert_eq!(old, new, "{name}"),
            "restart" => assert!(old.is_some() && new.is_some() && old != new, "{name}"),
            "start" => assert!(old.is_none() && new.is_some(), "{name}"),
            "stop" => assert!(old.is_some() && new.is_none(), "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
    assert_eq!(after.state("held"), "stopped");
}

/// Secrets that would be made are named and not made; no value of one is told.
#[test]
fn a_dry_run_makes_no_secret_and_tells_none() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let more = "[settings]\nkey = { secret = true, generate = \"hex:16\", env = \"KEY\" }\n";
    world.child("a", &["sleep"], more);
    let dir = world.file("made");
    world.child(
        "b",
        &["sleep"],
        &format!("[[directories]]\npath = \"{dir}\"\n"),
    );
    let preview = dry_run(&world, &[]);
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
    assert!(!world.path("etc/mattervisor/secrets.toml").exists());
    assert!(!Path::new(&dir).exists());
    world.ctl(&["reconfigure"]).ok();
    let secrets = fs::read_to_string(world.path("etc/mattervisor/secrets.toml")).unwrap();
    let value = secrets.split('"').nth(1).unwrap().to_owned();
    assert_eq!(value.len(), 32);
    world.child("a", &["sleep"], &more.replace(", env = \"KEY\"", ""));
    for told in [
        world.ctl(&["reconfigure", "--dry-run"]),
        world.ctl(&["reconfigure"]),
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
    let mut world = World::new();
    let conf = world.file("conf/out.conf");
    fs::create_dir(world.path("conf")).unwrap();
    world.child("a", &["sleep"], &with_file(&conf));
    world.child("b", &["sleep"], "");
    world.start_ready();
    let before = world.status();
    let plan = fs::read(world.path("var/lib/mattervisor/plan.json")).unwrap();
    let files = everything(&world.path("conf"));
    world.site("a.word = \"bad\"\n");
    world.child("b", &["sleep"], "[env]\nNEW = \"1\"\n");
    let checker = with_file(&conf).replace("/bin/grep\", \"fine\"", "/bin/ls\", \"--nonsense\"");
    world.child("a", &["sleep"], &checker);
    for arguments in [&["reconfigure"][..], &["reconfigure", "--dry-run"]] {
        let told = world.ctl(arguments).expect_code(1).both();
        assert!(told.contains("unrecognized option"), "{told}");
        assert!(
            told.contains(&conf) && told.contains("nothing has changed"),
            "{told}"
        );
        assert_eq!(everything(&world.path("conf")), files, "{arguments:?}");
    }
    let after = world.status();
    for name in ["a", "b"] {
        assert_eq!(after.pid(name), before.pid(name));
    }
    assert_eq!(
        fs::read(world.path("var/lib/mattervisor/plan.json")).unwrap(),
        plan
    );
}

/// A file that somebody has altered or removed is put back, and what reads it is told.
#[test]
fn an_altered_file_is_put_back_and_reloads() {
    let mut world = World::new();
    let conf = world.file("out.conf");
    world.child("a", &["on-hup=reread", "sleep"], &with_file(&conf));
    world.start_ready();
    let pid = world.status().pid("a");
    fs::write(&conf, "by hand\n").unwrap();
    assert_eq!(actions(&dry_run(&world, &[]))["a"], "reload");
    let told = world.ctl(&["reconfigure"]).ok().stdout;
    assert!(told.contains("was missing or altered"), "{told}");
    world.wait_log("a", |line| line == "reread");
    assert_eq!(fs::read_to_string(&conf).unwrap(), "word: fine\n");
    assert_eq!(world.status().pid("a"), pid);
}

/// Two that work: A, then B which does not come up, and the way back.
fn broken_world() -> World {
    let mut world = World::new();
    let ready = "[ready]\nnotify = true\ntimeout = \"2s\"\n";
    world.child("web", &["notify=READY=1", "sleep"], ready);
    world.child("same", &["sleep"], "");
    world.start_ready();
    until_kept(&world, 1);
    world.child("web", &["err=port 80: permission denied", "exit=3"], ready);
    world
}

/// What does not come up is said, with why, and the way back is offered; going back puts the plan
/// back and leaves the administrator's files alone, also over a restart of the supervisor.
#[test]
fn what_does_not_come_up_is_explained_and_can_be_gone_back_from() {
    let mut world = broken_world();
    let same = world.status().pid("same");
    let told = world.ctl(&["reconfigure"]).expect_code(1);
    for said in [
        "exit code 3",
        "port 80: permission denied",
        "ctl reconfigure --rollback goes back",
    ] {
        assert!(told.both().contains(said), "no {said:?} in {}", told.both());
    }
    // Asked again, it is no better.
    let again = world
        .ctl(&["reconfigure", "--format", "json"])
        .expect_code(1);
    assert_eq!(outcome(&again).results[0].verdict, Verdict::Failed);
    assert!(outcome(&again).rollback.is_some());

    let preview = dry_run(&world, &["--rollback"]);
    assert!(preview.rollback.is_some());
    assert_eq!(
        actions(&preview),
        BTreeMap::from([("same", "nothing"), ("web", "start")])
    );
    let told = world.ctl(&["reconfigure", "--rollback"]).ok().stdout;
    assert!(
        told.contains("the files still hold the other configuration"),
        "{told}"
    );
    let status = world.status();
    assert!(status.ready("web"));
    assert_eq!(status.pid("same"), same);
    let rolled_back = |status: &StatusReply| {
        let mut warnings = status.supervisor.warnings.iter();
        warnings.any(|it| it.contains("rolled back by"))
    };
    assert!(rolled_back(&status), "{:?}", status.supervisor);
    let diff = world.ctl(&["diff-config"]).expect_code(1).stdout;
    assert!(
        diff.contains("web would restart: command changed"),
        "{diff}"
    );

    // The control process may die, and the machine may boot: the bad one stays away.
    let control = world.control_pid();
    mattervisor_tests::kill(control, Signal::SIGKILL);
    let status = world.wait_for("another control process", |status| {
        status.supervisor.pid != control
    });
    assert!(rolled_back(&status) && status.ready("web"));
    assert_eq!(world.stop(), 0);
    world.start();
    let status = world.wait_for("it runs again", |status| status.ready("web"));
    assert!(rolled_back(&status), "{:?}", status.supervisor);

    // Once the files change, a boot applies them.
    world.child(
        "web",
        &["notify=READY=1", "print=mended", "sleep"],
        "[ready]\nnotify = true\n",
    );
    assert_eq!(world.stop(), 0);
    world.start();
    world.wait_log("web", |line| line == "mended");
    let status = world.wait_for("it is up", |status| status.ready("web"));
    assert!(!rolled_back(&status), "{:?}", status.supervisor);
    world.ctl(&["diff-config"]).ok();
}

/// There is nothing to go back to: said so, and nothing done.
#[test]
fn nothing_to_go_back_to_is_an_error() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    let pid = world.status().pid("a");
    for arguments in [
        &["reconfigure", "--rollback"][..],
        &["reconfigure", "--rollback", "--dry-run"],
    ] {
        let told = world.ctl(arguments).expect_code(1).stderr;
        assert!(
            told.contains("there is no configuration to go back to"),
            "{told}"
        );
    }
    assert_eq!(world.status().pid("a"), pid);
}

/// The first configuration is there to go back to even where something else was not up with it.
#[test]
fn the_first_configuration_can_be_gone_back_to_though_not_all_was_up() {
    let mut world = World::new();
    world.child("sick", &["exit=1"], "");
    world.child("web", &["sleep"], "");
    world.start();
    world.wait_for("it runs", |status| status.ready("web"));
    world.child(
        "web",
        &["sleep"],
        "[ready]\nnotify = true\ntimeout = \"300ms\"\n[restart]\npolicy = \"never\"\n",
    );
    let told = world
        .ctl(&["reconfigure", "--format", "json"])
        .expect_code(1);
    let kept = outcome(&told).rollback.expect("there is a way back");
    assert_eq!(kept.not_up, ["sick"]);
    world.ctl(&["reconfigure", "--rollback"]).ok();
    assert!(world.status().ready("web"));
}

/// The control process dies between the swap and the verdict: the plan is applied all the same, its
/// verdict is still to be had, and so is the way back.
#[test]
fn a_control_process_that_dies_meanwhile_loses_neither_verdict_nor_the_way_back() {
    let world = broken_world();
    let ready = "[ready]\nnotify = true\ntimeout = \"2s\"\n[restart]\npolicy = \"never\"\n";
    world.child("web", &["print=new", "sleep"], ready);
    let mut asked = world.ctl_command();
    asked.args(["reconfigure", "--format", "json"]);
    let asked = Running::start(&mut asked);
    world.wait_log("web", |line| line == "new");
    mattervisor_tests::kill(world.control_pid(), Signal::SIGKILL);
    let told = asked.finish_within(PROOF).expect_code(1);
    let outcome = outcome(&told);
    assert_eq!(outcome.results[0].verdict, Verdict::Failed);
    assert!(outcome.rollback.is_some());
    world.ctl(&["reconfigure", "--rollback"]).ok();
    assert!(world.status().ready("web"));
}

/// While one is under way a second is refused, and says who is at it.
#[test]
fn a_second_one_is_refused_while_the_first_is_at_work() {
    let mut world = World::new();
    let (conf, gate) = (world.file("out.conf"), world.file("gate"));
    world.child("a", &["sleep"], "");
    world.start_ready();
    let more = format!(
        "[[files]]\npath = \"{conf}\"\ncontent = \"x\"\nvalidate = [\"/bin/sh\", \"-c\", \"touch {gate}; while test -e {gate}; do sleep 0.02; done\"]\n"
    );
    world.child("a", &["sleep"], &more);
    let mut first = world.ctl_command();
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
        let told = world.ctl(arguments).expect_code(1).stderr;
        assert!(
            told.contains("another reconfigure is under way, asked for by"),
            "{told}"
        );
    }
    fs::remove_file(&gate).unwrap();
    first.finish_within(PROOF).ok();
}

/// A boot that finds files that do not check runs the last good plan and says so, in status and by
/// what shows the fault; also after the control process has died.
#[test]
fn a_boot_with_a_bad_site_file_runs_the_last_good_plan_and_says_so() {
    let mut world = World::new();
    world.child("a", &["sleep"], "");
    world.start_ready();
    assert_eq!(world.stop(), 0);
    world.site("a.envv = { X = \"1\" }\n");
    world.start();
    let refused = |status: &StatusReply| {
        let mut warnings = status.supervisor.warnings.iter();
        warnings.any(|it| it.contains("was refused, the last good one runs"))
    };
    let status = world.wait_for("the last good plan runs", |status| status.ready("a"));
    assert!(refused(&status), "{:?}", status.supervisor);
    assert!(world.ctl(&["status"]).both().contains("was refused"));
    for arguments in [
        &["check-config"][..],
        &["diff-config"],
        &["reconfigure", "--dry-run"],
        &["reconfigure"],
    ] {
        let told = world.ctl(arguments).expect_code(1).both();
        assert!(
            told.contains("a.envv") && told.contains("mattervisor.toml:1"),
            "{told}"
        );
    }
    assert!(world.supervisor_log().contains("a.envv"));
    let control = world.control_pid();
    mattervisor_tests::kill(control, Signal::SIGKILL);
    let status = world.wait_for("another control process", |status| {
        status.supervisor.pid != control
    });
    assert!(refused(&status), "{:?}", status.supervisor);
    world.site("");
    world.ctl(&["reconfigure"]).ok();
    assert!(!refused(&world.status()));
}
