//! Ids and programs of services, looked up once for all services that start at the same moment.
//!
//! Nothing is kept for longer: by the next start an account may be another, or a program gone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use keeper::message::Ids;
use plan::Service;

use crate::{accounts, programs, unready::Unready};

/// User, group and groups, as a service file names them.
type Named = (Option<String>, Option<String>, Option<Vec<String>>);
/// A program, and the PATH that it is looked up on.
type Program = (String, String);

/// Results of look-ups so far, shared by threads: a thread that needs a result which another thread
/// is just looking up waits for that thread.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    ids: Once<Named, Result<Option<Ids>, Unready>>,
    programs: Once<Program, Result<String, String>>,
}

impl Lookups {
    /// Ids that a service runs with; none: the supervisor's own.
    ///
    /// # Errors
    /// The account does not exist, or no name server answers at present.
    pub(crate) fn ids(&self, service: &Service) -> Result<Option<Ids>, Unready> {
        let named = (
            service.user.clone(),
            service.group.clone(),
            service.groups.clone(),
        );
        self.ids.get(named, || accounts::ids(service))
    }

    /// Absolute path of a program, as [`programs::find`] has it.
    ///
    /// # Errors
    /// The error says in words why the program cannot be executed.
    pub(crate) fn program(&self, name: &str, path: &str) -> Result<String, String> {
        let program = (name.to_owned(), path.to_owned());
        self.programs.get(program, || programs::find(name, path))
    }
}

/// Answers, each worked out once.
#[derive(Debug)]
struct Once<Q, A>(Mutex<BTreeMap<Q, Arc<OnceLock<A>>>>);

impl<Q, A> Default for Once<Q, A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Q: Ord, A: Clone> Once<Q, A> {
    fn get(&self, question: Q, answer: impl FnOnce() -> A) -> A {
        let slot = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(question).or_default())
        };
        slot.get_or_init(answer).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_is_asked_once() {
        let once: Once<&str, u32> = Once::default();
        assert_eq!(once.get("a", || 1), 1);
        assert_eq!(once.get("a", || panic!("it is known")), 1);
        assert_eq!(once.get("b", || 2), 2);
    }
}
