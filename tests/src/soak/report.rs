//! Findings of a soak: a row for each attack, as a table or as JSON.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use super::promise::Promise;

/// Details that are kept of each broken promise.
const DETAILS_MAX: usize = 5;
/// Characters of a detail that are kept.
const DETAIL_CHARS: usize = 600;

/// The findings that the threads of a soak share.
#[derive(Debug, Default)]
pub(super) struct Findings {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    broken: BTreeMap<Promise, (u64, Vec<String>)>,
    moves: BTreeMap<&'static str, u64>,
    operations: u64,
    refused: u64,
    returns: Vec<Duration>,
}

impl Findings {
    /// Records that a promise was broken `count` times.
    pub(super) fn broken(&self, promise: Promise, count: u64, detail: impl Into<String>) {
        let mut inner = self.lock();
        let entry = inner.broken.entry(promise).or_default();
        entry.0 += count;
        if entry.1.len() < DETAILS_MAX {
            let detail: String = detail.into();
            entry.1.push(detail.chars().take(DETAIL_CHARS).collect());
        }
    }

    /// Counts a move.
    pub(super) fn moved(&self, name: &'static str) {
        *self.lock().moves.entry(name).or_default() += 1;
    }

    /// Counts an operation of a client, and whether `ctl` reported it as done.
    pub(super) fn operated(&self, done: bool) {
        let mut inner = self.lock();
        inner.operations += 1;
        inner.refused += u64::from(!done);
    }

