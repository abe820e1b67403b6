//! Requests to the keeper: turns a service of the plan, with its lookups, into a process
//! description.
//!
//! Pure: a request says all that the keeper needs to start the process, and nothing here has an
//! effect.

use std::{collections::BTreeMap, path::PathBuf};

use engine::RunId;
use keeper::message::{Open, Request, Role, Spawn};

use crate::{
    control::{
        Context, Purpose,
        runs::{
            convert,
            effects::{asked, probe_of},
        },
        work::job_dir,
    },
    prepare::Resolved,
};

/// Longest life of a validator, in milliseconds.
const HELPER_TIMEOUT_MS: u64 = 60_000;
/// Variable of a reload command or exec probe: pid of the main process, as systemd has it.
const MAIN_PID: &str = "MAINPID";

/// The main process of a service, as the plan has it.
pub(super) fn main(
    paths: &plan::Paths,
    service: &plan::Service,
    resolved: &Resolved,
    run: RunId,
) -> Spawn {
    let mut spawn = base_spawn(service, resolved, run);
    spawn.argv.clone_from(&service.command);
    spawn.argv[0].clone_from(&resolved.program);
    spawn.notify = service.has_notify_socket();
    if let plan::ReadyKind::Fd(number) = service.ready.kind {
        spawn.ready_fd = Some(number);
    }
    if let Some(watchdog) = &service.watchdog {
        // WATCHDOG_PID stays unset, which sd_watchdog_enabled(3) takes as meant for everybody.
        let usec = watchdog.timeout_ms.saturating_mul(1000).to_string();
        spawn.env.insert("WATCHDOG_USEC".to_owned(), usec);
    }
    if service.job {
        let places = [
            (
                "MATTERVISOR_JOB_DIR",
                job_dir(&paths.state_dir, &service.name),
            ),
            ("MATTERVISOR_SOCKET", paths.run_dir.join("ctl.sock")),
        ];
        let places = places.map(|(name, path)| (name.to_owned(), path.display().to_string()));
        spawn.env.extend(places);
    }
    spawn
}

/// The request for a validator, reload command or exec probe: as the service's user, in its
/// environment.
pub(super) fn helper(
    cx: &Context,
    service: &plan::Service,
    run: RunId,
    resolved: &Resolved,
) -> Result<Request, String> {
    let purpose = cx.run(run).map(|known| &known.purpose);
    let command = purpose.and_then(|purpose| helper_command(service, purpose));
    let (argv, timeout_ms) = command.ok_or_else(|| "its command has left the plan".to_owned())?;
    let mut spawn = helper_spawn(service, resolved, run, argv, timeout_ms)?;
    if let Some(pid) = main_pid_for(cx, run) {
        spawn.env.insert(MAIN_PID.to_owned(), pid.to_string());
    }
    Ok(Request::Spawn(Box::new(spawn)))
}

/// The main process that a reload command or exec probe is about.
fn main_pid_for(cx: &Context, run: RunId) -> Option<i32> {
    match cx.run(run)?.purpose {
        Purpose::ReloadCommand(main) | Purpose::Probe(main, _) => cx.run(main)?.pid,
        _ => None,
    }
}

/// The program that a run of this purpose executes, as the plan names it. None: the program is not
/// the service's own.
pub(in crate::control) fn program_of(service: &plan::Service, purpose: &Purpose) -> Option<String> {
    if *purpose == Purpose::Main {
        return service.command.first().cloned();
    }
    let (argv, _) = helper_command(service, purpose)?;
    argv.into_iter().next()
}

/// The command of a helper, and its longest time in milliseconds.
fn helper_command(service: &plan::Service, purpose: &Purpose) -> Option<(Vec<String>, u64)> {
    let (argv, timeout_ms) = match purpose {
        Purpose::Validator => (service.validate.clone(), HELPER_TIMEOUT_MS),
        Purpose::ReloadCommand(_) => match &service.reload {
            Some(plan::Reload {
                how: plan::ReloadHow::Command(argv),
                timeout_ms,
                ..
            }) => (argv.clone(), *timeout_ms),
            _ => return None,
        },
        Purpose::Probe(_, kind) => {
            let probe = probe_of(service, *kind)?;
            match asked(probe, *kind) {
                plan::Ask::Exec(argv) => (argv, probe.timeout_ms),
                _ => return None,
            }
        }
        Purpose::Main | Purpose::Reconfigure | Purpose::Delivery => return None,
    };
    (!argv.is_empty()).then_some((argv, timeout_ms))
}

