//! Asks a [`Site`]: through `ctl`, its event stream and its log files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use api::StatusReply;

use crate::{
    binaries::binary,
    ctl::{self, Ctl},
    events::{Events, Next},
    files,
    netns::Namespace,
    site::Site,
    status::StatusExt,
    wait,
};

/// Longest pause between two looks at the status, should an event be lost.
const GLANCE: Duration = Duration::from_millis(250);

impl Site {
    /// A `ctl` for this root, ready for more arguments.
    pub fn ctl_command(&self) -> Command {
        let mut command = Command::new(binary("ctl"));
        command
            .arg("--root")
            .arg(self.root())
            .arg("--catalog")
            .arg(self.catalog());
        command.env("NO_COLOR", "1").env_remove("MATTERVISOR_ROOT");
        command
    }

    /// A `ctl` on a host of a network, for commands that do something there themselves.
    pub fn ctl_command_on(&self, host: &Namespace) -> Command {
        let here = self.ctl_command();
        let mut command = host.command(here.get_program());
        command.args(here.get_args());
        command.env("NO_COLOR", "1").env_remove("MATTERVISOR_ROOT");
        command
    }

    /// Runs `ctl` to its end.
    #[track_caller]
    pub fn ctl(&self, arguments: &[&str]) -> Ctl {
        ctl::run(self.ctl_command().args(arguments))
    }

    /// `ctl status --format json`.
    #[track_caller]
    pub fn status(&self) -> StatusReply {
        let answer = self.ctl(&["status", "--format", "json"]);
        // Exit code 3 says that a service is down; the answer is complete all the same.
        assert!(
            matches!(answer.code, 0 | 3),
            "ctl status failed: {answer:#?}\n{}",
            self.supervisor_log()
        );
        serde_json::from_str(&answer.stdout)
            .unwrap_or_else(|error| panic!("ctl status --format json: {error}: {}", answer.stdout))
    }

    /// Follows the events: the last `n`, and all later events.
    pub fn events(&self, n: u32) -> Events {
        let mut command = self.ctl_command();
        command.args([
            "events",
            "--follow",
            "--format",
            "json",
            "--lines",
            &n.to_string(),
        ]);
        Events::follow(&mut command)
    }

    /// Follows the events until the status is as wanted, for at most [`wait::LIMIT`].
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&StatusReply) -> bool) -> StatusReply {
        self.wait_for_within(wait::LIMIT, what, wanted)
    }

    /// Waits until `running.json` lists the running processes: the supervisor writes the file a
    /// moment after a run has begun or ended.
    #[track_caller]
    pub fn wait_until_stored(&self) {
        let path = self.path("var/lib/mattervisor/running.json");
        wait::eventually("what runs is stored", || {
            let stored = std::fs::read(&path).ok()?;
            let stored: BTreeMap<String, serde_json::Value> =
                serde_json::from_slice(&stored).ok()?;
            let stored = stored.values().map(|run| run["pid"].as_i64());
            let services = self.status().services.into_iter();
            let running = services.filter_map(|it| it.pid.map(i64::from));
            let running: BTreeSet<_> = running.map(Some).collect();
            (stored.collect::<BTreeSet<_>>() == running).then_some(())
        });
    }

    /// Follows the events until the status is as wanted.
    #[track_caller]
    pub fn wait_for_within(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&StatusReply) -> bool,
    ) -> StatusReply {
        let end = Instant::now() + limit;
        let mut events = self.events(0);
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{what}: not within {limit:?}: {:#?}\n{}",
                status.services,
                self.supervisor_log()
            );
            if matches!(events.next_within(left.min(GLANCE)), Next::End) {
                // The control process has been replaced.
                events = self.events(0);
            }
        }
    }

    /// Waits until a service is in a state.
    #[track_caller]
    pub fn wait_state(&self, name: &str, state: &str) -> StatusReply {
        self.wait_for(&format!("{name} is {state}"), |status| {
            status.state(name) == state
        })
    }

    /// Waits until a service runs and is ready, in another process than `pid`.
    #[track_caller]
    pub fn wait_reborn(&self, name: &str, pid: i32) -> StatusReply {
        self.wait_for(&format!("{name} runs again"), |status| {
            let service = status.service(name);
            service.ready && service.pid.is_some_and(|now| now != pid)
        })
    }

    /// The directory of a service's log.
    pub fn log_dir(&self, service: &str) -> PathBuf {
        self.path("var/log/mattervisor").join(service)
    }

    /// The lines in a service's current log file, without their stamps.
    pub fn log(&self, service: &str) -> Vec<String> {
        let lines = files::lines(&self.log_dir(service).join("current"));
        lines
            .iter()
            .map(|line| line.split_once(' ').map_or("", |(_, text)| text).to_owned())
            .collect()
    }

    /// Waits for a line in a service's current log file.
    #[track_caller]
    pub fn wait_log(&self, service: &str, wanted: impl Fn(&str) -> bool) -> String {
        let found = wait::within(wait::LIMIT, || {
            self.log(service).into_iter().find(|line| wanted(line))
        });
        found.unwrap_or_else(|| {
            panic!(
                "no such line in the log of {service}: {:#?}",
                self.log(service)
            )
        })
    }

    /// The last lines of the supervisor's own output.
    pub fn supervisor_log(&self) -> String {
        let lines = files::lines(&self.path("supervisor.log"));
        let last = lines.len().saturating_sub(60);
        format!("--- supervisor.log\n{}", lines[last..].join("\n"))
    }
}
