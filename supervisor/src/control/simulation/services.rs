//! Random services for a simulation.

use std::{collections::BTreeSet, net::TcpListener, path::PathBuf, sync::LazyLock};

use plan::{
    Ask, Credential, Escalation, Log, OnChange, Policy, Probe, Ready, ReadyKind, Reload, ReloadHow,
    RenderedFile, Restart, Service, Stop, Watchdog, WatchdogAction,
};

use crate::control::simulation::dice::Dice;

/// An address that somebody else holds for as long as the tests run.
#[expect(clippy::disallowed_methods, reason = "a literal address")]
static TAKEN: LazyLock<(TcpListener, String)> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
});

pub(super) fn edges(dice: &mut Dice, number: u64, percent: u64) -> BTreeSet<String> {
    let lower = (0..number).filter(|_| dice.percent(percent));
    lower.map(|on| format!("s{on}")).collect()
}

/// A directory that other services may have as well.
fn directories(dice: &mut Dice) -> Vec<plan::Directory> {
    let shared = plan::Directory {
        path: "/simulated/shared".into(),
        mode: 0o755,
        user: None,
        group: None,
        recursive: true,
    };
    dice.percent(20).then_some(shared).into_iter().collect()
}

pub(super) fn service(dice: &mut Dice, number: u64) -> Service {
    let name = format!("s{number}");
    let oneshot = dice.percent(20);
    let kind = if oneshot { "oneshot" } else { "daemon" };
    let optional = |yes: bool, program: &str| if yes { command(program) } else { Vec::new() };
    Service {
        enabled: dice.percent(92),
        broken: dice
            .percent(3)
            .then(|| "its program was not found".to_owned()),
        oneshot,
        directories: directories(dice),
        command: vec![
            format!("/simulated/{name}"),
            new_edition(dice),
            kind.to_owned(),
        ],
        validate: optional(dice.percent(25), "validate"),
        credentials: credentials(dice),
        working_dir: "/".into(),
        umask: 0o022,
        requires: edges(dice, number, 30),
        wants: edges(dice, number, 15),
        binds_to: edges(dice, number, 10),
        after: edges(dice, number, 10),
        listens: dice
            .percent(3)
            .then(|| TAKEN.1.clone())
            .into_iter()
            .collect(),
        ready: ready(dice),
        watchdog: watchdog(dice),
        liveness: dice.percent(20).then(|| probe(dice)),
        health: dice.percent(20).then(|| probe(dice)),
        restart: restart(dice),
        exit_when_failed: dice.percent(2),
        stop: stop(dice),
        reload: reload(dice),
        log: Log {
            size_bytes: 1 << 20,
            keep: 1,
            ..Log::default()
        },
        files: files(dice, &name),
        name,
        ..Service::default()
    }
}

/// A job, requested now and then. A job cannot require a service that it may have stopped.
pub(super) fn job(dice: &mut Dice, number: u64) -> Service {
    Service {
        enabled: true,
        broken: None,
        oneshot: true,
        job: true,
        exit_when_failed: false,
        listens: Vec::new(),
        requires: edges(dice, 2, 20),
        binds_to: BTreeSet::new(),
        restart: Restart {
            policy: Policy::OnFailure,
            prevent_codes: [1].into(),
            limit: Some((5, u64::MAX / 2)),
            ..restart(dice)
        },
        command: vec![
            format!("/simulated/s{number}"),
            new_edition(dice),
            "oneshot".to_owned(),
        ],
        ..service(dice, number)
    }
}

pub(super) fn command(program: &str) -> Vec<String> {
    vec![format!("/simulated/{program}")]
}

pub(super) fn stop(dice: &mut Dice) -> Stop {
    let timeout_ms = dice.between(50, 9_000);
    let escalation = dice.percent(40).then(|| Escalation {
        signal: dice.pick(&[15, 2]),
        after_ms: dice.between(10, timeout_ms - 1),
    });
    Stop {
        signal: dice.pick(&[15, 2, 3]),
        escalation,
        timeout_ms,
    }
}

