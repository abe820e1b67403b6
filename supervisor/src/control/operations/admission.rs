//! Admission: whether an operation may begin now, as one pure answer for all mutual exclusions.
//!
//! Owns nothing: [`UnderWay`] describes the present state of the daemon, [`UnderWay::admit`] checks
//! an [`Intent`] against it. The engine decides by itself what a service may do; admission concerns
//! the daemon as a whole. A shutdown excludes everything; a reconfiguration excludes another, a
//! lease and another control process, since each of them would change what the reconfiguration
//! works with; leased services exclude a reconfiguration, which might start them; one job excludes
//! another.

use api::{ErrorKind, ErrorReply};

/// The operations under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct UnderWay {
    /// Whether a shutdown is under way.
    pub(in crate::control) shutdown: bool,
    /// A reconfiguration or a rehearsal, in words: `another reconfigure is under way, asked for by
    /// …`.
    pub(in crate::control) reconfigure: Option<String>,
    /// Whether another control process is being started, or the keeper becomes another program.
    pub(in crate::control) reexec: bool,
    /// The job that keeps services stopped.
    pub(in crate::control) lease: Option<String>,
    /// The job whose work is not over.
    pub(in crate::control) job: Option<String>,
}

/// The operation that a client or job wants to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Intent {
    /// Another plan is to be applied.
    Reconfigure,
    /// A dry run, which only reports what another plan would change.
    Rehearsal,
    /// The start of another control process.
    Reexec,
    /// Another program of the keeper.
    KeeperReexec,
    /// The work of a job.
    Job,
    /// A job wants services stopped.
    Lease,
}

/// The reason against an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum Obstacle {
    /// A shutdown is under way.
    Shutdown,
    /// A reconfiguration, in words.
    Reconfigure(String),
    /// Another control process is being started, or the keeper becomes another program.
    Reexec,
    /// This job keeps services stopped.
    Lease(String),
    /// The work of this job.
    Job(String),
}

impl UnderWay {
    /// Whether the operation may begin now; if not, the first obstacle.
    pub(in crate::control) fn admit(&self, intent: Intent) -> Result<(), Obstacle> {
        if self.shutdown {
            return Err(Obstacle::Shutdown);
        }
        let reconfigure = self.reconfigure.clone().map(Obstacle::Reconfigure);
        let lease = self.lease.clone().map(Obstacle::Lease);
        let job = self.job.clone().map(Obstacle::Job);
        let obstacle = match intent {
            Intent::Reconfigure => reconfigure.or(lease),
            Intent::Rehearsal | Intent::Lease => reconfigure,
            Intent::Reexec => reconfigure.or(self.reexec.then_some(Obstacle::Reexec)),
            Intent::KeeperReexec => self.reexec.then_some(Obstacle::Reexec),
            Intent::Job => job,
        };
        obstacle.map_or(Ok(()), Err)
    }
}

impl Obstacle {
    /// The obstacle as a clause, without a hint.
    pub(in crate::control) fn clause(&self) -> String {
        match self {
            Self::Shutdown => "the supervisor is stopping everything".to_owned(),
            Self::Reconfigure(what) => what.clone(),
            Self::Reexec => "another reexec is under way".to_owned(),
            Self::Lease(job) => format!("the job {job} keeps services stopped"),
            Self::Job(job) => format!("the job {job} is on its way, and there is one at a time"),
        }
    }

    /// The obstacle as a client hears it.
    pub(in crate::control) fn reply(&self) -> ErrorReply {
        let (kind, hint) = match self {
            Self::Shutdown => (ErrorKind::Refused, None),
            Self::Reconfigure(_) | Self::Reexec => (
                ErrorKind::Busy,
                Some("try again when it is done; ctl events -f follows it".to_owned()),
            ),
            Self::Lease(job) => (ErrorKind::Leased, Some(when_it_ends(job))),
            Self::Job(job) => (
                ErrorKind::JobRuns,
                Some(format!(
                    "follow it: ctl status {job}, or end it: ctl stop {job}"
                )),
            ),
        };
        ErrorReply {
            kind,
            message: self.clause(),
            hint,
        }
    }
}

/// Hint for a job that is in the way.
pub(in crate::control) fn when_it_ends(job: &str) -> String {
    format!(
        "what it stopped starts by itself when it ends; follow it: ctl status {job}, or end it: ctl stop {job}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTENTS: [Intent; 6] = [
        Intent::Reconfigure,
        Intent::Rehearsal,
        Intent::Reexec,
        Intent::KeeperReexec,
        Intent::Job,
        Intent::Lease,
    ];

    fn admitted(under_way: &UnderWay) -> Vec<Intent> {
        let admitted = INTENTS.into_iter();
        admitted
            .filter(|intent| under_way.admit(*intent).is_ok())
            .collect()
    }

    #[test]
    fn each_thing_under_way_excludes_what_it_must_and_no_more() {
        use Intent::{Job, KeeperReexec, Lease, Reconfigure, Reexec, Rehearsal};
        let word = || Some("x".to_owned());
        let idle = UnderWay::default();
        assert_eq!(admitted(&idle), INTENTS);
        let cases: [(UnderWay, &[Intent]); 5] = [
            (
                UnderWay {
                    shutdown: true,
                    ..idle.clone()
                },
                &[],
            ),
            (
                UnderWay {
                    reconfigure: word(),
                    ..idle.clone()
                },
                &[KeeperReexec, Job],
            ),
            (
                UnderWay {
                    reexec: true,
                    ..idle.clone()
                },
                &[Reconfigure, Rehearsal, Job, Lease],
            ),
            (
                UnderWay {
                    lease: word(),
                    ..idle.clone()
                },
                &[Rehearsal, Reexec, KeeperReexec, Job, Lease],
            ),
            (
                UnderWay {
                    job: word(),
                    ..idle
                },
                &[Reconfigure, Rehearsal, Reexec, KeeperReexec, Lease],
            ),
        ];
        for (under_way, expected) in cases {
            assert_eq!(admitted(&under_way), expected, "{under_way:?}");
        }
    }

    #[test]
    fn the_first_obstacle_is_the_one_that_is_told() {
        let all = UnderWay {
            shutdown: false,
            reconfigure: Some("a rollback is under way".to_owned()),
            reexec: true,
            lease: Some("backup".to_owned()),
            job: Some("backup".to_owned()),
        };
        let told = all.admit(Intent::Reconfigure).unwrap_err();
        assert_eq!(told.clause(), "a rollback is under way");
        let stopping = UnderWay {
            shutdown: true,
            ..all
        };
        assert_eq!(stopping.admit(Intent::Reexec), Err(Obstacle::Shutdown));
        assert_eq!(
            Obstacle::Lease("backup".to_owned()).reply().kind,
            ErrorKind::Leased
        );
    }
}
