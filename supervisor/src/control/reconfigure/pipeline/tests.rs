//! The stages of a reconfigure. Invariant: a plan is applied only once it is in place, and a dry
//! run leaves nothing behind.

use std::collections::BTreeMap;

use api::Progress;
use plan::PlanImpact;
use tokio::sync::mpsc;

use super::*;
use crate::{
    accounts::Accounts,
    control::{
        Output, Task,
        fixture::Fixture,
        holds::Holds,
        reconfigure::{
            impact::known::Known, last_word::LastWord, request::ReconfigureRequest,
            stage::StagedPlan,
        },
        runs::starts::Starts,
        state_warnings::StateWarnings,
    },
    load_plan::{Loaded, NotLoaded},
    plan_store::Swapped,
    staging::Staged,
};

const SERVICES: [(&str, &str); 1] = [("web", "command = ['/bin/web']\n")];

/// An attempt to apply a plan that changes `web`.
struct Begun {
    fixture: Fixture,
    reconfigure: Reconfigure,
    operations: Operations,
    client: Option<mpsc::Receiver<Progress>>,
}

impl Begun {
    fn new(dry_run: bool) -> Self {
        let mut fixture = Fixture::new(&SERVICES);
        let mut reconfigure = Reconfigure::default();
        let mut request = ReconfigureRequest::of(&fixture.cx, "root");
        let mut client = None;
        if dry_run {
            let (sender, receiver) = mpsc::channel(8);
            (request.preview, client) = (Some(sender), Some(receiver));
        }
        reconfigure.start(&mut fixture.cx, request);
        Self {
            fixture,
            reconfigure,
            operations: Operations::default(),
            client,
        }
    }

    /// The job requested since the last call; each step requests one job.
    fn job(&mut self) -> Task {
        let outputs = std::iter::from_fn(|| self.fixture.cx.poll_output());
        let mut jobs = outputs.filter_map(|it| match it {
            Output::Task(job) => Some(job),
            _ => None,
        });
        let job = jobs.next().expect("a step asks for a job");
        assert!(jobs.next().is_none(), "one at a time");
        job
    }

    fn load(&mut self) -> AttemptStep {
        assert!(matches!(self.job(), Task::Load(_)));
        let plan = self.fixture.changed(|plan| {
            let web = plan.services.get_mut("web").unwrap();
            let mut changed = plan::Service::clone(web);
            changed.nice = Some(5);
            *web = changed.into();
        });
        let loaded = Loaded {
            plan: Box::new(plan),
            put_back: Vec::new(),
            kept: None,
            rejected: None,
            mark: None,
        };
        let mut warnings = StateWarnings::default();
        let cx = &mut self.fixture.cx;
        self.reconfigure.on_loaded(cx, &mut warnings, Ok(loaded))
    }

    fn accounts(&mut self, accounts: Accounts) -> AttemptStep {
        assert!(matches!(self.job(), Task::MissingAccounts { .. }));
        let (cx, operations) = (&mut self.fixture.cx, &mut self.operations);
        self.reconfigure
            .on_missing_accounts(cx, operations, accounts)
    }

    fn staged(&mut self) -> AttemptStep {
        assert!(matches!(self.job(), Task::Stage { .. }));
        let (cx, operations) = (&mut self.fixture.cx, &mut self.operations);
        self.reconfigure
            .on_staged(cx, operations, Staged::default())
    }

    fn weigh(&mut self, staged: StagedPlan) -> AttemptStep {
        let (holds, starts) = (Holds::new("", BTreeMap::new()), Starts::default());
        let known = Known {
            holds: &holds,
            starts: &starts,
        };
        self.reconfigure.weigh(&mut self.fixture.cx, &known, staged)
    }

    /// An attempt that has reached the decision about its plan.
    fn checked(dry_run: bool) -> (Self, StagedPlan) {
        let mut begun = Self::new(dry_run);
        assert!(matches!(begun.load(), AttemptStep::Wait));
        assert!(matches!(
            begun.accounts(Accounts::default()),
            AttemptStep::Wait
        ));
        let AttemptStep::Weigh(staged) = begun.staged() else {
            panic!("no candidate is to be checked");
        };
        (begun, staged)
    }
}

