//! Notifications that are batched per person, in memory alone: a stop of the server loses them.
//!
//! A task looks at the batches every `EmailBatchingInterval`. Nobody has a preference here, so each
//! person gets one mail a quarter of an hour after the first mention.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{http::Server, mail};

const SECTION: &str = "EmailSettings";
/// Time from the first mention to the mail.
const USUAL_WAIT: Duration = Duration::from_secs(15 * 60);

/// The waiting notifications.
#[derive(Default)]
pub(crate) struct Batches(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Notifications not yet sorted by address: at most `EmailBatchingBufferSize`.
    new: Vec<(String, Mention)>,
    /// Notifications by address; each address has at least one.
    pending: BTreeMap<String, Vec<Mention>>,
}

struct Mention {
    message: String,
    at: Instant,
}

impl Batches {
    /// Adds a notification. Returns false if the caller must mail it at once, because batching is
    /// off or too many wait.
    pub(crate) fn add(&self, server: &Server, address: &str, message: &str) -> bool {
        if !is_on(server) {
            return false;
        }
        let room = number(server, "EmailBatchingBufferSize").unwrap_or(256);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.new.len() as u64 >= room {
            let said = "Email batching job's receiving channel was full. Please increase the EmailBatchingBufferSize.";
            server.log.error(said, &[]);
            return false;
        }
        let (message, at) = (message.to_owned(), Instant::now());
        waiting
            .new
            .push((address.to_owned(), Mention { message, at }));
        true
    }

    /// Takes out the notifications of every address that has waited long enough.
    fn ripe(&self, wait: Duration) -> Vec<(String, Vec<String>)> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { new, pending } = &mut *waiting;
        for (address, mention) in new.drain(..) {
            pending.entry(address).or_default().push(mention);
        }
        let (ripe, rest) = std::mem::take(pending)
            .into_iter()
            .partition(|(_, mentions)| mentions[0].at.elapsed() > wait);
        *pending = rest;
        let ripe: BTreeMap<String, Vec<Mention>> = ripe;
        let texts = |mentions: Vec<Mention>| mentions.into_iter().map(|it| it.message).collect();
        let ripe = ripe.into_iter();
        ripe.map(|(address, mentions)| (address, texts(mentions)))
            .collect()
    }
}

/// Mails the batches that have waited long enough, as long as the server lives.
pub(crate) async fn run(server: Arc<Server>) {
    if !is_on(&server) {
        return;
    }
    let interval = number(&server, "EmailBatchingInterval").unwrap_or(30);
    let shorter = server.moods.batch;
    let interval = shorter.unwrap_or(Duration::from_secs(interval));
    loop {
        tokio::time::sleep(interval).await;
        for (address, messages) in server.batches.ripe(shorter.unwrap_or(USUAL_WAIT)) {
            mail::batched(&server, &address, &messages).await;
        }
    }
}

fn is_on(server: &Server) -> bool {
    server.config.flag(SECTION, "EnableEmailBatching")
}

fn number(server: &Server, key: &str) -> Option<u64> {
    server.config.all()[SECTION][key].as_u64()
}
