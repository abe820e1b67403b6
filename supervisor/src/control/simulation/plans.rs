//! Plans drawn from the dice. Services are `s0`, `s1`, …; each depends only on lower numbers, so
//! that no plan has a loop, also after many changes.

use std::collections::BTreeSet;

use plan::{Ask, MaintenanceConfirm, OnChange, Paths, Plan, Probe, Reload, ReloadHow, StatusFile};

use crate::control::simulation::{
    dice::Dice,
    services::{command, files, job, new_edition, probe, ready, service, stop},
};

/// Services of a plan, besides its jobs.
const SERVICES_MAX: u64 = 7;
/// Numbers of jobs.
pub(super) const JOBS: [u64; 2] = [7, 8];

/// The number of a service.
pub(super) fn number(name: &str) -> u64 {
    name[1..].parse().unwrap()
}

/// Which edition of its command a process runs.
pub(super) fn edition(argv: &[String]) -> &str {
    &argv[1]
}

pub(super) fn paths() -> Paths {
    // Nothing is ever there.
    Paths {
        root: "/nonexistent".into(),
        etc_dir: "/nonexistent/etc".into(),
        state_dir: "/nonexistent/state".into(),
        log_dir: "/nonexistent/log".into(),
        run_dir: "/nonexistent/run".into(),
        catalog_dir: "/nonexistent/catalog".into(),
    }
}

/// A new plan.
pub(super) fn draw(dice: &mut Dice) -> Plan {
    let mut plan = Plan::empty(paths());
    for number in 0..dice.between(2, SERVICES_MAX) {
        let service = service(dice, number);
        plan.services
            .insert(service.name.clone(), Box::new(service));
    }
    for number in JOBS {
        let job = job(dice, number);
        plan.services.insert(job.name.clone(), Box::new(job));
    }
    tidy(&mut plan);
    plan
}

/// The plan after somebody has edited the files.
pub(super) fn edit(dice: &mut Dice, plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for _ in 0..dice.between(1, 3) {
        let number = dice.below(SERVICES_MAX);
        let name = format!("s{number}");
        let Some(old) = plan.services.get_mut(&name) else {
            plan.services.insert(name, Box::new(service(dice, number)));
            continue;
        };
        match dice.below(8) {
            0 => drop(plan.services.remove(&name)),
            1 => old.enabled = !old.enabled,
            2 => old.command[1] = new_edition(dice),
            3 => old.files = files(dice, &name),
            4 => old.stop = stop(dice),
            5 => old.ready = ready(dice),
            6 => **old = service(dice, number),
            _ => {
                let new = service(dice, number);
                old.requires = new.requires;
                old.binds_to = new.binds_to;
                old.reload = new.reload;
                old.liveness = new.liveness;
                old.restart = new.restart;
            }
        }
    }
    tidy(&mut plan);
    plan
}

/// The plan with status files of some services, and some that tell users of maintenance.
pub(super) fn maintained(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for (name, service) in &mut plan.services {
        match number(name) % 3 {
            0 => service.status_files = vec![status_file(name)],
            1 if !service.job && !service.oneshot => {
                let probe = Probe {
                    ask: Ask::Tcp("nowhere:1".to_owned()),
                    delay_ms: 0,
                    interval_ms: 250,
                    timeout_ms: 2_000,
                    failures: 1,
                    successes: 1,
                };
                service.maintenance = Some(MaintenanceConfirm {
                    probe,
                    timeout_ms: 5_000,
                });
            }
            _ => {}
        }
    }
    plan
}

/// A status file whose template is never rendered.
fn status_file(name: &str) -> StatusFile {
    let stored = serde_json::json!({
        "path": format!("/nonexistent/{name}.status"), "escape": "none", "template": [], "values": null,
    });
    serde_json::from_value(stored).unwrap()
}

/// The plan with something to reload in most services.
pub(super) fn reloadable(dice: &mut Dice, plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for (name, service) in &mut plan.services {
        if service.oneshot || dice.percent(20) {
            continue;
        }
        service.reload = Some(Reload {
            how: ReloadHow::Command(command("reload")),
            timeout_ms: dice.between(8_000, 30_000),
            confirm: dice.percent(30).then(|| probe(dice)),
        });
        while service.files.is_empty() {
            service.files = files(dice, name);
        }
        service.files[0].on_change = OnChange::Reload;
    }
    plan
}

/// The plan after somebody has edited what goes into files, and now and then more.
pub(super) fn rewrite(dice: &mut Dice, plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for service in plan.services.values_mut() {
        if dice.percent(5) {
            service.command[1] = new_edition(dice);
        }
        for file in &mut service.files {
            if dice.percent(50) {
                file.content = new_edition(dice);
            }
        }
    }
    plan
}

/// The plan without services that can never run.
pub(super) fn mend(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for service in plan.services.values_mut() {
        service.broken = None;
        service.listens.clear();
    }
    plan
}

/// Dependencies name only enabled services, as a real plan sees to.
fn tidy(plan: &mut Plan) {
    let enabled = plan.services.values().filter(|service| service.enabled);
    let enabled: BTreeSet<String> = enabled.map(|service| service.name.clone()).collect();
    for service in plan.services.values_mut() {
        let edges = [
            &mut service.requires,
            &mut service.wants,
            &mut service.binds_to,
            &mut service.after,
        ];
        for edge in edges {
            edge.retain(|on| enabled.contains(on));
        }
    }
}
