//! Why a service is not as one would want it, as clauses: words are put together here, decisions
//! are taken on the type.
//!
//! `ctl status` labels what makes a service degraded (`degraded: health probe fails`) and says hints
//! behind what they are about; `ctl why` has said in its sentence that the service is not healthy,
//! leaves the label out, and leaves out hints that stand below.

use std::fmt::{self, Display, Formatter};

/// One clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum Clause {
    /// What makes the service degraded.
    Degraded(String),
    /// An address that the service is to listen on is in use by another process.
    AddressInUse(String),
    /// What to do about the clause before it.
    Hint(String),
    /// Anything else.
    Other(String),
}

/// All clauses, the most telling first; none: there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Reason(Vec<Clause>);

impl Reason {
    /// One clause; an empty sentence is none.
    pub(in crate::control) fn other(sentence: impl Into<String>) -> Self {
        let mut reason = Self::default();
        reason.push(sentence);
        reason
    }

    /// Adds a clause; an empty sentence is none.
    pub(in crate::control) fn push(&mut self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        if !sentence.is_empty() {
            self.0.push(Clause::Other(sentence));
        }
    }

    /// Adds what makes the service degraded.
    pub(in crate::control) fn push_degraded(&mut self, sentence: impl Into<String>) {
        self.0.push(Clause::Degraded(sentence.into()));
    }

    /// Adds who has an address that the service is to listen on.
    pub(in crate::control) fn push_address_in_use(&mut self, sentence: impl Into<String>) {
        self.0.push(Clause::AddressInUse(sentence.into()));
    }

    /// Adds what to do about the clause before it; an empty hint is none.
    pub(in crate::control) fn push_hint(&mut self, hint: &str) {
        if !hint.is_empty() {
            self.0.push(Clause::Hint(hint.to_owned()));
        }
    }

    /// Adds the clauses of another.
    pub(in crate::control) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(in crate::control) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether another process has an address that the service is to listen on.
    pub(in crate::control) fn has_address_in_use(&self) -> bool {
        let mut clauses = self.0.iter();
        clauses.any(|it| matches!(it, Clause::AddressInUse(_)))
    }

    /// The clauses but for hints; none: there are no hints.
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
