//! Invariants of the control process at every step, and at the end.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Settled, State};
use keeper::message::{Request, Role, Spawn};

use crate::control::{
    Control,
    simulation::{clients::Clients, disk::Disk, keeper::Keeper, plans, processes::Word},
};

/// Most outputs of one step: a fixed number, and so many for each service.
pub(super) const OUTPUTS_MAX: usize = 40;
pub(super) const OUTPUTS_PER_SERVICE_MAX: usize = 25;

/// Judges a request of control. `alone`: the request answers a single event, so the engine shows
/// now what it knew then.
pub(super) fn judge(control: &Control, clients: &Clients, request: &Request, alone: bool) {
    if let Request::Spawn(spawn) = request
        && spawn.role == Role::Main
    {
        judge_spawn(control, clients, spawn, alone);
    }
}

/// A job runs for a request that is on the disk, and never for a request whose end was reported;
/// except that a job with leftovers is reported, and tried again once they are gone.
pub(super) fn judge_job(
    control: &Control,
    clients: &Clients,
    disk: &Disk,
    keeper: &Keeper,
    request: &Request,
) {
    let Request::Spawn(spawn) = request else {
        return;
    };
    let name = &spawn.service;
    let is_job = control.cx.plan.services.get(name).is_some_and(|it| it.job);
    if spawn.role != Role::Main || !is_job {
        return;
    }
    let view = control
        .cx
        .names
        .id(name)
        .and_then(|id| control.cx.engine.view(id));
    let request = view.and_then(|view| view.request);
    let request = request.expect("a job that is spawned has been asked for its work");
    assert_eq!(
        disk.orders.get(name),
        Some(&request),
        "{name} finds another request"
    );
    let mut runs = keeper.runs.values().filter(|it| it.service == *name);
    let was_left = runs.any(|it| it.given_up);
    let ended = clients.ended.contains(&request);
    assert!(!ended || was_left, "{request} is done twice");
}

fn judge_spawn(control: &Control, clients: &Clients, spawn: &Spawn, alone: bool) {
    let name = &spawn.service;
    assert!(
        !clients.held.contains(name),
        "{name} is held by a client, and spawned"
    );
    let planned = &control.cx.plan.services[name];
    assert!(planned.enabled, "{name} is disabled, and spawned");
    assert_eq!(
        spawn.argv[1..],
        planned.command[1..],
        "{name} runs another plan's command"
    );
    assert_eq!(
        spawn.argv[0], planned.command[1],
        "{name} was looked up for another plan"
    );
    let view = |name: &String| {
        let id = control.cx.names.id(name)?;
        control.cx.engine.view(id)
    };
    if !alone {
        return;
    }
    let own = view(name).expect("a service that is spawned is known");
    assert!(own.hold.is_none(), "{name} is held, and spawned");
    assert!(
        own.lease.is_none(),
        "{name} is kept stopped by a job, and spawned"
    );
    for on in planned.requires.iter().chain(&planned.binds_to) {
        let on_view = view(on).expect("a plan requires only what it knows");
        assert!(
            on_view.ready,
            "{name} is spawned while {on} is {:?}",
            on_view.state
        );
    }
}

/// Why the services are not at rest, if they are not. `all_up`: nothing else counts as rest.
pub(super) fn unrest(control: &Control, all_up: bool) -> Option<String> {
    if !control.reconfigure.is_idle() {
        return Some(format!("a reconfiguration: {:?}", control.reconfigure));
    }
    // A job of which something is left keeps what it has.
    let job = control.cx.engine.active_job();
    let job = job.and_then(|id| control.cx.engine.view(id));
    let is_left = job.is_some_and(|view| matches!(view.state, State::Failed { .. }));
    if control.cx.engine.has_leases() && !is_left {
        return Some("a job keeps services stopped".to_owned());
    }
    let all_up = all_up && !is_left;
    let enabled = control.cx.plan.services.values().filter(|it| it.enabled);
    for service in enabled {
        let view = control.cx.names.id(&service.name);
        let Some((id, view)) = view.and_then(|id| Some((id, control.cx.engine.view(id)?))) else {
            return Some(format!("{} is unknown to the engine", service.name));
        };
        let settled = control.cx.engine.settled(id);
        let rests = match settled {
            _ if view.lease.is_some() => is_left,
            // No start brings up a job that has failed.
            Some(Settled::WaitingOn(_)) if service.job => !all_up,
            _ if service.job => {
                control.cx.engine.is_over(id) || matches!(view.state, State::Failed { .. })
            }
            Some(Settled::Ready | Settled::Completed) => {
                !matches!(view.state, State::Reloading { .. })
            }
            Some(Settled::Held | Settled::Failed) => view.hold.is_some() || !all_up,
            Some(Settled::WaitingOn(_)) => !all_up,
            Some(Settled::No | Settled::Backoff) | None => false,
        };
        if !rests {
            return Some(format!("{} is {view:?}, {settled:?}", service.name));
        }
    }
    None
}

/// Whether a client waits for a job that itself waits for a failed service.
pub(super) fn waits_with_its_job(control: &Control, change: &str) -> bool {
    let jobs = control.cx.plan.services.values().filter(|it| it.job);
    let mut ids = jobs.filter_map(|it| control.cx.names.id(&it.name));
    ids.any(|id| {
        let view = control.cx.engine.view(id);
        let its = view.and_then(|view| view.request).as_deref() == Some(change);
        its && matches!(control.cx.engine.settled(id), Some(Settled::WaitingOn(_)))
    })
}