    /// Records how long the daemon took to be back after a move.
    pub(super) fn returned(&self, after: Duration) {
        self.lock().returns.push(after);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attack, and its findings.
#[derive(Clone, Debug)]
pub struct Row {
    attack: String,
    took: Duration,
    /// Why the attack was not made.
    skipped: Option<String>,
    promises: &'static [Promise],
    moves: BTreeMap<&'static str, u64>,
    broken: BTreeMap<Promise, (u64, Vec<String>)>,
    /// Further figures, for people.
    figures: Vec<String>,
}

impl Row {
    pub(super) fn new(attack: String, took: Duration, found: Findings, facts: Vec<String>) -> Self {
        let found = found
            .inner
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let mut figures = facts;
        if found.operations > 0 {
            let Inner {
                operations,
                refused,
                ..
            } = found;
            figures.push(format!("operations {operations}, not done {refused}"));
        }
        figures.extend(returns(found.returns));
        Self {
            attack,
            took,
            skipped: None,
            promises: &Promise::OF_SUPERVISOR,
            moves: found.moves,
            broken: found.broken,
            figures,
        }
    }

    pub(super) fn of_restores(
        attack: String,
        took: Duration,
        found: Findings,
        facts: Vec<String>,
    ) -> Self {
        let promises = &Promise::OF_RESTORES;
        Self {
            promises,
            ..Self::new(attack, took, found, facts)
        }
    }

    pub(super) fn skipped(attack: String, why: String) -> Self {
        Self {
            attack,
            took: Duration::ZERO,
            skipped: Some(why),
            promises: &Promise::OF_SUPERVISOR,
            moves: BTreeMap::new(),
            broken: BTreeMap::new(),
            figures: Vec::new(),
        }
    }

    /// How often a promise was broken.
    pub fn count(&self, promise: Promise) -> u64 {
        self.broken.get(&promise).map_or(0, |it| it.0)
    }

    /// Why the attack was not made, if it was not.
    pub fn why_skipped(&self) -> Option<&str> {
        self.skipped.as_deref()
    }

    fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    fn how_often(&self) -> String {
        let moves = self
            .moves
            .iter()
            .map(|(name, count)| format!("{count} {name}"));
        let moves: Vec<String> = moves.collect();
        format!("{} in {} s", moves.join(", "), self.took.as_secs())
    }

    /// All promises with their counts, the broken promises first.
    fn verdict(&self) -> String {
        let counted = self.promises.iter();
        let counted = counted.map(|promise| (self.count(*promise), *promise));
        let words = |(count, promise): &(u64, Promise)| format!("{} {count}", promise.broken());
        let (broken, held): (Vec<_>, Vec<_>) = counted.partition(|it| it.0 > 0);
        let broken = broken.iter().map(|it| format!("**{}**", words(it)));
        let held = held.iter().map(words);
        let all: Vec<String> = broken
            .chain(self.figures.iter().cloned())
            .chain(held)
            .collect();
        all.join("; ")
    }

    fn json(&self) -> Value {
        let counts = self.promises.iter();
        let counts = counts.map(|it| (it.name().to_owned(), self.count(*it).into()));
        let details = self.broken.iter();
        let details = details.map(|(it, (_, texts))| (it.name().to_owned(), json!(texts)));
        json!({
            "attack": self.attack,
            "seconds": self.took.as_secs(),
            "skipped": self.skipped,
            "moves": self.moves,
            "broken": counts.collect::<serde_json::Map<_, _>>(),
            "details": details.collect::<serde_json::Map<_, _>>(),
            "figures": self.figures,
        })
    }
}

fn returns(mut times: Vec<Duration>) -> Option<String> {
    times.sort();
    let last = times.last()?.as_secs_f64();
    let median = times[times.len() / 2].as_secs_f64();
    Some(format!(
        "back after {median:.2} s (median), {last:.2} s at most"
    ))
}

/// All rows of a soak.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed that makes the same throws again.
    pub seed: u64,
    /// Rows in the order of the attacks.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether any promise was broken.
    pub fn is_broken(&self) -> bool {
        self.rows.iter().any(Row::is_broken)
    }

    /// The report as JSON, for programs.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        json!({ "seed": self.seed, "broken": self.is_broken(), "rows": rows })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut details = String::new();
        writeln!(out, "| attack | how often | broken / held |")?;
        writeln!(out, "| --- | --- | --- |")?;
        for row in &self.rows {
            let (often, verdict) = match &row.skipped {
                Some(why) => ("not made".to_owned(), why.clone()),
                None => (row.how_often(), row.verdict()),
            };
            writeln!(out, "| {} | {often} | {verdict} |", row.attack)?;
            for (promise, (_, texts)) in &row.broken {
                for text in texts {
                    writeln!(details, "{}: {}: {text}", row.attack, promise.broken())?;
                }
            }
        }
        if self.is_broken() {
            write!(out, "\nBroken:\n{details}")?;
        }
        write!(out, "\nseed {}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(found: Findings) -> Row {
        Row::new(
            "kills".to_owned(),
            Duration::from_secs(3),
            found,
            vec!["lines 10".to_owned()],
        )
    }

    #[test]
    fn a_broken_promise_is_counted_named_and_breaks_the_report() {
        let found = Findings::default();
        found.moved("kills of control");
        found.broken(Promise::LinesOnce, 2, "a: line 7");
        let report = Report {
            seed: 5,
            rows: vec![row(found)],
        };
        let text = report.to_string();
        assert!(report.is_broken());
        for part in [
            "1 kills of control in 3 s",
            "**lines doubled 2**; lines 10",
            "a: line 7",
            "seed 5",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(report.json()["rows"][0]["broken"]["lines_doubled"], 2);
    }

    #[test]
    fn every_promise_is_explained() {
        let document = include_str!("../../../docs/soak.md");
        for promise in Promise::OF_SUPERVISOR.iter().chain(&Promise::OF_RESTORES) {
            assert!(document.contains(promise.broken()), "{}", promise.broken());
        }
    }

    #[test]
    fn what_held_and_what_was_not_made_break_nothing() {
        let skipped = Row::skipped("kills".to_owned(), "no cgroups here".to_owned());
        let report = Report {
            seed: 5,
            rows: vec![row(Findings::default()), skipped],
        };
        assert!(!report.is_broken());
        assert!(report.to_string().contains("not made | no cgroups here"));
    }
}
