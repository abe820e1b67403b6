//! Owners of the directories that files lie in: refused places, and the shipped catalogue's places.

use std::path::{Path, PathBuf};

use insta::assert_snapshot;

use super::{Machine, catalogue};
use crate::{Ask, Plan, ReadyKind, ReloadHow, Service};

fn two(first: &str, second: &str) -> String {
    let mut machine = Machine::new();
    let service = |user: &str, rest: &str| format!("command = ['/bin/a']\nuser = '{user}'\n{rest}");
    machine.shipped("first", &service("ann", first));
    machine.shipped("second", &service("bob", second));
    machine.errors()
}

#[test]
fn a_place_of_the_supervisors_is_refused() {
    let site = "mattermost_external_url = 'http://mattermost.example.com'\n\
                mattermost.log_file_directory = '/var/log/mattervisor/mattermost'\n";
    assert_snapshot!(catalogue::shipped(site).errors(), @r"
    /etc/mattervisor/mattervisor.toml:2: error: mattermost.log_file_directory: `mattermost` cannot have /var/log/mattervisor/mattermost: that is where the supervisor keeps the logs
      hint: choose another directory
    ");
    for (path, what) in [
        ("/var/log/mattervisor", "the supervisor's own directory"),
        ("/var/log/mattervisor/other/x", "keeps the logs"),
        ("/var/log", "lies below it"),
        ("/", "lies below it"),
        ("/run/mattervisor", "own directory"),
        ("/run/mattervisor/runs/7", "something of its own"),
        ("/var/lib/mattervisor", "own directory"),
        ("/var/lib/mattervisor/plan.json", "something of its own"),
        ("/etc/mattervisor", "own directory"),
        ("/etc/mattervisor/services.d/x", "something of its own"),
    ] {
        let errors = two(&format!("[[directories]]\npath = '{path}'\n"), "");
        assert!(errors.contains(what), "{path}: {errors}");
        let file = format!("[[files]]\npath = '{path}'\ncontent = ''\n");
        assert!(two(&file, "").contains(what), "{path}");
    }
}

#[test]
fn a_directory_of_another_account_is_refused() {
    let of = |path: &str| format!("[[directories]]\npath = '{path}'\n");
    assert_snapshot!(two(&of("/srv/a"), &of("/srv/a/b")), @r"
    /cat/services.d/second.toml:3: error: directories.path: /srv/a/b of `second` is to be bob's, but lies in /srv/a of `first`, where ann could put anything in its place
      hint: choose a directory that is not another account's, nor below one
    ");
    let both = two(&of("/srv/a"), &of("/srv/a"));
    let said = "second.toml:3: error: directories.path: /srv/a of `second` is to be bob's, but of `first` ann's";
    assert!(both.contains(said), "{both}");
    let file = "[[files]]\npath = '/srv/a/conf'\ncontent = ''\n";
    let inside = two(&of("/srv/a"), file);
    let said = "second.toml:3: error: files.path: /srv/a/conf of `second` is to be bob's, but lies in /srv/a";
    assert!(inside.contains(said), "{inside}");
    let roots = "[[directories]]\npath = '/srv/a'\nuser = 'root'\n";
    let mut machine = Machine::new();
    machine.shipped(
        "first",
        &format!("command = ['/bin/a']\nuser = 'ann'\n{roots}"),
    );
    let own = of("/srv/a/b");
    machine.shipped(
        "second",
        &format!("command = ['/bin/a']\nuser = 'bob'\n{own}{file}"),
    );
    machine.plan();
    // Without root no service has an account of its own.
    let mut machine = Machine::new();
    machine.uid(1000);
    for (name, path) in [("first", "/srv/a"), ("second", "/srv/a/b")] {
        let own = of(path);
        machine.shipped(
            name,
            &format!("command = ['/bin/a']\nuser = '{name}'\n{own}"),
        );
    }
    machine.plan();
}

/// The plan of the stack with every optional service.
fn all() -> Plan {
    let site = "mattermost_external_url = 'https://mattermost.example.com'\n\
                letsencrypt.enable = true\nredis.enable = true\nredis-exporter.enable = true\n\
                postgres-exporter.enable = true\nmattermost.env = { A = 'b' }\n\
                node-exporter.enable = true\n";
    let mut machine = catalogue::shipped(site);
    for path in [
        "/usr/bin/redis-server",
        "/usr/bin/prometheus-redis-exporter",
        "/usr/bin/prometheus-postgres-exporter",
        "/usr/bin/prometheus-node-exporter",
    ] {
        machine.put(path, "");
    }
    machine.plan()
}

/// Directories of a plan that belong to accounts, with their owners.
fn foreign(plan: &Plan) -> Vec<(PathBuf, String)> {
    let all = plan.services.values().filter(|service| service.enabled);
    let own = all.flat_map(|service| {
        let directories = service.directories.iter();
        directories.filter_map(|it| {
            let user = it.user.as_ref().or(service.user.as_ref())?;
            (user != "root").then(|| (it.path.clone(), user.clone()))
        })
    });
    own.collect()
}

/// Paths that root, or the supervisor as root, makes, writes or reads for a service.
fn of_root(plan: &Plan, service: &Service) -> Vec<(String, PathBuf)> {
    let mut out = vec![("log".to_owned(), plan.paths.log_dir.join(&service.name))];
    let own = |user: &Option<String>| user.as_deref().is_some_and(|user| user != "root");
    for it in &service.directories {
        let user = it.user.clone().or_else(|| service.user.clone());
        if !own(&user) {
            out.push(("directory".to_owned(), it.path.clone()));
        }
    }
    for it in &service.files {
        let named = own(&it.user) || (it.create_only && own(&service.user));
        if !named {
            out.push(("file".to_owned(), it.path.clone()));
            out.push(("candidate".to_owned(), it.candidate.clone()));
        }
    }
    for it in &service.credentials {
        out.push(("credential".to_owned(), it.source.clone()));
        out.push(("copy".to_owned(), it.path.clone()));
    }
    for it in &service.status_files {
        out.push(("status file".to_owned(), it.path.clone()));
    }
    for it in &service.certificates {
        out.push(("certificate".to_owned(), it.certificate.clone()));
        out.push(("key".to_owned(), it.key.clone()));
    }
    for it in &service.watches {
        out.push(("watch".to_owned(), it.path.clone()));
    }
    out
}

/// Invariant: a path that root uses lies in no directory that another account owns. There is no
/// exception: a file in such a directory belongs to that account and is handled as that account.
#[test]
fn the_catalogue_has_root_work_in_no_directory_of_an_account() {
    let plan = all();
    let foreign = foreign(&plan);
    assert!(foreign.len() > 8, "{foreign:?}");
    for service in plan.services.values().filter(|service| service.enabled) {
        for (what, path) in of_root(&plan, service) {
            let inside = |(dir, _): &&(PathBuf, String)| path.starts_with(dir);
            let at = foreign.iter().find(inside);
            assert_eq!(at, None, "{} of {}: {}", what, service.name, path.display());
        }
        // The files of an account lie in root's directories or in its own.
        for file in &service.files {
            let user = file.user.as_ref().or(service.user.as_ref());
            let mut around = foreign.iter().filter(|(dir, _)| file.path.starts_with(dir));
            let other = around.find(|(_, owner)| Some(owner) != user);
            assert_eq!(other, None, "{}", file.path.display());
        }
    }
    let run = &plan.paths.run_dir;
    let root_owned = |path: &Path| foreign.iter().all(|(dir, _)| !path.starts_with(dir));
    for name in [
        "postgresql-conf",
        "redis-conf",
        "postgresql-setup",
        "nginx-conf",
    ] {
        assert!(root_owned(&run.join(name)), "{name}");
    }
}

/// Programs that a service executes: its own, and those of its commands, probes and checks.
fn programs(service: &Service) -> Vec<&str> {
    let health = [&service.liveness, &service.health];
    let mut probes: Vec<&Ask> = health.into_iter().flatten().map(|it| &it.ask).collect();
    if let ReadyKind::Probe(probe) = &service.ready.kind {
        probes.push(&probe.ask);
    }
    let mut commands = vec![&service.command, &service.validate];
    if let Some(reload) = &service.reload {
        probes.extend(reload.confirm.iter().map(|it| &it.ask));
        if let ReloadHow::Command(argv) = &reload.how {
            commands.push(argv);
        }
    }
    for ask in probes {
        if let Ask::Exec(argv) = ask {
            commands.push(argv);
        }
    }
    commands.extend(service.files.iter().map(|file| &file.validate));
    commands.extend(service.credentials.iter().map(|it| &it.make));
    commands
        .into_iter()
        .filter_map(|argv| Some(argv.first()?.as_str()))
        .collect()
}

/// Debian's initramfs mounts /run noexec, and hardened machines mount /var noexec: a file written
/// there cannot be a program.
#[test]
fn the_catalogue_executes_nothing_that_it_writes() {
    let plan = all();
    let mut seen = 0;
    for service in plan.services.values().filter(|service| service.enabled) {
        for program in programs(service) {
            let written = [&plan.paths.run_dir, &plan.paths.state_dir];
            let inside = written
                .iter()
                .any(|dir| Path::new(program).starts_with(dir));
            assert!(!inside, "{}: {program}", service.name);
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}
