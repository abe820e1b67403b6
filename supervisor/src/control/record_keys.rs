//! Keys of the keeper's records for the next control process, besides the records of services.
//!
//! All keys stand here, so that no two parts of the control process use the same one. They begin
//! with `@`, as no service's name does.

use std::collections::BTreeMap;

/// Keys of recent events begin with this; the place in the ring follows.
pub(super) const EVENT: &str = "@event-";
/// Keys of ends of runs that are not on the disk yet begin with this; the service's name follows.
pub(super) const EXITS: &str = "@exits/";
/// Keys of troubles that were told begin with this; the service's name follows.
pub(super) const TROUBLE: &str = "@notify/";

/// The subject of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Certificates whose state was told.
    Certificates,
    /// Operations that clients have asked for.
    Operations,
    /// The change that is being done at this moment.
    InFlight,
    /// Why the daemon ends with a failure.
    Failed,
    /// Version of all these records.
    Format,
    /// Runs that are being restarted for files that have changed.
    FileRestarts,
    /// SIGHUP has been taken in and not been acted on to the end.
    Hangup,
    /// All holds, including those of services that no plan has.
    Holds,
    /// The order for a job, until the engine has the order.
    Job,
    /// Lines that the history may not have, of changes that are not remembered otherwise.
    AuditLines,
    /// Addresses that services are still to be seen to listen on.
    Listening,
    /// Whether there is maintenance.
    Maintenance,
    /// Numbers that the records of services have for other services.
    Names,
    /// Secrets that were put back, and state files that were put aside.
    StateWarnings,
    /// The plan that runs.
    Plan,
    /// The change that asked for another control process.
    Reexec,
    /// The change that asked for another program of the keeper.
    KeeperReexec,
    /// Why the configuration on disk is refused.
    Refused,
    /// Up to when schedules have been handled.
    Schedule,
    /// How many stop signals there were.
    Signals,
    /// How the plan that runs has proven itself.
    Probation,
    /// The plan that an unfinished reconfiguration can go back to.
    WayBack,
}

impl Key {
    /// As the keeper has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Certificates => "@certificates",
            Self::Operations => "@operations",
            Self::InFlight => "@in-flight",
            Self::Failed => "@failed",
            Self::Format => "@format",
            Self::FileRestarts => "@file-restarts",
            Self::Hangup => "@hangup",
            Self::Holds => "@holds",
            Self::Job => "@job",
            Self::AuditLines => "@audit-lines",
            Self::Listening => "@listening",
            Self::Maintenance => "@maintenance",
            Self::Names => "@names",
            Self::StateWarnings => "@state-warnings",
            Self::Plan => "@plan",
            Self::Reexec => "@reexec",
            Self::KeeperReexec => "@keeper-reexec",
            Self::Refused => "@refused",
            Self::Schedule => "@schedule",
            Self::Signals => "@signals",
            Self::Probation => "@probation",
            Self::WayBack => "@way-back",
        }
    }

    /// The record of this key.
    pub(super) fn of(self, records: &BTreeMap<String, String>) -> Option<&String> {
        records.get(self.name())
    }
}

/// A record is a service's own, and its key is the service's name.
pub(super) fn is_a_services(key: &str) -> bool {
    !key.starts_with('@')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_keys_and_no_service_have_the_same_name() {
        use Key::{
            AuditLines, Certificates, Failed, FileRestarts, Format, Hangup, Holds, InFlight, Job,
            KeeperReexec, Listening, Maintenance, Names, Operations, Plan, Probation, Reexec,
            Refused, Schedule, Signals, StateWarnings, WayBack,
        };
        let all = [
            Certificates,
            Operations,
            InFlight,
            Failed,
            FileRestarts,
            Hangup,
            Holds,
            Job,
            KeeperReexec,
            Format,
            AuditLines,
            Listening,
            Maintenance,
            Names,
            StateWarnings,
            Plan,
            Reexec,
            Refused,
            Schedule,
            Signals,
            Probation,
            WayBack,
        ];
        let names: BTreeSet<&str> = all.iter().map(|key| key.name()).collect();
        assert_eq!(names.len(), all.len());
        let all_names = names.into_iter().chain([EVENT, EXITS, TROUBLE]);
        assert!(all_names.into_iter().all(|name| !is_a_services(name)));
    }
}
