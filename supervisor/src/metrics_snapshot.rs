//! All that `/metrics` shows, as the control loop hands it to the server: plain counts, which the
//! server turns into text on a thread of its own.

use std::{collections::BTreeMap, time::Duration};

use api::StatusReply;
use keeper::message::LogStats;

/// Everything, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    /// The status as `ctl status` shows it.
    pub(crate) status: StatusReply,
    /// Counts by service; a service that nothing has happened to is missing.
    pub(crate) tallies: BTreeMap<String, ServiceTally>,
    /// Schedules by service, of those that run by the clock.
    pub(crate) schedules: BTreeMap<String, ServiceSchedule>,
    /// Counts of log lines, from the keeper.
    pub(crate) logs: Vec<LogStats>,
    /// Counts of the event stream.
    pub(crate) events: EventCounts,
}

/// Counts of one service since the control process started.
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
    /// Counts of probes, by `ready`, `liveness` and `health`.
    pub(crate) probes: BTreeMap<&'static str, ProbeTally>,
    /// Counts of ended requests, for a job.
    pub(crate) work: Option<WorkTally>,
}

/// Requests of one job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkTally {
    /// Requests that were done.
    pub(crate) done: u64,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// Time from the last request to its end.
    pub(crate) last: Duration,
    /// Sum of these times over all requests.
    pub(crate) sum: Duration,
}

/// How a service that runs by the clock has done. Times are milliseconds of the Unix epoch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServiceSchedule {
    /// End of the last good run.
    pub(crate) good: Option<u64>,
    /// Time of the next run.
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
    /// Probes that said no.
    pub(crate) failures: u64,
}

/// Counts of the event stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventCounts {
    /// Events so far.
    pub(crate) published: u64,
    /// Events that a follower was too slow for, summed over the followers.
    pub(crate) dropped: u64,
    /// Clients that follow now.
    pub(crate) followers: usize,
}