pub(super) fn reload(dice: &mut Dice) -> Option<Reload> {
    let how = match dice.below(3) {
        0 => return None,
        1 => ReloadHow::Signal(1),
        _ => ReloadHow::Command(command("reload")),
    };
    Some(Reload {
        how,
        timeout_ms: dice.between(8_000, 30_000),
        confirm: dice.percent(30).then(|| probe(dice)),
    })
}

pub(super) fn ready(dice: &mut Dice) -> Ready {
    Ready {
        kind: match dice.below(6) {
            0 => ReadyKind::Exec,
            1 => ReadyKind::Notify,
            2 => ReadyKind::Fd(3),
            3 => ReadyKind::Log(dice.pick(&["ready", "listening"]).to_owned()),
            4 => ReadyKind::Delay(dice.between(0, 3_000)),
            _ => ReadyKind::Probe(probe(dice)),
        },
        timeout_ms: dice.percent(60).then(|| dice.between(8_000, 30_000)),
    }
}

fn watchdog(dice: &mut Dice) -> Option<Watchdog> {
    dice.percent(20).then(|| Watchdog {
        timeout_ms: dice.between(5_000, 30_000),
        action: dice.pick(&[WatchdogAction::Restart, WatchdogAction::Degrade]),
        signal: 6,
    })
}

pub(super) fn probe(dice: &mut Dice) -> Probe {
    Probe {
        ask: if dice.percent(50) {
            Ask::Tcp("nowhere:1".to_owned())
        } else {
            Ask::Exec(vec!["/simulated/probe".to_owned()])
        },
        delay_ms: dice.pick(&[0, 500]),
        interval_ms: dice.between(500, 3_000),
        timeout_ms: dice.between(500, 3_000),
        failures: u32::try_from(dice.between(1, 3)).unwrap(),
        successes: u32::try_from(dice.between(1, 2)).unwrap(),
    }
}

fn restart(dice: &mut Dice) -> Restart {
    Restart {
        prevent_codes: BTreeSet::new(),
        prevent_signals: BTreeSet::new(),
        policy: dice.pick(&[
            Policy::Always,
            Policy::Always,
            Policy::UnlessStopped,
            Policy::OnFailure,
            Policy::Never,
        ]),
        success_codes: BTreeSet::new(),
        success_signals: BTreeSet::from([15]),
        delay_ms: dice.between(1, 1_000),
        factor_milli: 2_000,
        max_delay_ms: 30_000,
        jitter_milli: 100,
        reset_after_ms: dice.pick(&[10_000, 60_000]),
        limit: dice.percent(15).then_some((5, 60_000)),
    }
}

fn credentials(dice: &mut Dice) -> Vec<Credential> {
    let one = || Credential {
        source: "/simulated/key".into(),
        path: "/nonexistent/key".into(),
        make: Vec::new(),
    };
    dice.percent(15).then(one).into_iter().collect()
}

pub(super) fn files(dice: &mut Dice, service: &str) -> Vec<RenderedFile> {
    if dice.percent(60) {
        return Vec::new();
    }
    let path = PathBuf::from(format!("/nonexistent/{service}.conf"));
    let file = RenderedFile {
        content: new_edition(dice),
        mode: 0o644,
        user: None,
        group: None,
        validate: if dice.percent(50) {
            vec!["/simulated/check".to_owned()]
        } else {
            Vec::new()
        },
        candidate: path.with_extension("candidate"),
        path,
        on_change: dice.pick(&[OnChange::Reload, OnChange::Restart, OnChange::Nothing]),
        create_only: false,
        secret: false,
        private: std::collections::BTreeSet::new(),
    };
    vec![file]
}

pub(super) fn new_edition(dice: &mut Dice) -> String {
    format!("e{}", dice.below(1_000_000))
}
