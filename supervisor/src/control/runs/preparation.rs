//! From a run that the engine wants to one that has all that it needs: asked for at each start.
//!
//! What the plan that is just being applied has looked up ([`Control::fresh`]) is as good as new,
//! and gone with the input that brought it. What a main run was started with stays with it: its
//! probes and reload commands act as the account that it has, not as the one that its name means by
//! now, and ask no name server each time.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use engine::{RunId, ServiceId};

use crate::{
    control::{Control, Job, Purpose, runs::spawn},
    prepare::{self, Needs, Outcome, Prepared, Resolved, Start},
    staging::{Broken, Resolutions},
    unready::Unready,
};

/// Paths that are named of those made again.
const PATHS_TOLD_MAX: usize = 5;

impl Control {
    /// Finds out, and makes, what a run needs; it goes on in [`Self::on_prepared`].
    pub(in crate::control) fn prepare(&mut self, run: RunId, service: &plan::Service) {
        let Some(known) = self.cx.runs.get(&run) else {
            return;
        };
        let main = known.purpose == Purpose::Main;
        if main {
            self.status_files.write_again();
        }
        let validator = known.purpose == Purpose::Validator;
        let lays = validator && !service.credentials.is_empty();
        let frees = main && (prepare::has_names(service) || !service.stale_sockets.is_empty());
        let reload_token = (validator && service.has_reload_token()).then_some(run.0);
        if !lays
            && reload_token.is_none()
            && !frees
            && let Some(found) = self.fresh.get(&service.name).cloned()
        {
            self.go_on_prepared(run, found.map(Prepared::of));
            return;
        }
        let needs = Needs {
            disk: main || validator,
            addresses: main,
            // The next plan may have laid out its own already.
            credentials: lays.then(|| self.reconfigure.is_idle()),
            reload_token,
        };
        let in_use = if needs.disk {
            self.directories_in_use(run)
        } else {
            Vec::new()
        };
        // What is left of an earlier run may have to be met again before anything else is known of it.
        let has_leftovers = known.service.is_some_and(|id| self.left.contains_key(&id));
        debug_assert!(
            !main || has_leftovers || in_use.iter().all(|it| it.service != service.name),
            "{} is started beside a run of its own",
            service.name
        );
        self.reexec.lookups += 1;
        let unwanted = Arc::default();
        self.preparing.insert(run, Arc::clone(&unwanted));
        self.starts.push(Start {
            run,
            service: Box::new(service.clone()),
            needs,
            state_dir: self.cx.plan.paths.state_dir.clone(),
            in_use,
            unwanted,
        });
    }

    /// What is not wanted any more waits no longer for what it would have needed. That may never be found out,
    /// where a name service or a file server does not answer.
    pub(in crate::control) fn drop_unwanted_starts(&mut self) {
        let is_wanted = |run: &RunId| {
            let known = self.cx.runs.get(run);
            known.is_some_and(|known| self.is_wanted(*run, &known.purpose))
        };
        let unwanted = self.preparing.keys().filter(|run| !is_wanted(run));
        for run in unwanted.copied().collect::<Vec<_>>() {
            if let Some(unwanted) = self.preparing.remove(&run) {
                unwanted.store(true, Ordering::Relaxed);
            }
            self.drop_start(run);
        }
    }

    /// After every input: what is to be prepared, together.
    pub(in crate::control) fn ask_for_preparations(&mut self) {
        if !self.starts.is_empty() {
            let starts = std::mem::take(&mut self.starts);
            self.cx.job(Job::Prepare(starts));
        }
    }

    /// The answer, which may come when it is not wanted any more or under another plan.
    pub(in crate::control) fn on_prepared(&mut self, run: RunId, outcome: Outcome) {
        self.reexec.lookups -= 1;
        self.preparing.remove(&run);
        let Some(known) = self.cx.runs.get(&run) else {
            return;
        };
        if !self.is_wanted(run, &known.purpose) {
            self.drop_start(run);
            return;
        }
        if self.outdated.remove(&run)
            && let Some(service) = self.cx.service_of(run).cloned()
        {
            self.prepare(run, &service);
            return;
        }
        self.go_on_prepared(run, outcome);
    }

    fn go_on_prepared(&mut self, run: RunId, outcome: Outcome) {
        let Some(known) = self.cx.runs.get(&run) else {
            return;
        };
        let (Some(id), purpose) = (known.service, known.purpose.clone()) else {
            return;
        };
        let name = self.cx.name(id).to_owned();
        self.note_lacking(id, outcome.as_ref().err());
        let prepared = match outcome {
            Ok(prepared) => prepared,
            Err(why) if purpose == Purpose::Main => {
                self.spawn_refused(run, why.transient, why.reason);
                return;
            }
            Err(why) => {
                self.helper_ended(run, Err(why.reason));
                return;
            }
        };
        if let Some(by) = prepared.in_use_by {
            self.wait_for_directories(run, by);
            return;
        }
        for what in &prepared.changed {
            self.cx.publish(&name, "files", what, None);
        }
        self.say_made(&name, &prepared.made);
        let Some(service) = self.cx.service(id).cloned() else {
            self.drop_start(run);
            return;
        };
        let Prepared {
            resolved,
            laid,
            filled,
            ..
        } = prepared;
        match purpose {
            Purpose::Main => self.start_prepared(&service, run, resolved),
            Purpose::Validator => {
                self.start_validator(&service, run, &resolved, laid, filled);
            }
            Purpose::Probe(of, _) | Purpose::ReloadCommand(of) => {
                let resolved = self.as_its_run(of, resolved);
                self.spawn_helper(&service, run, &resolved);
            }
            Purpose::Reconfigure | Purpose::Delivery => {}
        }
    }

