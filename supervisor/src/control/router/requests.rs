//! Requests of clients: the only match on [`Ask`] hands each request to its component.

use std::path::PathBuf;

use api::{
    CheckReply, DiffReply, ErrorReply, MaintenanceReply, MaintenanceRequest, PlanReply,
    ServiceEvent, StatusReply,
};
use keeper::message::LogStats;
use tokio::sync::{mpsc, oneshot};

use crate::{
    ask::{Ask, EventFilter, Exits, Peer},
    control::{
        Control, Task,
        api::{
            answers::Answer,
            event_stream, logs,
            status::{WENT_BACK, keeper_went_on, of_supervisor},
            views::Views,
        },
        operations::audit,
    },
    metrics_snapshot::Scrape,
    service_query::matching,
};

type Shown = Result<PlanReply, ErrorReply>;
type Difference = Result<DiffReply, ErrorReply>;

impl Control {
    pub(in crate::control) fn on_ask(&mut self, ask: Ask) {
        // A client that has gone away no longer wants its answer.
        match ask {
            Ask::Status { names, reply } => drop(reply.send(self.status(&names))),
            Ask::Act {
                request,
                peer,
                reply,
            } => {
                let stream = self.act(&request, &peer);
                self.cx.answer(Answer::Taken(reply, stream));
            }
            Ask::Reconfigure {
                id,
                wanted,
                peer,
                reply,
            } => {
                let stream = self.ask_reconfigure(&id, wanted, &peer);
                self.cx.answer(Answer::Taken(reply, stream));
            }
            Ask::Reexec { asked, reply } => {
                let stream = self.ask_reexec(&asked);
                self.cx.answer(Answer::Taken(reply, stream));
            }
            Ask::Work {
                id,
                wish,
                peer,
                reply,
            } => {
                let stream = self.ask_work(&id, wish, &peer);
                self.cx.answer(Answer::Taken(reply, stream));
            }
            Ask::Outcome { id, reply } => {
                let outcome = self.outcome_of(&id);
                self.cx.answer(Answer::Outcome(reply, outcome));
            }
            Ask::Maintenance { reply } => self.maintenance.answer_when_seen(reply),
            Ask::SetMaintenance {
                id,
                wanted,
                peer,
                reply,
            } => self.set_maintenance(&id, wanted, &peer, reply),
            Ask::Events {
                backlog,
                follow,
                filter,
                reply,
            } => drop(reply.send(self.events(backlog, follow, &filter))),
            Ask::History { names, reply } => drop(reply.send(self.known_history(&names))),
            Ask::Exits { names, reply } => drop(reply.send(self.known_exits(&names))),
            Ask::Why { name, reply } => drop(reply.send(self.views().why(&name))),
            Ask::Scrape { reply } => self.api.metrics.scrape(&mut self.cx, reply),
            Ask::Check { reply } => self.check_files(reply),
            Ask::Plan { names, reply } => self.show_plan(&names, reply),
            Ask::Tools { reply } => drop(reply.send(self.cx.plan.tools())),
            Ask::Diff { names, reply } => self.show_difference(names, reply),
            Ask::LogPlaces { names, reply } => drop(reply.send(self.cx.log_places(&names))),
            Ask::Departures { reply } => drop(reply.send(self.api.departures.subscribe())),
            Ask::RotateLogs {
                id,
                names,
                peer,
                reply,
            } => {
                let rotated = logs::rotate(&mut self.cx, &mut self.audit, &id, &names, &peer);
                self.cx.answer(Answer::Rotated(reply, rotated));
            }
        }
    }

    fn known_history(&self, names: &[String]) -> (PathBuf, Option<ErrorReply>) {
        let unknown = matching(names, &self.cx.plan.services).err();
        (self.cx.plan.paths.state_dir.clone(), unknown)
    }

    fn check_files(&mut self, reply: oneshot::Sender<CheckReply>) {
        let plan = self.cx.plan.clone();
        self.cx.queue_task(Task::Check { plan, reply });
    }

