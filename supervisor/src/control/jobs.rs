//! What blocks or waits, done beside the control thread: on the blocking pool, or as a task.

use std::path::Path;

use keeper::message::Ids;
use nix::unistd::{Gid, Group, Uid, User};
use plan::{Plan, Service};
use tokio::sync::mpsc;

use super::{
    input::{AccountCommand, Done, Input, Job, Resolved, Unresolved},
    network_probe, watchers,
};
use crate::{configuration, history, holder, logs, shown, staging, store};

/// Where programs without a slash are looked up.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts a job; its result comes back as [`Input::Done`].
pub(super) fn start(job: Job, options: &plan::Options, results: &mpsc::UnboundedSender<Input>) {
    let results = results.clone();
    // The loop is gone only when the process is about to be.
    let send = move |done: Done| drop(results.send(Input::Done(Box::new(done))));
    let options = options.clone();
    match job {
        Job::Probe {
            run,
            probe,
            ask,
            timeout_ms,
        } => {
            tokio::spawn(async move {
                let asked = std::time::Instant::now();
                let answer = network_probe::ask(&ask, timeout_ms).await;
                let took = asked.elapsed();
                let (ok, detail) = (answer.is_ok(), answer.err().unwrap_or_default());
                send(Done::Probed {
                    run,
                    probe,
                    ok,
                    detail,
                    took,
                });
            });
        }
        Job::AwaitLine {
            run,
            service,
            dir,
            pattern,
            since_unix_ms,
            unwanted,
        } => {
            tokio::spawn(async move {
                let name = service.clone();
                let line = logs::await_line(service, dir, &pattern, since_unix_ms);
                tokio::select! {
                    seen = line => match seen {
                        Ok(()) => send(Done::LineSeen { run, pattern }),
                        Err(error) => tracing::error!(
                            service = name,
                            "cannot wait for the line that makes it ready: {error}"
                        ),
                    },
                    _ = unwanted => {}
                }
            });
        }
        Job::Check { reply } => {
            // A client that has gone away no longer wants its answer.
            blocking(move || drop(reply.send(configuration::check(&options))));
        }
        Job::ShowPlan { plan, names, reply } => {
            blocking(move || drop(reply.send(Ok(shown::plan(&plan, &names)))));
        }
        Job::Diff { plan, names, reply } => {
            blocking(move || drop(reply.send(shown::diff(&options, &plan, &names))));
        }
        Job::Discard { staged } => blocking(move || staging::discard(&staged)),
        job => blocking(move || {
            if let Some(done) = block(job, &options) {
                send(done);
            }
        }),
    }
}

fn blocking(work: impl FnOnce() + Send + 'static) {
    drop(tokio::task::spawn_blocking(work));
}

fn block(job: Job, options: &plan::Options) -> Option<Done> {
    let state_dir = plan::Paths::new(options).state_dir;
    Some(match job {
        Job::Load => Done::Loaded(configuration::load(options).map(Box::new)),
        Job::MissingAccounts { plan } => Done::MissingAccounts(missing_accounts(&plan)),
        Job::Stage { plan } => Done::Staged(staging::stage(&plan)),
        Job::Swap { plan, staged } => {
            let swapped =
                staging::swap(&staged).and_then(|()| store::write_plan(&state_dir, &plan));
            Done::Swapped(swapped.map_err(|error| error.to_string()))
        }
        Job::StoreHolds { holds } => {
            Done::HoldsStored(holds.write(&state_dir).map_err(|error| error.to_string()))
        }
        Job::StoreSchedule { handled } => {
            let written = store::write_schedule(&state_dir, &handled);
            Done::ScheduleStored(written.map_err(|error| error.to_string()))
        }
        Job::Record { lines, now_ms } => {
            let written = history::append(&state_dir, now_ms, &lines);
            Done::Recorded(written.map_err(|error| (lines, error.to_string())))
        }
        Job::Resolve { run, service } => Done::Resolved {
            run,
            resolved: resolve(&service),
        },
        Job::Watch(watch) => Done::Watched(watchers::look(&watch)),
        Job::Holder { run, address } => Done::Holder {
            run,
            reason: holder::describe(&address),
        },
        Job::Probe { .. }
        | Job::AwaitLine { .. }
        | Job::Check { .. }
        | Job::ShowPlan { .. }
        | Job::Diff { .. }
        | Job::Discard { .. } => return None,
    })
}

/// Ids and program of a service, looked up in the user database and on PATH.
pub(crate) fn resolve(service: &Service) -> Result<Resolved, Unresolved> {
    let fail = |reason: String| Unresolved { reason };
    let ids = ids(service).map_err(fail)?;
    let path = service.env.get("PATH").map_or(PATH, |it| it.value.as_str());
    let name = service.command.first().map_or("", String::as_str);
    let program = look_up_program(name, path).map_err(fail)?;
    Ok(Resolved { ids, program })
}