/// A command of a service, as its account, in its environment.
pub(in crate::control) fn helper_spawn(
    service: &plan::Service,
    resolved: &Resolved,
    run: RunId,
    argv: Vec<String>,
    timeout_ms: u64,
) -> Result<Spawn, String> {
    let mut spawn = base_spawn(service, resolved, run);
    spawn.role = Role::Helper;
    // Standard input is the main process's to read.
    spawn.stdin = None;
    spawn.timeout_ms = Some(timeout_ms);
    spawn.argv = argv;
    let found = resolved.helpers.get(&spawn.argv[0]);
    let unknown = || Err(format!("nobody has looked up '{}'", spawn.argv[0]));
    spawn.argv[0] = found.cloned().unwrap_or_else(unknown)?;
    Ok(spawn)
}

pub(super) fn open(service: &plan::Service, resolved: &Resolved, paths: &plan::Paths) -> Open {
    let ids = resolved.ids.as_ref();
    Open {
        service: service.name.clone(),
        uid: ids.map_or_else(|| nix::unistd::getuid().as_raw(), |ids| ids.uid),
        gid: ids.map_or_else(|| nix::unistd::getgid().as_raw(), |ids| ids.gid),
        log_dir: paths.log_dir.join(&service.name),
        log_size_bytes: service.log.size_bytes,
        log_keep: service.log.keep,
        log_age_ms: service.log.age_ms,
        log_compress: service.log.compress,
        log_forward: service.log.forward.map(convert::forward),
    }
}

fn base_spawn(service: &plan::Service, resolved: &Resolved, run: RunId) -> Spawn {
    let env: BTreeMap<_, _> = service
        .env
        .iter()
        .map(|(name, it)| (name.clone(), it.value.clone()))
        .collect();
    Spawn {
        run: run.0,
        service: service.name.clone(),
        role: Role::Main,
        argv: Vec::new(),
        env,
        cwd: service.working_dir.clone(),
        ids: resolved.ids.clone(),
        umask: service.umask,
        rlimits: service.limits.clone(),
        nice: service.nice,
        oom_score_adj: service.oom_score_adj,
        no_new_privs: service.no_new_privs,
        capabilities: service.capabilities.clone(),
        capability_bounding_set: service.capability_bounding_set.clone(),
        ambient_capabilities: service.ambient_capabilities.clone(),
        io_priority: service.io_priority.map(convert::io_priority),
        cpu_affinity: service.cpu_affinity.clone(),
        stdin: match &service.stdin {
            plan::Stdin::Null => None,
            plan::Stdin::File(path) => Some(path.clone()),
        },
        ready_fd: None,
        notify: false,
        notify_main_only: service.notify_access == Some(plan::NotifyAccess::Main),
        stop: service.stop,
        timeout_ms: None,
    }
}

/// Directory of the log of a service.
pub(in crate::control) fn log_dir(paths: &plan::Paths, service: &str) -> PathBuf {
    paths.log_dir.join(service)
}

#[cfg(test)]
mod tests {
    use api::Action;

    use crate::{control::harness::Harness, store::Handled};

    #[test]
    fn a_reload_command_is_told_the_main_process() {
        let text = "command = ['/bin/a']\n[reload]\ncommand = ['/bin/r']\n";
        let mut world = Harness::new(&[("a", text)], Handled::default());
        assert_eq!(world.environment.get("MAINPID"), None);
        world.spawned(world.spawned[0].1);
        world.act(Action::Reload, "a");
        assert_eq!(world.spawned.len(), 2, "{:?}", world.spawned);
        let told = world.environment.get("MAINPID").map(String::as_str);
        assert_eq!(told, Some("7"));
    }
}
