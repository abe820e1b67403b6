//! Drives a real keeper in a process of its own, in the place of the control process.
//!
//! This one binary plays several roles. Without a role it runs the tests; with `keeper` as first
//! argument it is the keeper; with `control` a control process that hands its end of the link to
//! the test and then only lives; with `linger` or `wait` a program of a service. A keeper must
//! start before any other thread, so the binary has its own small test runner.
#![expect(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

#[path = "keeper/attributes.rs"]
mod attributes;
#[path = "keeper/catch_up.rs"]
mod catch_up;
#[path = "keeper/control.rs"]
mod control;
#[path = "keeper/daemon.rs"]
mod daemon;
#[path = "keeper/descriptors.rs"]
mod descriptors;
#[path = "keeper/frozen.rs"]
mod frozen;
#[path = "keeper/leftovers.rs"]
mod leftovers;
#[path = "keeper/liveness.rs"]
mod liveness;
#[path = "keeper/notify.rs"]
mod notify;
#[path = "keeper/process.rs"]
mod process;
#[path = "keeper/ready.rs"]
mod ready;
#[path = "keeper/reexec.rs"]
mod reexec;
#[path = "keeper/spawn.rs"]
mod spawn;
#[path = "keeper/stop.rs"]
mod stop;
#[path = "keeper/sweep.rs"]
mod sweep;

use std::{env, panic, process::ExitCode, thread};

type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("keeper") => return daemon::be_keeper(&arguments[1..]),
        Some("control") => return daemon::be_control(&arguments[1..]),
        Some("linger") => return descriptors::be_lingering(&arguments[1..]),
        Some("wait") => return descriptors::be_waiting(),
        _ => {}
    }
    let tests = [
        spawn::TESTS,
        attributes::TESTS,
        ready::TESTS,
        sweep::TESTS,
        control::TESTS,
        liveness::TESTS,
        catch_up::TESTS,
        leftovers::TESTS,
        stop::TESTS,
        reexec::TESTS,
        notify::TESTS,
        descriptors::TESTS,
    ]
    .concat();
    let has = |option: &str| arguments.iter().any(|one| one == option);
    if has("--list") {
        // No test is ignored.
        for (name, _) in tests.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let words: Vec<_> = arguments
        .iter()
        .filter(|one| !one.starts_with('-'))
        .collect();
    let exact = has("--exact");
    let fits = |name: &str, word: &str| {
        if exact {
            name == word
        } else {
            name.contains(word)
        }
    };
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| fits(name, word));
    let chosen: Vec<Test> = tests.into_iter().filter(|(name, _)| wanted(name)).collect();
    let running: Vec<_> = chosen
        .into_iter()
        .map(|(name, test)| {
            let thread = thread::Builder::new().name(name.to_owned());
            (
                name,
                thread.spawn(move || panic::catch_unwind(test)).unwrap(),
            )
        })
        .collect();
    let (mut failed, count) = (0, running.len());
    for (name, test) in running {
        let passed = matches!(test.join(), Ok(Ok(())));
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    let verdict = if failed > 0 { "FAILED" } else { "ok" };
    println!(
        "test result: {verdict}. {} passed; {failed} failed",
        count - failed
    );
    ExitCode::from(u8::from(failed > 0))
}