    fn show_difference(&mut self, names: Vec<String>, reply: oneshot::Sender<Difference>) {
        let plan = self.cx.plan.clone();
        self.cx.queue_task(Task::Diff { plan, names, reply });
    }

    fn known_exits(&self, names: &[String]) -> Exits {
        Exits {
            state_dir: self.cx.plan.paths.state_dir.clone(),
            unwritten: self.exits.unwritten(),
            unknown: matching(names, &self.cx.plan.services).err(),
        }
    }

    fn show_plan(&mut self, names: &[String], reply: oneshot::Sender<Shown>) {
        match matching(names, &self.cx.plan.services) {
            Ok(names) => {
                let plan = self.cx.plan.clone();
                self.cx.queue_task(Task::ShowPlan { plan, names, reply });
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn events(
        &mut self,
        backlog: usize,
        follow: bool,
        filter: &EventFilter,
    ) -> Result<mpsc::Receiver<ServiceEvent>, ErrorReply> {
        let filter = event_stream::Filter::new(filter);
        // A service that has left the plan may still have a past here.
        if !self.cx.events.knows(&filter) {
            matching(&filter.names, &self.cx.plan.services)?;
        }
        Ok(self.cx.events.subscribe(backlog, follow, filter))
    }

    /// Everything that says something of a service.
    pub(in crate::control) const fn views(&self) -> Views<'_> {
        Views {
            cx: &self.cx,
            alerts: &self.alerts,
            file_watch: &self.monitors.file_watch,
            last_words: &self.last_words,
            leftovers: &self.leftovers,
            listening: &self.monitors.listening,
            log_troubles: &self.log_troubles,
            schedule: &self.schedule,
            shutdown: &self.daemon.shutdown,
            starts: &self.starts,
            work: &self.work,
        }
    }

    pub(in crate::control) fn status(&self, names: &[String]) -> Result<StatusReply, ErrorReply> {
        let services = self.views().services(names)?;
        let maintenance = self.maintenance.said().cloned();
        let state = self.daemon.init_notify.state();
        Ok(StatusReply {
            supervisor: of_supervisor(&self.cx, state, self.warnings(), maintenance),
            services,
        })
    }

    /// The present warnings about the supervisor itself.
    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.reconfigure.warnings().collect();
        warnings.extend(self.cx.keeper.went_back.then(|| WENT_BACK.to_owned()));
        warnings.extend(self.cx.keeper.refusal.as_ref().map(keeper_went_on));
        warnings.extend(self.daemon.state_warnings.of_boot().iter().cloned());
        warnings.extend(self.leftovers.strays());
        warnings.extend(self.daemon.state_warnings.told());
        warnings.extend(self.holds.warning());
        warnings.extend(self.schedule.warning());
        warnings.extend(self.schedule.outcome_warnings(self.cx.now));
        warnings.extend(self.maintenance.warning());
        warnings.extend(self.status_files.warning());
        warnings.extend(self.audit.warning());
        warnings.extend(self.exits.warning());
        warnings.extend(self.running.warning());
        warnings.extend(self.monitors.file_watch.warning());
        warnings
    }

    /// The keeper has said how much was logged, which it alone knows: scrapes are answered.
    pub(in crate::control) fn on_stats(&mut self, logs: &[LogStats]) {
        for reply in self.api.metrics.take_waiting() {
            let scrape = self.status(&[]).map(|status| Scrape {
                status,
                tallies: self.api.metrics.tallies(&self.cx),
                schedules: self.schedule.counts(self.cx.now),
                logs: logs.to_vec(),
                events: self.cx.events.counts(),
            });
            drop(reply.send(scrape));
        }
    }

    /// Begins or ends maintenance for a client.
    fn set_maintenance(
        &mut self,
        id: &str,
        wanted: Option<MaintenanceRequest>,
        peer: &Peer,
        reply: oneshot::Sender<MaintenanceReply>,
    ) {
        let what = self.maintenance.set(&mut self.cx, wanted, &peer.name);
        let asked = audit::asked(self.cx.now.unix_ms, id, peer, &what, &[]);
        self.audit.done(&mut self.cx, asked);
        self.maintenance.answer_when_seen(reply);
    }
}
