//! Decides what happens to every service. Pure: no clock, no file, no pid, no environment.
//!
//! # Theory of operation
//!
//! The engine holds one state machine a service and the graph between them. The control loop
//! feeds it one [`Event`] at a time through [`Engine::handle`], drains [`Engine::poll_effect`]
//! until it is empty, then sleeps until [`Engine::poll_timeout`] or the next event.
//!
//! * A [`Command`] is a request: it may be done, be needless, or be refused with a [`Refusal`].
//! * A [`Fact`] has happened and cannot be refused. A fact about a run that is over is dropped.
//! * An [`Effect`] is work for the control process; its outcome comes back as a fact.
//!
//! A deadline is a field of the state that needs it, so it dies with that state. Those by which a
//! run is judged for its silence are in `judgement`.
//!
//! # Modules
//!
//! Read `state`, `machine`, `stop` and `propagate` first.
//!
//! * `event`, `effect`, `ended`, `view`, `ids`: what goes in and what comes out.
//! * `engine`, `step`, `propagate`: one event, from its service to all others that it concerns.
//! * `command`, `restart`, `apply`, `job`, `leases`, `shutdown`: commands, one kind in each file.
//! * `machine`, `notified`: the tables; a row is a `phase`, a column an `input` or a notification.
//!   `context` is all that a service's machine sees of other services.
//! * `start`, `readiness`, `running`, `reload`, `watchdog`, `stop`, `leftovers`, `after_exit`,
//!   `report_end`: the transitions that the tables name.
//! * `probe`, `backoff`, `patience`, `judgement`: when a deadline is due, and when it counts.
//! * `service`, `spec`, `record`, `state`, `up`, `detail`, `order`, `lease`: data of one service.
//! * `node`, `graph`: the place of a service among the others.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod after_exit;
mod apply;
mod backoff;
mod command;
mod context;
mod detail;
mod effect;
mod ended;
mod engine;
mod event;
mod graph;
mod ids;
mod input;
mod job;
mod judgement;
mod lease;
mod leases;
mod leftovers;
mod machine;
mod node;
mod notified;
mod patience;
mod phase;
mod probe;
mod propagate;
mod readiness;
mod reasons;
mod record;
mod reload;
mod report_end;
mod restart;
mod running;
mod service;
mod shutdown;
mod spec;
mod start;
mod state;
mod step;
mod stop;
mod up;
mod view;
mod watchdog;

pub use detail::Detail;
pub use effect::{Effect, ProbeKind, SignalPurpose};
pub use ended::{AfterRun, Ended};
pub use engine::Engine;
pub use event::{Accepted, Command, Event, Fact, Notification, ProcessImpact, Refusal};
pub use ids::{Moment, RunId, ServiceId};
pub use lease::Lease;
pub use reasons::StopReason;
pub use record::Record;
pub use run_model::{Escalation, Exit, Stop};
pub use spec::{
    ExitSet, Kind, Policy, ProbeSpec, Ready, Reload, ReloadHow, Restart, Spec, StartLimit,
    Watchdog, WatchdogAction,
};
pub use state::{Failure, Goal, Helper, Hold, Kill, State, StopCause, StopPhase, StopTarget};
pub use up::{Probing, ReloadOutcome, ReportedProbe, Up, WatchdogVerdict, Watching};
pub use view::{Settled, Unhealthy, View};
