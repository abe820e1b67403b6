//! Readiness that a run has said by a message or by its descriptor, kept for a plan that asks for
//! it later.
//!
//! A run says once that it is ready. A plan that is applied while the run starts may ask for
//! another sign than the one before, and what was said meanwhile counts for it, as with a line in
//! the log (`log_readiness.rs`). Limit: one value of each key a run.

use engine::{RunId, State};
use keeper::message::READY_FD;

use crate::control::Context;

/// Keys by which a run says that it is ready.
const KEYS: [&str; 2] = ["READY", READY_FD];

/// The readiness messages of a run.
#[derive(Debug)]
pub(in crate::control) struct ReadyWord {
    pub(in crate::control) run: RunId,
    pub(in crate::control) key: String,
    pub(in crate::control) value: String,
}

impl Context {
    /// Keeps what a run has said, if it is of its readiness.
    pub(in crate::control) fn keep_ready_word(&mut self, run: RunId, key: &str, value: &str) {
        if KEYS.contains(&key)
            && let Some(known) = self.run_mut(run)
        {
            let _ = known.ready_words.insert(key.to_owned(), value.to_owned());
        }
    }

    /// What runs that are starting have said: a new plan may ask for it.
    pub(in crate::control) fn ready_words(&self) -> Vec<ReadyWord> {
        let starts = |run: RunId| {
            let id = self.engine.service_of(run)?;
            let state = self.engine.view(id)?.state;
            matches!(state, State::Starting { run: its, .. } if its == run).then_some(())
        };
        let runs = self.runs().iter();
        let starting =
            runs.filter(|(run, it)| !it.ready_words.is_empty() && starts(**run).is_some());
        let words = starting.flat_map(|(run, known)| {
            known.ready_words.iter().map(|(key, value)| ReadyWord {
                run: *run,
                key: key.clone(),
                value: value.clone(),
            })
        });
        words.collect()
    }
}

#[cfg(test)]
mod tests {
    use keeper::message::Fact;

    use crate::{control::harness::Harness, store::Handled};

    const PROBED: &str =
        "command = ['/bin/a']\n[ready]\nexec = ['/bin/b']\n[watchdog]\ntimeout = '1m'\n";
    const NOTIFIES: &str =
        "command = ['/bin/a']\n[ready]\nnotify = true\n[watchdog]\ntimeout = '1m'\n";

    /// The run had said so while the plan asked a probe.
    #[test]
    fn what_was_said_before_a_plan_asks_for_it_counts() {
        let mut world = Harness::new(&[("a", PROBED)], Handled::default());
        let run = world.spawned[0].1;
        world.spawned(run);
        world.fact(Fact::Notified {
            run,
            key: "READY".to_owned(),
            value: "1".to_owned(),
        });
        assert_eq!(world.status("a").state, api::ServiceState::Starting);
        world.write_and_apply("a", NOTIFIES);
        assert_eq!(world.status("a").state, api::ServiceState::Running);
    }
}
