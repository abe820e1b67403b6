//! Names of hosts, looked up beside everything else.
//!
//! Nobody can end a look-up: where no name server answers, it lasts for as long as the C library
//! likes (ten seconds and more), whatever becomes of who asked. So look-ups have threads of their
//! own, and there is one of a name at a time: whoever asks meanwhile waits for the same answer.
//! Numeric addresses are not looked up, nor is `localhost`, which means this machine wherever one
//! asks (RFC 6761).
//!
//! Limit: [`LOOKUPS_MAX`].

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::watch;

/// Names that are looked up at one time.
const LOOKUPS_MAX: usize = 128;
/// Stack of such a thread, in bytes; only touched pages count.
const STACK_BYTES: usize = 512 << 10;

type Answer = Result<Vec<IpAddr>, String>;
type Pending = watch::Receiver<Option<Answer>>;

/// Looks names up.
#[derive(Clone, Debug)]
pub(crate) struct HostNames {
    under_way: Arc<Mutex<BTreeMap<String, Pending>>>,
    look_up: fn(&str) -> Answer,
}

impl HostNames {
    pub(crate) fn new() -> Self {
        Self::by(look_up)
    }

    fn by(look_up: fn(&str) -> Answer) -> Self {
        Self {
            under_way: Arc::default(),
            look_up,
        }
    }

    /// The addresses of a host. `Err` says in words why there are none.
    pub(crate) async fn addresses(&self, host: &str) -> Answer {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let mut pending = self.begin(host)?;
        let answer = pending.wait_for(Option::is_some).await;
        let answer = answer.map_err(|_| format!("cannot look up {host}"))?;
        answer.clone().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Starts a look-up, unless there is one of this name.
    fn begin(&self, host: &str) -> Result<Pending, String> {
        let mut under_way = lock(&self.under_way);
        if let Some(pending) = under_way.get(host) {
            return Ok(pending.clone());
        }
        if under_way.len() >= LOOKUPS_MAX {
            return Err(format!(
                "cannot look up {host}: {LOOKUPS_MAX} other names are being looked up; see that the name servers \
                 answer"
            ));
        }
        let (sender, pending) = watch::channel(None);
        let (of, look_up) = (Arc::clone(&self.under_way), self.look_up);
        let name = host.to_owned();
        let work = move || {
            let answer = look_up(&name);
            lock(&of).remove(&name);
            sender.send_replace(Some(answer));
        };
        let thread = thread::Builder::new().name("look-up".to_owned());
        let started = thread.stack_size(STACK_BYTES).spawn(work);
        started.map_err(|error| format!("cannot look up {host}: {error}"))?;
        under_way.insert(host.to_owned(), pending.clone());
        Ok(pending)
    }
}

fn lock(it: &Mutex<BTreeMap<String, Pending>>) -> MutexGuard<'_, BTreeMap<String, Pending>> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of its own")]
fn look_up(host: &str) -> Answer {
    let found = (host, 0).to_socket_addrs();
    let found = found.map_err(|error| format!("cannot look up {host}: {error}"))?;
    Ok(found.map(|it| it.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::{sync::Condvar, task::Poll, time::Duration};

    use super::*;

    static ASKED: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());
    static OPEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Hangs until the test lets it go on.
    fn hangs(host: &str) -> Answer {
        *ASKED.0.lock().unwrap() += 1;
        ASKED.1.notify_all();
        let open = OPEN.0.lock().unwrap();
        let _open = OPEN.1.wait_while(open, |open| !*open).unwrap();
        let address = host
            .ends_with("example")
            .then(|| Ipv4Addr::new(192, 0, 2, 1).into());
        address
            .map(|it| vec![it])
            .ok_or_else(|| format!("{host} is not ours"))
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_at_a_time_and_others_do_not_wait_for_it() {
        let names = HostNames::by(hangs);
        let (mut first, mut second) = (
            Box::pin(names.addresses("a.example")),
            Box::pin(names.addresses("a.example")),
        );
        assert_eq!(futures_poll(first.as_mut()), Poll::Pending);
        assert_eq!(futures_poll(second.as_mut()), Poll::Pending);
        // Nobody waits any more, and it goes on all the same.
        drop(second);
        for number in 1..LOOKUPS_MAX {
            let name = format!("{number}.example");
            let other = futures_poll(Box::pin(names.addresses(&name)).as_mut());
            assert_eq!(other, Poll::Pending);
        }
        let said = names.addresses("one.too.many").await.unwrap_err();
        assert!(
            said.starts_with("cannot look up one.too.many: 128 other names"),
            "{said}"
        );
        assert_eq!(names.addresses("localhost").await.unwrap().len(), 2);
        let literal = names.addresses("::1").await.unwrap();
        assert_eq!(literal, [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        let asked = ASKED.0.lock().unwrap();
        let too_few = |asked: &mut usize| *asked < LOOKUPS_MAX;
        let asked = ASKED
            .1
            .wait_timeout_while(asked, PATIENCE, too_few)
            .unwrap();
        drop(asked);
        *OPEN.0.lock().unwrap() = true;
        OPEN.1.notify_all();
        assert_eq!(first.await.unwrap().len(), 1);
        assert_eq!(*ASKED.0.lock().unwrap(), LOOKUPS_MAX);
    }

    fn futures_poll<T>(it: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        it.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
