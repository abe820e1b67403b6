//! When a reconfigure goes back to the previous configuration after a failed reload.

use api::{ActionResult, ServiceState, Verdict};

use super::*;
use crate::{
    control::{fixture::Fixture, operations::Operations, reconfigure::Reconfigure},
    plan_store::AppliedBy,
};

const OPERATION: &str = "operation 1";
const SERVICES: [(&str, &str); 2] = [
    ("db", "command = ['/bin/db']\n[reload]\nsignal = 'HUP'\n"),
    ("web", "command = ['/bin/web']\n[reload]\nsignal = 'HUP'\n"),
];

/// A plan that changes `web`.
fn other(fixture: &Fixture) -> Plan {
    fixture.changed(|plan| {
        let web = plan.services.get_mut("web").unwrap();
        let mut changed = plan::Service::clone(web);
        changed.nice = Some(5);
        *web = changed.into();
    })
}

fn running(fixture: &Fixture) -> Kept {
    Kept {
        mark: AppliedBy::default(),
        not_up: Vec::new(),
        plan: Plan::clone(&fixture.cx.plan),
    }
}

/// The targets of reloaded services.
fn reloaded(fixture: &Fixture, names: &[&str]) -> BTreeMap<ServiceId, Target> {
    let target = |name: &&str| {
        let mut target = Target::default();
        target.reloads();
        (fixture.id(name), target)
    };
    names.iter().map(target).collect()
}

fn of(fixture: &Fixture, plan: &Plan, names: &[&str]) -> Option<WayBack> {
    let targets = reloaded(fixture, names);
    let before = running(fixture);
    WayBack::of(&fixture.cx, OPERATION.to_owned(), plan, &targets, before)
}

#[test]
fn there_is_a_way_back_where_a_service_is_reloaded_with_something_else() {
    let fixture = Fixture::new(&SERVICES);
    let plan = other(&fixture);
    let way_back = of(&fixture, &plan, &["db", "web"]).unwrap();
    assert_eq!(way_back.reloaded, [fixture.id("web")].into());
    // The plan changes nothing of `db`: its reload repeats the last one with the same
    // configuration, so there is nothing to go back to.
    assert!(of(&fixture, &plan, &["db"]).is_none());
    // A restart takes the new configuration.
    let restarted = [(fixture.id("web"), Target::default())].into();
    let before = running(&fixture);
    let id = OPERATION.to_owned();
    assert!(WayBack::of(&fixture.cx, id, &plan, &restarted, before).is_none());
}

#[test]
fn it_is_due_once_a_service_has_not_taken_what_the_plan_changed() {
    let fixture = Fixture::new(&SERVICES);
    let plan = other(&fixture);
    let way_back = of(&fixture, &plan, &["db", "web"]).unwrap();
    let ended = |name: &str, verdict| {
        let result = ActionResult {
            service: name.to_owned(),
            verdict,
            state: Some(ServiceState::Running),
            pid: None,
            seconds: 0,
            state_in_full: None,
            detail: String::new(),
        };
        (fixture.id(name), Target::ended(result))
    };
    let well = [ended("web", Verdict::Done), ended("db", Verdict::Failed)];
    assert!(!way_back.is_due(&well.into()), "nothing changed for db");
    let badly = [ended("web", Verdict::Failed), ended("db", Verdict::Done)];
    assert!(way_back.is_due(&badly.into()));
}

#[test]
fn it_is_forgotten_with_its_operation() {
    let mut fixture = Fixture::new(&SERVICES);
    let plan = other(&fixture);
    let mut reconfigure = Reconfigure {
        way_back: of(&fixture, &plan, &["web"]),
        ..Reconfigure::default()
    };
    let failed = reloaded(&fixture, &["web"]);
    let none = reconfigure.way_back_of(&fixture.cx, false, OPERATION, &failed);
    assert!(none.is_none(), "not all has settled");
    let mut operations = Operations::default();
    reconfigure.go_back_if_due(&mut fixture.cx, &mut operations, false);
    assert!(reconfigure.way_back.is_none(), "nobody knows the operation");
}
