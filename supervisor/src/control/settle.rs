//! What follows every input, step by step.
//!
//! Each step belongs to one component; this list owns nothing but their order. An input changes
//! services, plans and promises; the steps first let what waited go on, then note what is so now,
//! then say it. The order rests on `RULES`, each with its reason, which a test holds against
//! [`STEPS`].
//!
//! Limit: a step sees what the steps before it have done. A service that a later step touches is
//! looked at after the next input.

use std::collections::BTreeSet;

use engine::ServiceId;

use crate::control::Control;

/// One step. The comment says what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Starts that wait for an address go on, or are given up.
    AddressWaits,
    /// Looks where services listen that a plan has moved.
    Listening,
    /// Starts that wait for a directory go on.
    DirectoryWaits,
    /// The daemon ends when a service has failed that it may not go on without.
    ExitWhenFailed,
    /// From here on it is known which services this input has touched.
    Touched,
    /// Asks for what is to be on the disk: holds.
    StoreHolds,
    /// The same: the history of changes.
    StoreRecords,
    /// The same: how runs have ended.
    StoreExits,
    /// The same: which runs live.
    StoreRunning,
    /// The same: what status files say.
    StoreStatusFiles,
    /// The same: whether there is maintenance.
    StoreMaintenance,
    /// Clients hear that their changes are accepted.
    ReleaseChanges,
    /// How what runs by the clock has ended is taken in.
    Outcomes,
    /// Who wants to be told of trouble is.
    Trouble,
    /// Changes whose services have settled come to their verdict.
    AdvanceChanges,
    /// The plan that runs proves itself, or fails.
    JudgePlan,
    /// The init hears how far things are.
    TellInit,
    /// A reconfiguration that has failed goes back.
    GoBack,
    /// Results of jobs that have ended are read.
    Results,
    /// Clients hear how their changes have ended.
    EndChanges,
    /// A hangup that came while a job had services stopped.
    Hangup,
    /// Up to when schedules are handled goes to the disk.
    StoreSchedule,
    /// The daemon ends once all is on the disk.
    Quit,
    /// The keeper may forget the facts that were taken in.
    Acknowledge,
    /// Who wants to be told what components had to tell is.
    Alerts,
    /// What is to be started is prepared, all of one input together.
    Prepare,
    /// Another control process takes over.
    Reexec,
}

/// All of them, in their order.
const STEPS: [Step; 27] = [
    Step::AddressWaits,
    Step::Listening,
    Step::DirectoryWaits,
    Step::ExitWhenFailed,
    Step::Touched,
    Step::StoreHolds,
    Step::StoreRecords,
    Step::StoreExits,
    Step::StoreRunning,
    Step::StoreStatusFiles,
    Step::StoreMaintenance,
    Step::ReleaseChanges,
    Step::Outcomes,
    Step::Trouble,
    Step::AdvanceChanges,
    Step::JudgePlan,
    Step::TellInit,
    Step::GoBack,
    Step::Results,
    Step::EndChanges,
    Step::Hangup,
    Step::StoreSchedule,
    Step::Quit,
    Step::Acknowledge,
    Step::Alerts,
    Step::Prepare,
    Step::Reexec,
];

impl Control {
    /// After every input.
    pub(super) fn settle(&mut self) {
        let mut touched = BTreeSet::new();
        for step in STEPS {
            self.settle_step(step, &mut touched);
        }
    }

