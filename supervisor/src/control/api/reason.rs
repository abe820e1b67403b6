//! Why a service is not as one would want it, as clauses: words are put together here, decisions
//! are taken on the type.
//!
//! `ctl status` labels what makes a service degraded (`degraded: health probe fails`); `ctl why`
//! has said so in its sentence and leaves the label out.

use std::fmt::{self, Display, Formatter};

/// One clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum Clause {
    /// What makes the service degraded.
    Degraded(String),
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

    /// Adds the clauses of another.
    pub(in crate::control) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(in crate::control) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The clauses without labels.
    pub(in crate::control) fn unlabelled(&self) -> String {
        let clauses = self.0.iter().map(|clause| match clause {
            Clause::Degraded(sentence) | Clause::Other(sentence) => sentence.as_str(),
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
                Clause::Other(sentence) => write!(f, "{sep}{sentence}")?,
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
}
