//! Where services listen, looked at: before a change, whether the addresses that are new for them
//! can be had; after it, whether their own processes have them.
//!
//! Whose a socket is: of a service, when one of the processes of its cgroup or tree (`usage`) has
//! it open. What runs in a network namespace of its own is looked at there, and only after a
//! change. A host name other than `localhost` is not looked up here: before a change it is left to
//! the start, after it any address with its port counts.
//!
//! Blocks on `/proc`: not for the control thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
};

use engine::RunId;
use serde::{Deserialize, Serialize};

use crate::{
    port_owner,
    prepare::Address,
    sockets::{self, Listener},
    usage::{self, Target},
};

/// An address that a service is to have.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The service that wants the address.
    pub(crate) service: String,
    /// The address as the service file has it.
    pub(crate) address: String,
}

/// An address that somebody has.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// The service that wants the address.
    pub(crate) service: String,
    /// The address as the service file has it.
    pub(crate) address: String,
    /// The service of ours that has it; none: a stranger, or nobody who can be seen.
    pub(crate) by: Option<String>,
    /// The process that has the address cannot be seen from here.
    pub(crate) unseen: bool,
    /// `127.0.0.1:8065 is in use by nginx (pid 12)`.
    pub(crate) reason: String,
}

/// Addresses that are not free, each with its holder.
pub(crate) fn taken(wanted: &[Wanted], running: &[Target], keeper: i32) -> Vec<Taken> {
    let elsewhere = running.iter().filter(|it| proc::has_own_network(it.pid));
    let elsewhere: BTreeSet<&str> = elsewhere.map(|it| it.name.as_str()).collect();
    let here = wanted
        .iter()
        .filter(|it| !elsewhere.contains(it.service.as_str()));
    let in_use = |it: &&Wanted| literal(&it.address).is_some_and(|at| sockets::in_use(&[at]));
    let in_use: Vec<&Wanted> = here.filter(in_use).collect();
    if in_use.is_empty() {
        return Vec::new();
    }
    let processes = usage::processes(running, keeper);
    let found = in_use.into_iter().map(|it| {
        let holder = port_owner::find(&it.address);
        let has = |pids: &Vec<i32>| holder.line.first().is_some_and(|pid| pids.contains(pid));
        let by = processes.iter().find(|(_, pids)| has(pids));
        Taken {
            service: it.service.clone(),
            address: it.address.clone(),
            unseen: holder.line.is_empty(),
            by: by.map(|(name, _)| name.clone()),
            reason: holder.reason,
        }
    });
    found.collect()
}

/// A service that is to be seen to listen.
#[derive(Clone, Debug)]
pub(crate) struct ListenCheck {
    /// Its name.
    pub(crate) service: String,
    /// Its main run.
    pub(crate) run: RunId,
    /// The main process of that.
    pub(crate) pid: i32,
    /// Addresses that the service has to have.
    pub(crate) wanted: Vec<String>,
    /// Addresses that the service must not have any more.
    pub(crate) given_up: Vec<String>,
}

/// The result of a look at one service.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Its name.
    pub(crate) service: String,
    /// The run that was looked at.
    pub(crate) run: RunId,
    /// The sight.
    pub(crate) sight: Sight,
}

/// Whether the addresses of a service are as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The service has all its addresses, and none that it gave up.
    AsPlanned,
    /// Some addresses differ from the plan.
    Otherwise(Vec<Fault>),
    /// The addresses cannot be seen from here; the reason.
    Hidden(String),
}

/// An address that differs from the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// The service does not listen on it.
    Missing {
        /// The address.
        address: String,
        /// The address's holder, in words: `0.0.0.0:80 is in use by nginx (pid 12)`.
        instead: Option<String>,
    },
    /// The service still listens on an address that it gave up.
    Kept(String),
}

/// Looks at all of them.
pub(crate) fn look(looks: &[ListenCheck], keeper: i32) -> Vec<Seen> {
    let targets: Vec<Target> = looks
        .iter()
        .map(|it| Target {
            name: it.service.clone(),
            pid: it.pid,
        })
        .collect();
    let processes = usage::processes(&targets, keeper);
    let seen = looks.iter().map(|it| Seen {
        service: it.service.clone(),
        run: it.run,
        sight: sight(it, &processes),
    });
    seen.collect()
}