    fn settle_step(&mut self, step: Step, touched: &mut BTreeSet<ServiceId>) {
        let any = !touched.is_empty();
        match step {
            Step::AddressWaits => self.end_address_waits(),
            Step::Listening => self.monitors.listening.watch(&mut self.cx),
            Step::DirectoryWaits => self.end_directory_waits(),
            Step::ExitWhenFailed => self.end_if_one_failed(),
            Step::Touched => {
                *touched = self.cx.take_touched();
                if !touched.is_empty() {
                    self.sort_touched(touched);
                }
            }
            Step::StoreHolds => self.holds.store(&mut self.cx),
            Step::StoreRecords => self.audit.write(&mut self.cx),
            Step::StoreExits => self.exits.write(&mut self.cx),
            Step::StoreRunning => self.running.store(&mut self.cx),
            Step::StoreStatusFiles => {
                let maintenance = self.maintenance.situation();
                let maintenance = maintenance.as_ref();
                self.status_files
                    .write(&mut self.cx, &self.work, maintenance);
            }
            Step::StoreMaintenance => self.maintenance.store(&mut self.cx, &self.status_files),
            Step::ReleaseChanges => self.release_operations(),
            Step::Outcomes if any => self.note_outcomes(touched),
            Step::Trouble if any => self.look_for_trouble(touched),
            Step::AdvanceChanges if any => self.advance_operations(touched),
            Step::JudgePlan if any => self.judge_plan(touched),
            Step::TellInit if any => self.tell_init(),
            Step::Outcomes
            | Step::Trouble
            | Step::AdvanceChanges
            | Step::JudgePlan
            | Step::TellInit => {}
            Step::GoBack => self.go_back_if_due(),
            Step::Results => self.look_for_results(),
            Step::EndChanges => self.end_operations(),
            Step::Hangup => self.hangup_after_leases(),
            Step::StoreSchedule => self.schedule.store(&mut self.cx),
            Step::Quit => self.quit_when_stored(),
            Step::Acknowledge => self.cx.acknowledge(),
            Step::Alerts => self.alerts.tell_queued(&mut self.cx),
            Step::Prepare => {
                let plan_rests = self.reconfigure.is_idle();
                self.starts.ask(&mut self.cx, plan_rests);
            }
            Step::Reexec => self.hand_over_when_quiet(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first comes before the second, and why.
    const RULES: [(Step, Step, &str); 17] = [
        (
            Step::DirectoryWaits,
            Step::Touched,
            "a start that goes on is a service touched",
        ),
        (
            Step::ExitWhenFailed,
            Step::Touched,
            "a shutdown touches every service",
        ),
        (
            Step::Touched,
            Step::StoreHolds,
            "holds are noted when the services are sorted",
        ),
        (
            Step::StoreHolds,
            Step::ReleaseChanges,
            "who stopped a service hears it when the write is asked for",
        ),
        (
            Step::StoreRecords,
            Step::ReleaseChanges,
            "a change is in the history before its client hears of it",
        ),
        (
            Step::StoreStatusFiles,
            Step::StoreMaintenance,
            "maintenance is seen once the status files say so",
        ),
        (
            Step::ReleaseChanges,
            Step::AdvanceChanges,
            "a client hears that its change is accepted before how it goes",
        ),
        (
            Step::AdvanceChanges,
            Step::EndChanges,
            "a verdict comes before it is told",
        ),
        (
            Step::JudgePlan,
            Step::GoBack,
            "a plan is gone back from once it has failed",
        ),
        (
            Step::JudgePlan,
            Step::TellInit,
            "the init hears of services under the plan that stays",
        ),
        (
            Step::GoBack,
            Step::EndChanges,
            "a reconfiguration that goes back has not ended",
        ),
        (
            Step::Results,
            Step::EndChanges,
            "a job has ended once its result is read",
        ),
        (
            Step::StoreSchedule,
            Step::Quit,
            "the daemon ends once all is on the disk",
        ),
        (
            Step::StoreExits,
            Step::Acknowledge,
            "what rests on a fact is with the keeper before the fact may go",
        ),
        (
            Step::Quit,
            Step::Acknowledge,
            "a keeper that quits has had every answer",
        ),
        (
            Step::Acknowledge,
            Step::Reexec,
            "the next control process gets no fact a second time",
        ),
        (
            Step::Prepare,
            Step::Reexec,
            "nothing may be asked after the next control process",
        ),
    ];

    #[test]
    fn the_order_of_what_follows_an_input_keeps_its_rules() {
        let place = |step: Step| STEPS.iter().position(|it| *it == step);
        for (first, second, why) in RULES {
            assert!(
                place(first) < place(second),
                "{first:?} comes before {second:?}: {why}"
            );
        }
        for step in STEPS {
            let times = STEPS.iter().filter(|it| **it == step).count();
            assert_eq!(times, 1, "{step:?}");
        }
        assert_eq!(STEPS.last(), Some(&Step::Reexec), "nothing may follow it");
    }
}
