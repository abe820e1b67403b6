//! The services of a soak: what each service does, which client operates on it, and which processes
//! it leaves.

use std::time::Duration;

use crate::{binaries::binary, site::Site};

/// The size of a soak: services, clients and lines.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Services that nobody touches and that write lines.
    pub still: u32,
    /// Clients that operate on services.
    pub clients: u32,
    /// Services of each client; no other client touches these.
    pub operated: u32,
    /// Lines of one burst of a service.
    pub burst: u32,
    /// Pause between two bursts, in milliseconds.
    pub pause_ms: u32,
}

impl Scale {
    /// For tests on a busy machine.
    pub const SHORT: Self = Self {
        still: 2,
        clients: 2,
        operated: 2,
        burst: 5,
        pause_ms: 20,
    };
    /// For `./dev soak`: 27 or 28 services, some 25,000 lines a second.
    pub const LONG: Self = Self {
        still: 6,
        clients: 4,
        operated: 4,
        burst: 20,
        pause_ms: 20,
    };
}

/// The service that is stopped while the disk is full, and must stay held.
pub(super) const KEPT: &str = "kept";
/// The service that leaves processes which nobody can attribute without cgroups.
pub(super) const STRAY: &str = "stray";
/// Stop timeout of a service that ignores SIGTERM.
const STUBBORN: Duration = Duration::from_millis(300);
/// Stop timeout of a service that obeys SIGTERM: no stop ever takes that long.
pub(super) const OBEDIENT: Duration = Duration::from_secs(15);
/// Log files are rotated at this size.
const ROTATED_AT: &str = "512K";

/// Names of the services, by what may happen to them.
#[derive(Clone, Debug)]
pub(super) struct Services {
    /// Services that nobody touches: they keep their pids as long as the keeper lives.
    pub(super) untouched: Vec<String>,
    /// Services on which clients operate, by client.
    pub(super) operated: Vec<Vec<String>>,
    /// Whether one of the services leaves strays.
    pub(super) strays: bool,
    scale: Scale,
}

impl Services {
    /// Writes the service files of a site. Without cgroups, nothing tells whose a stray is: only
    /// then does a service leave strays.
    pub(super) fn write(site: &Site, scale: Scale, cgroups: bool) -> Self {
        let mut services = Self {
            untouched: Vec::new(),
            operated: Vec::new(),
            strays: !cgroups,
            scale,
        };
        for number in 0..scale.still {
            services.add_untouched(site, format!("still-{number}"), "", "");
        }
        let leaves = "leave=child,session,daemon,bare";
        // Without a cgroup, nothing tells whose a `bare` child is.
        let leaves = if cgroups {
            leaves
        } else {
            "leave=child,session,daemon"
        };
        services.add_untouched(site, "leaves".to_owned(), leaves, "");
        services.add_untouched(site, "lonely".to_owned(), "leave=daemon stubborn", "");
        let watchdog = r#"
            [watchdog]
            timeout = "2s"
            [ready]
            notify = true
        "#;
        services.add_untouched(site, "pings".to_owned(), "ping", watchdog);
        for client in 0..scale.clients {
            let names = (0..scale.operated).map(|number| format!("op-{client}-{number}"));
            let names: Vec<String> = names.collect();
            for (number, name) in names.iter().enumerate() {
                services.operated_file(site, name, "0", number);
            }
            services.operated.push(names);
        }
        services.file(site, KEPT, "", "");
        let crashes = r#"
            [restart]
            delay = "50ms"
            max_delay = "200ms"
        "#;
        services.file(site, "crashes", "crash-after=100 leave=child", crashes);
        if services.strays {
            services.file(site, STRAY, "leave=stray", "");
        }
        services
    }

    /// Every service.
    pub(super) fn all(&self) -> Vec<String> {
        let strays = self.strays.then(|| STRAY.to_owned());
        let others = [KEPT.to_owned(), "crashes".to_owned()];
        let named = self.untouched.iter().chain(self.operated.iter().flatten());
        named.cloned().chain(others).chain(strays).collect()
    }

    /// Services that stay up unless somebody has stopped them.
    pub(super) fn steady(&self) -> Vec<&str> {
        let named = self.untouched.iter().chain(self.operated.iter().flatten());
        named.map(String::as_str).chain([KEPT]).collect()
    }

    /// Writes the file of a client's service anew, with another mark in its environment.
    pub(super) fn mark(&self, site: &Site, name: &str, mark: &str) {
        let number = name.rsplit('-').next().and_then(|it| it.parse().ok());
        self.operated_file(site, name, mark, number.unwrap_or(0));
    }

    fn operated_file(&self, site: &Site, name: &str, mark: &str, number: usize) {
        let words = [
            "leave=daemon",
            "leave=child,session",
            "stubborn leave=daemon",
            "",
        ];
        let more = format!(
            r#"
                [restart]
                delay = "10ms"
                max_delay = "50ms"
                [env]
                SOAK_MARK = "{mark}"
            "#
        );
        self.file(site, name, words[number % words.len()], &more);
    }

    fn add_untouched(&mut self, site: &Site, name: String, words: &str, more: &str) {
        self.file(site, &name, words, more);
        self.untouched.push(name);
    }

    fn file(&self, site: &Site, name: &str, words: &str, more: &str) {
        let program = binary("soakchild").display().to_string();
        let is_stubborn = words.contains("stubborn");
        let timeout = if is_stubborn { STUBBORN } else { OBEDIENT };
        let timeout_ms = timeout.as_millis();
        let ours = [
            program,
            "main".to_owned(),
            format!("site={}", site.root().display()),
            format!("service={name}"),
            format!("burst={}", self.scale.burst),
            format!("pause={}", self.scale.pause_ms),
        ];
        let words = ours
            .into_iter()
            .chain(words.split_whitespace().map(str::to_owned));
        let words: Vec<String> = words
            .map(|it| serde_json::Value::from(it).to_string())
            .collect();
        let command = words.join(", ");
        let text = format!(
            r#"
                command = [{command}]
                [log]
                size = "{ROTATED_AT}"
                keep = 10000
                [stop]
                timeout = "{timeout_ms}ms"
                {more}
            "#
        );
        // Renamed into place: a reconfiguration by another client never reads half a file.
        let path = site.path(&format!("etc/mattervisor/services.d/{name}.toml"));
        let new = site.path(&format!("{name}.new"));
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path));
        written.expect("the root is ours");
    }
}