#[test]
fn a_plan_is_applied_once_it_is_in_place_and_not_before() {
    let (mut begun, staged) = Begun::checked(false);
    assert!(matches!(begun.weigh(staged), AttemptStep::Wait));
    assert!(matches!(begun.job(), Task::Swap(_)));
    assert!(begun.reconfigure.probation.is_swapping());
    let swapped = Ok(Swapped::default());
    let next = begun.reconfigure.on_swapped(&mut begun.fixture.cx, swapped);
    assert!(matches!(next, AttemptStep::Apply(_, Some(_))), "{next:?}");
}

#[test]
fn a_plan_that_cannot_be_put_in_place_changes_nothing() {
    let (mut begun, staged) = Begun::checked(false);
    assert!(matches!(begun.weigh(staged), AttemptStep::Wait));
    let failed = Err("the disk is full".to_owned());
    let next = begun.reconfigure.on_swapped(&mut begun.fixture.cx, failed);
    let AttemptStep::Say(LastWord::Refused(error)) = next else {
        panic!("{next:?}");
    };
    assert!(error.message.ends_with("the disk is full"), "{error:?}");
    assert!(!begun.reconfigure.probation.is_swapping());
}

#[test]
fn a_dry_run_turns_back_before_the_swap_and_leaves_nothing_behind() {
    let (mut begun, staged) = Begun::checked(true);
    assert!(matches!(begun.weigh(staged), AttemptStep::Wait));
    assert!(matches!(begun.job(), Task::Discard { .. }));
    let next = begun.reconfigure.on_discarded(&mut begun.fixture.cx);
    let AttemptStep::Say(last) = next else {
        panic!("{next:?}");
    };
    let (cx, operations) = (&mut begun.fixture.cx, &mut begun.operations);
    let mut audit = crate::control::operations::audit::AuditLog::default();
    let next = begun.reconfigure.say_last(cx, operations, &mut audit, last);
    assert!(matches!(next, AttemptStep::Ended), "{next:?}");
    begun.fixture.cx.release_answers();
    while let Some(output) = begun.fixture.cx.poll_output() {
        if let Output::Answer(answer) = output {
            answer.send();
        }
    }
    let mut client = begun.client.unwrap();
    let Progress::Preview(preview) = client.try_recv().unwrap() else {
        panic!("it says what it would do");
    };
    assert_eq!(preview.services[0].action, PlanImpact::Restart);
}

#[test]
fn an_account_that_clashes_refuses_the_plan() {
    let mut begun = Begun::new(false);
    assert!(matches!(begun.load(), AttemptStep::Wait));
    let clash = ("web".to_owned(), "user web has another uid".to_owned());
    let next = begun.accounts(Accounts {
        commands: Vec::new(),
        clashes: [clash].into(),
    });
    assert!(
        matches!(next, AttemptStep::Say(LastWord::Refused(_))),
        "{next:?}"
    );
}

#[test]
fn files_that_do_not_check_are_refused() {
    let mut begun = Begun::new(false);
    begun.job();
    let problems = Err(NotLoaded::Problems(Vec::new()));
    let mut warnings = StateWarnings::default();
    let cx = &mut begun.fixture.cx;
    let next = begun.reconfigure.on_loaded(cx, &mut warnings, problems);
    assert!(
        matches!(next, AttemptStep::Say(LastWord::Refused(_))),
        "{next:?}"
    );
}

#[test]
fn a_result_that_belongs_to_no_stage_is_dropped() {
    let mut begun = Begun::new(false);
    begun.job();
    let cx = &mut begun.fixture.cx;
    let late = [
        begun.reconfigure.on_swapped(cx, Ok(Swapped::default())),
        begun.reconfigure.on_put_back(cx),
        begun.reconfigure.on_discarded(cx),
        begun
            .reconfigure
            .on_missing_accounts(cx, &mut begun.operations, Accounts::default()),
        begun
            .reconfigure
            .on_staged(cx, &mut begun.operations, Staged::default()),
        begun
            .reconfigure
            .step_ended(cx, &mut begun.operations, RunId(1), Ok(())),
    ];
    assert!(
        late.iter().all(|it| matches!(it, AttemptStep::Wait)),
        "{late:?}"
    );
    assert!(cx.poll_output().is_none());
    assert!(!begun.reconfigure.is_idle(), "it waits for its plan still");
}