/// Once a disk has room, it has every hold, and nobody is warned.
pub(super) fn judge_stored(control: &Control, disk: &Disk) {
    assert_eq!(control.holds.warning(), None);
    assert_eq!(control.audit.warning(), None);
    for service in control.cx.plan.services.values().filter(|it| it.enabled) {
        let view = control.cx.names.id(&service.name);
        let view = view.and_then(|id| control.cx.engine.view(id));
        let held = view.and_then(|view| view.hold);
        let stored = disk.holds.get(&service.name).map(|it| &it.hold);
        assert_eq!(stored, held.as_ref(), "of {} on the disk", service.name);
    }
}

/// The runs that are up execute the command of the current plan.
pub(super) fn judge_editions(control: &Control, keeper: &Keeper) {
    for service in control.cx.plan.services.values().filter(|it| it.enabled) {
        let Some((run, main)) = keeper.main_of(&service.name) else {
            continue;
        };
        if service.oneshot || !main.lives() {
            continue;
        }
        assert_eq!(
            plans::edition(&main.argv),
            plans::edition(&service.command),
            "{} (run {run}) was not restarted for the new plan",
            service.name
        );
    }
}

/// The dependents that have to be down before a service is asked to stop.
pub(super) fn dependents(control: &Control) -> BTreeMap<String, BTreeSet<String>> {
    let mut dependents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for service in control.cx.plan.services.values().filter(|it| it.enabled) {
        let edges = [
            &service.requires,
            &service.wants,
            &service.binds_to,
            &service.after,
        ];
        for on in edges.into_iter().flatten() {
            let name = service.name.clone();
            dependents.entry(on.clone()).or_default().insert(name);
        }
    }
    dependents
}

/// Main runs that have not said yet that they are ready, and are waited for.
pub(super) fn starting(control: &Control, keeper: &Keeper) -> BTreeSet<u64> {
    let ids = control.cx.names.ids().values();
    let starts = |id: &&engine::ServiceId| {
        let view = control.cx.engine.view(**id);
        view.is_some_and(|it| matches!(it.state, State::Starting { .. }))
    };
    let runs = ids
        .filter(starts)
        .filter_map(|id| control.cx.engine.main_run(*id));
    let silent = |run: &u64| {
        let run = keeper.runs.get(run);
        run.is_some_and(|run| !run.notified.contains_key("READY"))
    };
    runs.map(|run| run.0).filter(silent).collect()
}

/// A run of these that has said in time that it is ready counts as ready, however late control
/// heard.
pub(super) fn judge_readiness(control: &Control, keeper: &Keeper, starting: &BTreeSet<u64>) {
    if control.daemon.reexec.is_frozen() {
        return;
    }
    let said = keeper.runs.iter().filter(|(id, run)| {
        let ready = run.notified.get("READY").is_some_and(|value| value == "1");
        starting.contains(id) && run.lives() && ready
    });
    for (id, run) in said {
        let planned = control.cx.plan.services.get(&run.service);
        if planned.is_none_or(|it| it.ready.kind != plan::ReadyKind::Notify) {
            continue;
        }
        let id = control.cx.engine.service_of(engine::RunId(*id));
        let view = id.and_then(|id| control.cx.engine.view(id));
        let missed = view.as_ref().is_some_and(|view| match view.state {
            State::Stopping { cause, .. } => cause == engine::StopCause::ReadyTimeout,
            State::Starting { .. } => true,
            _ => false,
        });
        assert!(!missed, "{} was ready in time: {view:?}", run.service);
    }
}

/// No run that has spoken in time is ended for silence, however late its word was passed on.
pub(super) fn judge_silence(control: &Control, keeper: &Keeper, request: &Request) {
    let Request::Signal {
        run, cont: true, ..
    } = request
    else {
        return;
    };
    let id = control.cx.engine.service_of(engine::RunId(*run));
    let Some(view) = id.and_then(|id| control.cx.engine.view(id)) else {
        return;
    };
    // A repeated request was judged by what had been heard at the first request.
    let State::Stopping { cause, .. } = view.state else {
        return;
    };
    if view.since != control.cx.now.moment {
        return;
    }
    let Some(speaker) = keeper.runs.get(run).filter(|it| it.lives()) else {
        return;
    };
    let Some(planned) = control.cx.plan.services.get(&speaker.service) else {
        return;
    };
    let heard = control.daemon.watermark.reached().0;
    let (name, words) = (&speaker.service, &speaker.words);
    match (cause, &planned.ready.kind) {
        (engine::StopCause::ReadyTimeout, kind) if keeper.ready_kinds.get(run) != Some(kind) => {}
        (engine::StopCause::Watchdog, _) if speaker.said(Word::Trigger, u64::MAX).is_none() => {
            let planned = planned.watchdog.as_ref().map(|it| it.timeout_ms);
            let timeout = planned.into_iter().chain(speaker.watchdog_ms).min();
            let spoke = speaker.said(Word::Alive, heard);
            let silent = spoke.is_none_or(|at| timeout.is_none_or(|ms| heard - at >= ms));
            assert!(silent, "{name} was alive: {words:?}, heard up to {heard}");
        }
        (engine::StopCause::ReadyTimeout, plan::ReadyKind::Notify) => {
            let said = speaker.said(Word::Ready, heard);
            assert_eq!(said, None, "{name} was ready in time");
        }
        (engine::StopCause::ReadyTimeout, plan::ReadyKind::Fd(_)) => {
            let said = speaker.said(Word::Marked, heard);
            assert_eq!(said, None, "{name} was ready in time");
        }
        _ => {}
    }
}