    /// What is known of the main run that a helper belongs to, if its program is among that.
    pub(in crate::control) fn known_of_run(
        &self,
        service: &plan::Service,
        purpose: &Purpose,
    ) -> Option<Arc<Resolved>> {
        let (Purpose::Probe(of, _) | Purpose::ReloadCommand(of)) = purpose else {
            return None;
        };
        let resolved = self.cx.runs.get(of)?.resolved.as_ref()?;
        let program = spawn::program_of(service, purpose)?;
        let known = resolved.helpers.contains_key(&program);
        known.then(|| Arc::clone(resolved))
    }

    /// The account stays the run's own; a control process that took over does not know it, and takes
    /// the one that there is now.
    fn as_its_run(&mut self, of: RunId, found: Arc<Resolved>) -> Arc<Resolved> {
        let Some(main) = self.cx.runs.get_mut(&of) else {
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

    /// Whoever mends what it lacks says `ctl reconfigure`, which then starts it.
    fn note_lacking(&mut self, id: ServiceId, why: Option<&Unready>) {
        match why {
            Some(why) if !why.transient => drop(self.lacking.insert(id)),
            Some(_) => {}
            None => drop(self.lacking.remove(&id)),
        }
    }

    /// The same of all services of a plan.
    pub(in crate::control) fn note_all_lacking(&mut self, found: &Resolutions) {
        let lasts = |found: &Result<_, Unready>| found.as_ref().is_err_and(|why| !why.transient);
        let lacking = found.iter().filter(|(_, found)| lasts(found));
        self.lacking = lacking
            .map(|(name, _)| self.cx.names.intern(name))
            .collect();
    }

    /// Services whose files or directories could not be made for this plan.
    pub(in crate::control) fn note_broken(&mut self, broken: BTreeMap<String, Broken>) {
        let broken = broken.into_iter();
        self.broken = broken
            .map(|(name, it)| (self.cx.names.intern(&name), it.why))
            .collect();
    }

    fn say_made(&mut self, name: &str, made: &[PathBuf]) {
        if made.is_empty() {
            return;
        }
        let named = made.iter().take(PATHS_TOLD_MAX);
        let named: Vec<_> = named.map(|path| path.display().to_string()).collect();
        let more = match made.len().saturating_sub(PATHS_TOLD_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let what = format!("made again what was missing: {}{more}", named.join(", "));
        tracing::warn!(service = name, "{what}");
        self.cx.publish(name, "files", &what, None);
    }

    /// In words, what is another of the account that a service runs with, which none of the files
    /// says. It goes on as it is.
    pub(in crate::control) fn moved_account(
        &self,
        name: &str,
        found: &Resolutions,
    ) -> Option<String> {
        let main = self.cx.runs.get(&self.cx.main_run_of(name)?)?;
        let had = main.resolved.as_ref()?;
        let now = found.get(name)?.as_ref().ok()?;
        let (had, now) = differs(had, now)?;
        Some(format!(
            "runs with {had}, but its account has {now} now: ctl restart {name} takes that"
        ))
    }
}

/// What a run has, and what its account has instead.
fn differs(had: &Resolved, now: &Resolved) -> Option<(String, String)> {
    let (had, now) = (had.ids.as_ref()?, now.ids.as_ref()?);
    let list = |groups: &[u32]| {
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        groups.join(", ")
    };
    let said = |word: &str, had: String, now: String| {
        let differ = had != now;
        differ.then(|| (format!("{word} {had}"), format!("{word} {now}")))
    };
    said("uid", had.uid.to_string(), now.uid.to_string())
        .or_else(|| said("gid", had.gid.to_string(), now.gid.to_string()))
        .or_else(|| said("groups", list(&had.groups), list(&now.groups)))
}

#[cfg(test)]
mod tests {
    use api::Action;

    use crate::{control::harness::Harness, store::Handled};

    #[test]
    fn a_start_whose_needs_are_never_found_out_can_be_stopped() {
        let services = [("a", "command = ['/bin/a']\n")];
        let mut world = Harness::new(&services, Handled::default());
        let run = world.spawned[0].1;
        world.spawned(run);
        world.act(Action::Stop, "a");
        world.ended(run);
        world.hangs = true;
        world.act(Action::Start, "a");
        assert_eq!(world.status("a").state, "spawning");
        world.act(Action::Stop, "a");
        assert_eq!(world.status("a").state, "stopped");
        world.act(Action::Start, "a");
        world.signal(15);
        // Nobody writes the history here: that is waited for so long.
        world.pass(2_000);
        assert!(world.quit);
    }
}
