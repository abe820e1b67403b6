//! Why a service is not up and healthy, as typed clauses: decisions use the type, and only the
//! rendering makes sentences.
//!
//! `ctl status` labels clauses that make a service degraded (`degraded: health probe fails`) and
//! prints each hint after its clause; `ctl why` has already said in its sentence that the service
//! is not healthy, and leaves out the label as well as hints that it prints below.

use std::fmt::{self, Display, Formatter};

/// One clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum Clause {
    /// A clause that makes the service degraded.
    Degraded(String),
    /// Another process uses an address that the service is to listen on.
    AddressInUse(String),
    /// A hint that belongs to the clause before it.
    Hint(String),
    /// Any other clause.
    Other(String),
}

/// All clauses, the most important first; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Reason(Vec<Clause>);

impl Reason {
    /// A reason of one clause; an empty sentence adds no clause.
    pub(in crate::control) fn other(sentence: impl Into<String>) -> Self {
        let mut reason = Self::default();
        reason.push(sentence);
        reason
    }

    /// Adds a clause; an empty sentence adds none.
    pub(in crate::control) fn push(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        if !sentence.is_empty() {
            self.0.push(Clause::Other(sentence));
        }
    }

    /// Adds a clause that makes the service degraded.
    pub(in crate::control) fn push_degraded(&mut self, sentence: impl Into<String>) {
        self.0.push(Clause::Degraded(sentence.into()));
    }

    /// Adds a clause on an address that another process uses.
    pub(in crate::control) fn push_address_in_use(&mut self, sentence: impl Into<String>) {
        self.0.push(Clause::AddressInUse(sentence.into()));
    }

    /// Adds a hint for the clause before it; an empty hint adds none.
    pub(in crate::control) fn push_hint(&mut self, hint: &str) {
        if !hint.is_empty() {
            self.0.push(Clause::Hint(hint.to_owned()));
        }
    }

    /// Adds the clauses of another reason.
    pub(in crate::control) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(in crate::control) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether another process uses an address that the service is to listen on.
    pub(in crate::control) fn has_address_in_use(&self) -> bool {
        let mut clauses = self.0.iter();
        clauses.any(|it| matches!(it, Clause::AddressInUse(_)))
    }

    /// The clauses without hints; none: there are no hints.
    pub(in crate::control) fn without_hints(&self) -> Option<Self> {
        let is_hint = |it: &Clause| matches!(it, Clause::Hint(_));
        if !self.0.iter().any(is_hint) {
            return None;
        }
        let rest = self.0.iter().filter(|it| !is_hint(it));
        Some(Self(rest.cloned().collect()))
    }

    /// The clauses without labels.
    pub(in crate::control) fn unlabelled(&self) -> String {
        let clauses = self.0.iter().map(|clause| match clause {
            Clause::Degraded(sentence)
            | Clause::AddressInUse(sentence)
            | Clause::Hint(sentence)
            | Clause::Other(sentence) => sentence.as_str(),
        });
        clauses.collect::<Vec<_>>().join("; ")
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, clause) in self.0.iter().enumerate() {
            let sep = if at == 0 { "" } else { "; " };
            match clause {
                Clause::Degraded(sentence) => write!(f, "{sep}degraded: {sentence}")?,
                Clause::AddressInUse(sentence)
                | Clause::Hint(sentence)
                | Clause::Other(sentence) => write!(f, "{sep}{sentence}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_degraded_is_labelled_wherever_it_stands() {
        let mut reason = Reason::other("does not listen on *:80");
        reason.push("");
        reason.push_degraded("health probe fails");
        reason.extend(Reason::other("flapping"));
        assert_eq!(
            reason.to_string(),
            "does not listen on *:80; degraded: health probe fails; flapping"
        );
        assert_eq!(
            reason.unlabelled(),
            "does not listen on *:80; health probe fails; flapping"
        );
        assert!(Reason::other("").is_empty() && !reason.is_empty());
    }

    #[test]
    fn a_hint_is_said_behind_its_clause_or_left_out() {
        let mut reason = Reason::default();
        reason.push_hint("");
        assert!(reason.is_empty() && reason.without_hints().is_none());
        reason.push_address_in_use("127.0.0.1:80 is in use by nginx (pid 12)");
        reason.push_hint("ask it");
        reason.push("next try in 3s");
        assert_eq!(
            reason.to_string(),
            "127.0.0.1:80 is in use by nginx (pid 12); ask it; next try in 3s"
        );
        let bare = reason.without_hints().unwrap();
        assert_eq!(
            bare.to_string(),
            "127.0.0.1:80 is in use by nginx (pid 12); next try in 3s"
        );
        assert!(bare.has_address_in_use() && bare.without_hints().is_none());
        assert!(!Reason::other("a table is in use by a query").has_address_in_use());
    }
}
