//! The steps that follow every input, in their order.
//!
//! Each step belongs to one component; this list owns only the order. An input changes services,
//! plans and promises; the steps first let waiting work go on, then take in the new state, then
//! report it. The order rests on `RULES`, each with its reason, which a test checks against
//! [`STEPS`].
//!
//! Limit: a step sees what the steps before it have done. A service that a later step touches is
//! looked at after the next input.

use std::collections::BTreeSet;

use engine::ServiceId;

use crate::control::Control;

/// One step, with its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Starts that wait for an address go on, or are given up.
    AddressWaits,
    /// Checks whether services listen where a plan has moved them.
    Listening,
    /// Starts that wait for a directory go on.
    DirectoryWaits,
    /// The daemon ends when a service that it may not go on without has failed.
    ExitWhenFailed,
    /// From here on the services touched by this input are known.
    Touched,
    /// Stores holds on the disk.
    StoreHolds,
    /// Stores lines of the history of operations.
    StoreRecords,
    /// Stores the ends of runs.
    StoreExits,
    /// Stores which main runs are alive.
    StoreRunning,
    /// Writes status files.
    StoreStatusFiles,
    /// Stores whether the host is in maintenance.
    StoreMaintenance,
    /// Clients hear that their changes are accepted.
    ReleaseChanges,
    /// Takes in how scheduled runs have ended.
    Outcomes,
    /// Alerts people to the trouble of services.
    Trouble,
    /// Judges changes whose services have settled.
    AdvanceOperations,
    /// Judges whether the current plan has proven itself or failed.
    JudgePlan,
    /// Tells the init the progress of the services.
    TellInit,
    /// A failed reconfiguration goes back.
    GoBack,
    /// Reads results of jobs that have ended.
    Results,
    /// Clients hear how their changes have ended.
    EndOperations,
    /// Handles a SIGHUP that came while a job kept services stopped.
    Hangup,
    /// Stores the moment up to which schedules are handled.
    StoreSchedule,
    /// The daemon ends once all is on the disk.
    Quit,
    /// The keeper may forget the facts that were taken in.
    Acknowledge,
    /// Sends the alerts that components have queued.
    Alerts,
    /// Prepares the starts, all of one input together.
    Prepare,
    /// Another control process takes over.
    Reexec,
}

/// All steps, in their order.
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
    Step::AdvanceOperations,
    Step::JudgePlan,
    Step::TellInit,
    Step::GoBack,
    Step::Results,
    Step::EndOperations,
    Step::Hangup,
    Step::StoreSchedule,
    Step::Quit,
    Step::Acknowledge,
    Step::Alerts,
    Step::Prepare,
    Step::Reexec,
];

impl Control {
    /// Runs all steps after an input.
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
            Step::AdvanceOperations if any => self.advance_operations(touched),
            Step::JudgePlan if any => self.judge_plan(touched),
            Step::TellInit if any => self.tell_init(),
            Step::Outcomes
            | Step::Trouble
            | Step::AdvanceOperations
            | Step::JudgePlan
            | Step::TellInit => {}
            Step::GoBack => self.go_back_if_due(),
            Step::Results => self.look_for_results(),
            Step::EndOperations => self.end_operations(),
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

    /// Pairs of steps that must come in this order, with the reason.
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
            Step::AdvanceOperations,
            "a client hears that its change is accepted before how it goes",
        ),
        (
            Step::AdvanceOperations,
            Step::EndOperations,
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
            Step::EndOperations,
            "a reconfiguration that goes back has not ended",
        ),
        (
            Step::Results,
            Step::EndOperations,
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
