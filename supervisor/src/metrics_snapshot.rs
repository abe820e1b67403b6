//! All that `/metrics` shows, as the control loop hands it to the server: plain counts, which the
//! server turns into text on a thread of its own.

use std::{collections::BTreeMap, time::Duration};

use api::StatusReply;
use keeper::message::LogStats;

/// Everything, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    /// As `ctl status` shows it.
    pub(crate) status: StatusReply,
    /// By name; a service that nothing has happened to is missing.
    pub(crate) tallies: BTreeMap<String, ServiceTally>,
    /// Of those that run by the clock, by name.
    pub(crate) schedules: BTreeMap<String, ServiceSchedule>,
    /// From the keeper.
    pub(crate) logs: Vec<LogStats>,
    /// Of the event stream.
    pub(crate) events: EventCounts,
}

/// What has happened to one service since the control process started.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceTally {
    /// Automatic restarts.
    pub(crate) restarts: u64,
    /// The engine's own number at the last look, which a manual start sets back.
    pub(crate) restarts_seen: u32,
    /// Starts that came to no process.
    pub(crate) start_failures: u64,
    /// Ends of its main process: `exited` or `killed`, and the code or signal.
    pub(crate) exits: BTreeMap<(&'static str, String), u64>,
    /// By `ready`, `liveness` and `health`.
    pub(crate) probes: BTreeMap<&'static str, ProbeTally>,
    /// Of a job: requests that have come to their end.
    pub(crate) work: Option<WorkTally>,
}

/// Requests of one job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkTally {
    /// Those that were done.
    pub(crate) done: u64,
    /// Those that were not.
    pub(crate) failed: u64,
    /// From the request to the end, of the last one.
    pub(crate) last: Duration,
    /// The same, of all.
    pub(crate) sum: Duration,
}

/// How a service that runs by the clock has done. Times are milliseconds of the Unix epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServiceSchedule {
    /// When the last good run ended.
    pub(crate) good: Option<u64>,
    /// When it runs next.
    pub(crate) next_run: Option<u64>,
    /// A good run should have ended by now.
    pub(crate) overdue: bool,
    /// The last run failed.
    pub(crate) failed: bool,
}

/// Attempts of one probe.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProbeTally {
    /// Time of the last one.
    pub(crate) last: Duration,
    /// Time of all.
    pub(crate) sum: Duration,
    /// Attempts that have ended.
    pub(crate) count: u64,
    /// Those of them that said no.
    pub(crate) failures: u64,
}

/// Of the event stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventCounts {
    /// Events so far.
    pub(crate) published: u64,
    /// Events that a follower was too slow for, summed over the followers.
    pub(crate) dropped: u64,
    /// Clients that follow now.
    pub(crate) followers: usize,
}
