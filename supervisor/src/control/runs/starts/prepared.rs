//! The answer to what a run needs: the run goes on, waits, or is refused.
//!
//! The answer may come when nobody wants the run any more, or under another plan; then the run is
//! dropped, or asked for anew. A validator sees its configuration only once the copies of files
//! that only root may read are laid out, and the reload token is written: so before each start and
//! reload.

use std::{path::PathBuf, sync::Arc};

use engine::{Detail, RunId, ServiceId};
use keeper::message::Request;

use crate::{
    control::{
        Context, Purpose,
        runs::{
            spawn,
            starts::{StartStep, Starts, drop_start, refuse, spawn_helper},
        },
    },
    prepare::{Outcome, Prepared, Resolved},
    unready::Unready,
};

/// Paths that are named of those made again.
const PATHS_TOLD_MAX: usize = 5;

impl Starts {
    /// The answer to [`Self::prepare`].
    pub(in crate::control) fn on_prepared(
        &mut self,
        cx: &mut Context,
        run: RunId,
        outcome: Outcome,
    ) -> StartStep {
        self.lookups -= 1;
        self.preparing.remove(&run);
        if cx.run(run).is_none() {
            return StartStep::Nothing;
        }
        if !cx.is_wanted(run) {
            return drop_start(cx, run);
        }
        if self.outdated.remove(&run)
            && let Some(service) = cx.service_of(run).cloned()
        {
            return self.prepare(cx, run, &service);
        }
        self.go_on(cx, run, outcome)
    }

    pub(super) fn go_on(&mut self, cx: &mut Context, run: RunId, outcome: Outcome) -> StartStep {
        let Some(known) = cx.run(run) else {
            return StartStep::Nothing;
        };
        let (Some(id), purpose) = (known.service, known.purpose.clone()) else {
            return StartStep::Nothing;
        };
        self.note_lack(id, outcome.as_ref().err());
        let prepared = match outcome {
            Ok(prepared) => prepared,
            Err(why) if purpose == Purpose::Main => {
                let reason = Detail {
                    what: why.reason,
                    hint: why.hint,
                    address_in_use: false,
                };
                return refuse(cx, run, why.transient, reason);
            }
            Err(why) => return StartStep::HelperEnded(run, Err(why.to_string())),
        };
        if let Some(by) = prepared.in_use_by {
            self.wait_for_directories(cx, run, by);
            return StartStep::Nothing;
        }
        say_made(cx, id, &prepared);
        let Some(service) = cx.service(id).cloned() else {
            return drop_start(cx, run);
        };
        match purpose {
            Purpose::Main => self.spawn_main(cx, &service, run, prepared.resolved),
            Purpose::Validator => start_validator(cx, id, &service, run, prepared),
            Purpose::Probe(of, _) | Purpose::ReloadCommand(of) => {
                let resolved = as_its_run(cx, of, prepared.resolved);
                spawn_helper(cx, &service, run, &resolved)
            }
            Purpose::Reconfigure | Purpose::Delivery => StartStep::Nothing,
        }
    }

    /// Asks the keeper for the main process, unless one of its addresses is not free.
    pub(super) fn spawn_main(
        &mut self,
        cx: &mut Context,
        service: &plan::Service,
        run: RunId,
        resolved: Arc<Resolved>,
    ) -> StartStep {
        if !self.has_its_addresses(cx, run, &resolved) {
            return StartStep::Nothing;
        }
        cx.tell(Request::Open(spawn::open(
            service,
            &resolved,
            &cx.plan.paths,
        )));
        let spawn = spawn::main(&cx.plan.paths, service, &resolved, run);
        cx.tell(Request::Spawn(Box::new(spawn)));
        let Some(known) = cx.run_mut(run) else {
            return StartStep::Nothing;
        };
        let directories = service.directories.iter().map(|it| it.path.clone());
        known.directories = directories.collect();
        known.resolved = Some(resolved);
        known
            .service
            .map_or(StartStep::Nothing, |id| StartStep::Spawns(id, run))
    }

    /// Whoever mends what a service lacks says `ctl reconfigure`, which then starts it.
    fn note_lack(&mut self, id: ServiceId, why: Option<&Unready>) {
        match why {
            Some(why) if !why.transient => drop(self.lacking.insert(id)),
            Some(_) => {}
            None => drop(self.lacking.remove(&id)),
        }
    }
}

/// The validator has all that it needs, or not the copies.
fn start_validator(
    cx: &mut Context,
    id: ServiceId,
    service: &plan::Service,
    run: RunId,
    prepared: Prepared,
) -> StartStep {
    let Prepared {
        resolved,
        laid,
        filled,
        ..
    } = prepared;
    let name = &service.name;
    let reloads = cx.engine.main_run(id).is_some();
    if let Err(why) = filled {
        // Nobody asks a service that starts for its token.
        if reloads {
            return StartStep::HelperEnded(run, Err(why));
        }
        tracing::warn!(service = name, "{why}");
        cx.publish(name, api::EventKind::Files, &why, None);
    }
    if let Err(why) = laid {
        // The copies that it has had are better than not to start; a reload would only seem to be
        // one.
        if !why.earlier || reloads {
            return StartStep::HelperEnded(run, Err(why.reason));
        }
        let what = format!("starts with the files that it had: {}", why.reason);
        tracing::warn!(service = name, "{what}");
        cx.publish(name, api::EventKind::Files, &what, None);
    }
    if service.validate.is_empty() {
        StartStep::HelperEnded(run, Ok(String::new()))
    } else {
        spawn_helper(cx, service, run, &resolved)
    }
}

/// The account stays the run's own; a control process that took over does not know it, and takes
/// the one that there is now.
fn as_its_run(cx: &mut Context, of: RunId, found: Arc<Resolved>) -> Arc<Resolved> {
    let Some(main) = cx.run_mut(of) else {
        return found;
    };
    let found = match &main.resolved {
        Some(known) => Arc::new(Resolved {
            ids: known.ids.clone(),
            listens: known.listens.clone(),
            ..Resolved::clone(&found)
        }),
        None => found,
    };
    main.resolved = Some(Arc::clone(&found));
    found
}

/// Tells which directories have changed hands, and what was missing and is there again.
fn say_made(cx: &mut Context, id: ServiceId, prepared: &Prepared) {
    let name = cx.name(id).to_owned();
    for what in &prepared.changed {
        cx.publish(&name, api::EventKind::Files, what, None);
    }
    if let Some(what) = made_again(&prepared.made) {
        tracing::warn!(service = name, "{what}");
        cx.publish(&name, api::EventKind::Files, &what, None);
    }
}

/// `made again what was missing: /srv/a, /srv/b and 3 more`.
fn made_again(made: &[PathBuf]) -> Option<String> {
    if made.is_empty() {
        return None;
    }
    let named = made.iter().take(PATHS_TOLD_MAX);
    let named: Vec<_> = named.map(|path| path.display().to_string()).collect();
    let more = match made.len().saturating_sub(PATHS_TOLD_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "made again what was missing: {}{more}",
        named.join(", ")
    ))
}