fn ids(service: &Service) -> Result<Option<Ids>, String> {
    if !Uid::effective().is_root() || (service.user.is_none() && service.group.is_none()) {
        return Ok(None);
    }
    let user = match &service.user {
        Some(name) => Some(user(name)?),
        None => None,
    };
    let gid = match (&service.group, &user) {
        (Some(name), _) => group(name)?,
        (None, Some(user)) => user.gid,
        (None, None) => Gid::effective(),
    };
    let groups = match (&service.groups, &user) {
        (Some(names), _) => names
            .iter()
            .map(|name| group(name))
            .collect::<Result<Vec<_>, _>>()?,
        (None, Some(user)) => supplementary(user, gid)?,
        (None, None) => Vec::new(),
    };
    Ok(Some(Ids {
        uid: user.map_or_else(Uid::effective, |user| user.uid).as_raw(),
        gid: gid.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
    }))
}

fn supplementary(user: &User, gid: Gid) -> Result<Vec<Gid>, String> {
    let name = std::ffi::CString::new(user.name.as_str()).map_err(|error| error.to_string())?;
    nix::unistd::getgrouplist(&name, gid)
        .map_err(|error| format!("cannot look up the groups of '{}': {error}", user.name))
}

fn user(name: &str) -> Result<User, String> {
    let found = match name.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    match found {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(format!(
            "there is no user '{name}'; create it, or set manage_accounts.enable = true"
        )),
        Err(error) => Err(format!("cannot look up user '{name}': {error}")),
    }
}

fn group(name: &str) -> Result<Gid, String> {
    if let Ok(gid) = name.parse::<u32>() {
        return Ok(Gid::from_raw(gid));
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(format!(
            "there is no group '{name}'; create it, or set manage_accounts.enable = true"
        )),
        Err(error) => Err(format!("cannot look up group '{name}': {error}")),
    }
}

/// Group ids of the names that exist; the others are told in the log.
pub(super) fn group_ids(names: &[String]) -> Vec<u32> {
    let known = names.iter().filter_map(|name| match group(name) {
        Ok(gid) => Some(gid.as_raw()),
        Err(error) => {
            tracing::warn!("control socket: {error}");
            None
        }
    });
    known.collect()
}

/// Absolute path of a program, which is executable.
pub(super) fn look_up_program(name: &str, path: &str) -> Result<String, String> {
    let executable = |path: &Path| {
        path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
    };
    if name.contains('/') {
        // Left to exec, which says exactly what is wrong with it.
        return Ok(name.to_owned());
    }
    let dirs = path.split(':').filter(|dir| !dir.is_empty());
    let mut candidates = dirs.map(|dir| Path::new(dir).join(name));
    match candidates.find(|candidate| executable(candidate)) {
        Some(found) => Ok(found.display().to_string()),
        None => Err(format!("there is no program '{name}' in {path}")),
    }
}

/// Commands for accounts that enabled services name and that do not exist.
fn missing_accounts(plan: &Plan) -> Vec<AccountCommand> {
    if !plan.manage_accounts || !Uid::effective().is_root() {
        return Vec::new();
    }
    let mut commands: Vec<AccountCommand> = Vec::new();
    for service in plan.services.values().filter(|service| service.enabled) {
        for (user, group) in accounts(service) {
            let user_name = user.filter(|name| name.parse::<u32>().is_err());
            // A user that is there already has a group of its own.
            let absent = |name: &&str| matches!(User::from_name(name), Ok(None));
            let group_name = group.or(user_name.filter(absent));
            let absent_group = group_name.filter(|name| matches!(Group::from_name(name), Ok(None)));
            let absent_user = user_name.filter(|name| matches!(User::from_name(name), Ok(None)));
            let group = absent_group.map(|name| group_command(service, name));
            let user =
                absent_user.map(|name| user_command(service, name, group_name.unwrap_or(name)));
            for argv in group.into_iter().chain(user) {
                // Several services may share an account.
                if !commands
                    .iter()
                    .any(|known| known.argv.last() == argv.last() && known.argv[0] == argv[0])
                {
                    commands.push(AccountCommand {
                        service: service.name.clone(),
                        argv,
                    });
                }
            }
        }
    }
    commands
}

/// Users and groups that a service names: its own, and those of its directories and files.
fn accounts(service: &Service) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
    let own = (service.user.as_deref(), service.group.as_deref());
    let directories = service
        .directories
        .iter()
        .map(|it| (it.user.as_deref(), it.group.as_deref()));
    let files = service
        .files
        .iter()
        .map(|it| (it.user.as_deref(), it.group.as_deref()));
    std::iter::once(own).chain(directories).chain(files)
}

fn group_command(service: &Service, name: &str) -> Vec<String> {
    let mut argv = vec![tool("groupadd"), "--system".to_owned()];
    if let Some(gid) = service.gid {
        argv.extend(["--gid".to_owned(), gid.to_string()]);
    }
    argv.push(name.to_owned());
    argv
}

fn user_command(service: &Service, name: &str, group: &str) -> Vec<String> {
    let mut argv = vec![
        tool("useradd"),
        "--system".to_owned(),
        "--no-create-home".to_owned(),
    ];
    argv.extend(["--gid".to_owned(), group.to_owned()]);
    argv.extend(["--shell".to_owned(), "/usr/sbin/nologin".to_owned()]);
    if let Some(home) = &service.home {
        argv.extend(["--home-dir".to_owned(), home.display().to_string()]);
    }
    if let Some(uid) = service.uid {
        argv.extend(["--uid".to_owned(), uid.to_string()]);
    }
    argv.push(name.to_owned());
    argv
}

fn tool(name: &str) -> String {
    look_up_program(name, PATH).unwrap_or_else(|_| format!("/usr/sbin/{name}"))
}