fn sight(look: &ListenCheck, processes: &BTreeMap<String, Vec<i32>>) -> Sight {
    let listeners = match sockets::listeners(look.pid) {
        Ok(listeners) => listeners,
        Err(error) => return Sight::Hidden(format!("cannot read which sockets listen: {error}")),
    };
    let mut own = BTreeSet::new();
    let mut hidden = None;
    for pid in processes.get(&look.service).into_iter().flatten() {
        match proc::sockets(*pid) {
            Ok(open) => own.extend(open),
            Err(error) => {
                hidden = Some(format!("cannot read what pid {pid} has open: {error}"));
            }
        }
    }
    let is_own = |it: &&Listener| own.contains(&it.inode);
    let mut faults = Vec::new();
    for address in &look.wanted {
        let serving: Vec<&Listener> = listeners.iter().filter(|it| serves(it, address)).collect();
        if serving.iter().any(is_own) {
            continue;
        }
        let mut instead = None;
        if !serving.is_empty() {
            if let Some(why) = hidden {
                return Sight::Hidden(why);
            }
            // Holders are looked for in our own network.
            let here = !proc::has_own_network(look.pid);
            instead = here.then(|| port_owner::find(address).reason);
        }
        let address = address.clone();
        faults.push(Fault::Missing { address, instead });
    }
    let kept = look.given_up.iter().filter(|address| {
        let at = literal(address);
        let mut same = listeners.iter().filter(|it| Some(it.at) == at);
        same.any(|it| is_own(&it))
    });
    faults.extend(kept.cloned().map(Fault::Kept));
    if faults.is_empty() {
        Sight::AsPlanned
    } else {
        Sight::Otherwise(faults)
    }
}

fn serves(listener: &Listener, address: &str) -> bool {
    match literal(address) {
        Some(at) => listener.serves(&at),
        None => address
            .rsplit(':')
            .next()
            .is_some_and(|port| port.parse() == Ok(listener.at.port())),
    }
}

/// The address itself, unless it is a name that somebody else would have to be asked about.
fn literal(said: &str) -> Option<SocketAddr> {
    let local = said
        .strip_prefix("localhost:")
        .and_then(|it| it.parse().ok());
    let local = local.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    local.or_else(|| Address::literal(said).at.first().copied())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    fn listen(address: &str) -> (TcpListener, String) {
        let listener = sockets::bind(address.parse().unwrap()).unwrap();
        let at = listener.local_addr().unwrap().to_string();
        (listener, at)
    }

    /// As if a service of this process were to listen.
    fn seen(wanted: &[&str], given_up: &[&str], pids: &[i32]) -> Sight {
        let list = |all: &[&str]| all.iter().map(|&it| it.to_owned()).collect();
        let look = ListenCheck {
            service: "a".to_owned(),
            run: RunId(1),
            pid: own_pid(),
            wanted: list(wanted),
            given_up: list(given_up),
        };
        sight(&look, &BTreeMap::from([("a".to_owned(), pids.to_vec())]))
    }

    #[test]
    fn what_a_service_holds_itself_is_seen() {
        let (_listener, at) = listen("127.0.0.1:0");
        let port = at.rsplit_once(':').unwrap().1;
        let name = format!("chat.example.com:{port}");
        let local = format!("localhost:{port}");
        assert_eq!(
            seen(&[&at, &name, &local], &[], &[own_pid()]),
            Sight::AsPlanned
        );
    }

    #[test]
    fn what_another_holds_is_not_the_services_and_the_other_is_named() {
        let (_listener, at) = listen("127.0.0.1:0");
        // Its only process is another, that has no such socket.
        let Sight::Otherwise(faults) = seen(&[&at], &[], &[i32::MAX]) else {
            panic!("it is not the service's");
        };
        let [Fault::Missing { address, instead }] = &faults[..] else {
            panic!("{faults:?}");
        };
        let instead = instead.as_deref().unwrap_or_default();
        let named = format!("(pid {})", own_pid());
        assert!(*address == at && instead.ends_with(&named), "{instead}");
    }

    #[test]
    fn what_nobody_holds_and_what_is_kept_is_said() {
        let (gone, at) = listen("127.0.0.1:0");
        drop(gone);
        let (_kept, kept) = listen("127.0.0.1:0");
        let missing = Fault::Missing {
            address: at.clone(),
            instead: None,
        };
        assert_eq!(
            seen(&[&at], &[&kept], &[own_pid()]),
            Sight::Otherwise(vec![missing, Fault::Kept(kept.clone())])
        );
        // Another's is not kept by this one.
        assert_eq!(seen(&[], &[&kept], &[i32::MAX]), Sight::AsPlanned);
    }

    #[test]
    fn a_taken_address_is_told_with_the_service_that_has_it() {
        let (_listener, at) = listen("127.0.0.1:0");
        let (free, other) = listen("127.0.0.1:0");
        drop(free);
        let wanted: Vec<Wanted> = [&at, &other]
            .into_iter()
            .map(|address| Wanted {
                service: "b".to_owned(),
                address: address.clone(),
            })
            .collect();
        let ours = Target {
            name: "a".to_owned(),
            pid: own_pid(),
        };
        for (running, by) in [(vec![ours], Some("a".to_owned())), (Vec::new(), None)] {
            let found = taken(&wanted, &running, 1);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((found[0].service.as_str(), &found[0].by), ("b", &by));
            assert!(found[0].reason.starts_with(&format!("{at} is in use by ")));
        }
    }
}
