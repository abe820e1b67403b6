//! Two hosts on one machine: network namespaces with a cable between them.
//!
//! Each host has a name, an address, and its own `/etc/hosts` that lists both hosts. Dropping the
//! [`Network`], also by a panic, removes the hosts once nothing runs in them any more: drop the
//! network after the sites that live in it. Nothing else of the machine is touched. Needs root.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::NamedTempFile;

use crate::{ctl::run, programs::Missing};

/// Number of the next network, part of its names: networks of one process do not collide.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A host: a network namespace with an address.
pub struct Namespace {
    name: String,
    address: &'static str,
    hosts: PathBuf,
}

/// Two hosts and the cable between them.
pub struct Network {
    hosts: [Namespace; 2],
    _hosts_file: NamedTempFile,
}

impl Network {
    /// Two hosts by these names, each listed in the other's `/etc/hosts`.
    pub fn new(names: [&str; 2]) -> Result<Self, Missing> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Missing::new(
                "network namespaces need root: run the tests as root",
            ));
        }
        for program in ["ip", "nsenter", "unshare"] {
            if !["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
                .iter()
                .any(|directory| Path::new(directory).join(program).is_file())
            {
                return Err(Missing::new(format!(
                    "no program {program}: install the packages iproute2 and util-linux"
                )));
            }
        }
        let addresses = ["10.213.0.1", "10.213.0.2"];
        let hosts_file = hosts_file(&names, addresses);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let hosts = ["a", "b"].map(|side| Namespace {
            name: format!("mattervisor-{}-{number}-{side}", std::process::id()),
            address: addresses[usize::from(side == "b")],
            hosts: hosts_file.path().to_owned(),
        });
        // From here on Drop cleans up.
        let network = Self {
            hosts,
            _hosts_file: hosts_file,
        };
        for host in &network.hosts {
            let made = run(Command::new("ip").args(["netns", "add", &host.name]));
            if made.code != 0 {
                return Err(Missing::new(format!(
                    "network namespaces cannot be made here: {}",
                    made.stderr.trim()
                )));
            }
        }
        network.connect();
        Ok(network)
    }

    fn connect(&self) {
        let [a, b] = &self.hosts;
        let cable = format!(
            "-n {} link add wire type veth peer name wire netns {}",
            a.name, b.name
        );
        ip(&cable);
        for host in [a, b] {
            ip(&format!("-n {} link set lo up", host.name));
            ip(&format!(
                "-n {} address add {}/24 dev wire",
                host.name, host.address
            ));
            ip(&format!("-n {} link set wire up", host.name));
        }
    }

    /// The host that was named first.
    pub const fn first(&self) -> &Namespace {
        &self.hosts[0]
    }

    /// The host that was named second.
    pub const fn second(&self) -> &Namespace {
        &self.hosts[1]
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            if Path::new("/run/netns").join(&host.name).exists() {
                let gone = run(Command::new("ip").args(["netns", "delete", &host.name]));
                if gone.code != 0 {
                    eprintln!("cannot remove the namespace {}: {}", host.name, gone.stderr);
                }
            }
        }
    }
}

impl Namespace {
    /// The IPv4 address of the host.
    pub const fn address(&self) -> &str {
        self.address
    }

    /// The words that run a program on this host when put before its command. The program replaces
    /// their process, so the pid stays.
    pub(crate) fn enter(&self) -> Vec<OsString> {
        let net = format!("--net=/run/netns/{}", self.name);
        // A mount namespace of its own, in which /etc/hosts is this network's. As a slave, the
        // namespace still sees later mounts of the machine.
        let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let words = [
            "nsenter",
            &net,
            "unshare",
            "--mount",
            "--propagation",
            "slave",
            "sh",
            "-c",
            script,
        ];
        let words = words.iter().map(OsString::from);
        words.chain([self.hosts.clone().into()]).collect()
    }

    /// A program on this host, ready for arguments.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let words = self.enter();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program);
        command
    }

    /// The TCP ports with a listener, in order, each once.
    pub fn ports(&self) -> Vec<u16> {
        let said = run(self.command("ss").args(["-H", "-l", "-t", "-n"])).ok();
        let lines = said.stdout.lines();
        let locals = lines.filter_map(|line| line.split_whitespace().nth(3));
        let mut ports: Vec<u16> = locals
            .filter_map(|local| local.rsplit(':').next()?.parse().ok())
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

fn hosts_file(names: &[&str; 2], addresses: [&str; 2]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file can be made");
    let written = names
        .iter()
        .zip(addresses)
        .try_fold((), |(), (name, address)| writeln!(file, "{address} {name}"));
    written
        .and_then(|()| file.write_all(b"127.0.0.1 localhost\n::1 localhost\n"))
        .expect("a file can be written");
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).expect("it is ours");
    file
}

/// Runs `ip` with these words; `ip` must succeed.
fn ip(words: &str) {
    let _ = run(Command::new("ip").args(words.split(' '))).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(network: &Network) -> [PathBuf; 2] {
        [network.first(), network.second()].map(|host| Path::new("/run/netns").join(&host.name))
    }

    #[test]
    fn two_hosts_reach_each_other_and_nobody_else() {
        let network = crate::need!(Network::new(["one.example.com", "two.example.com"]));
        let mut getent = network.first().command("getent");
        let found = run(getent.args(["hosts", "two.example.com"])).ok();
        assert!(found.stdout.starts_with(network.second().address()));
        let mut routes = network.second().command("ip");
        let routes = run(routes.args(["route", "show", "default"])).ok();
        assert_eq!(routes.stdout, "", "no way out");
        assert_eq!(network.second().ports(), [0_u16; 0]);
    }

    #[test]
    fn a_network_is_gone_after_a_panic() {
        let network = crate::need!(Network::new(["one.example.com", "two.example.com"]));
        let files = names(&network);
        assert!(files.iter().all(|file| file.exists()));
        let panicked = std::thread::spawn(move || {
            let _network = network;
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert!(!files.iter().any(|file| file.exists()));
    }
}
