//! Ends of runs on disk: how, when and why, and what followed, kept for a year.
//!
//! Segments under `STATE_DIR/exits/`, one line an end; `control/runs/exits.rs` sees to it that one
//! writer at a time appends. A line may come twice, written once more by the successor of a control
//! process that died over it: the first one counts. Limits: those of the segments, and
//! [`super::RECORDS_MAX`].

use std::{
    collections::{HashSet, VecDeque},
    io,
    path::{Path, PathBuf},
};

use api::ExitRecord;

use super::{
    Query, RECORDS_MAX, matches, patterns,
    segments::{self, Durability},
};

/// The directory of the segments.
pub(super) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("exits")
}

/// Adds lines, durably; all or, where that fails, none of them.
pub(crate) fn append(state_dir: &Path, now_ms: u64, records: &[ExitRecord]) -> io::Result<()> {
    segments::append(&directory(state_dir), now_ms, records, Durability::Synced)
}

/// Ids of the runs whose ends are there, of those that ended at this moment (RFC 3339) or later.
pub(crate) fn ids(state_dir: &Path, since: &str) -> io::Result<HashSet<String>> {
    let query = Query {
        since: Some(since.to_owned()),
        until: None,
        services: Vec::new(),
        count: usize::MAX,
    };
    let mut ids = HashSet::new();
    segments::read(&directory(state_dir), query.since_ms(), |it: ExitRecord| {
        ids.insert(it.id);
    })?;
    Ok(ids)
}

/// Records in the order in which they were written, the last ones of those that are wanted.
/// `unwritten`: records that are not on the disk yet, or only just.
pub(crate) fn read(
    state_dir: &Path,
    query: &Query,
    unwritten: Vec<ExitRecord>,
) -> io::Result<Vec<ExitRecord>> {
    let patterns = patterns(&query.services);
    let most = query.count.min(RECORDS_MAX);
    let mut known = HashSet::new();
    let mut list = VecDeque::new();
    let mut take = |record: ExitRecord| {
        let named = patterns.is_empty() || matches(&patterns, &record.service);
        if !named || !query.wants(&record.at) || known.contains(&record.id) {
            return;
        }
        known.insert(record.id.clone());
        list.push_back(record);
        if list.len() > most {
            list.pop_front();
        }
    };
    segments::read(&directory(state_dir), query.since_ms(), &mut take)?;
    unwritten.into_iter().for_each(take);
    Ok(list.into())
}

#[cfg(test)]
mod tests {
    use api::{ExitCause, NextRun};

    use super::*;

    /// 2026-11-22T00:00:00Z.
    const NOW: u64 = 1_795_305_600_000;

    fn end(id: &str, service: &str, second: u32) -> ExitRecord {
        ExitRecord {
            id: id.to_owned(),
            at: format!("2026-11-22T00:00:{second:02}.000Z"),
            service: service.to_owned(),
            pid: None,
            code: Some(1),
            signal: None,
            core: false,
            ran_ms: None,
            killed: None,
            cause: ExitCause::Itself,
            next: NextRun::Start,
            left_out: 0,
        }
    }

    fn query(services: &[&str], since: Option<&str>, count: usize) -> Query {
        Query {
            since: since.map(str::to_owned),
            until: None,
            services: services.iter().map(|&name| name.to_owned()).collect(),
            count,
        }
    }

    fn ids(records: Vec<ExitRecord>) -> Vec<String> {
        records.into_iter().map(|it| it.id).collect()
    }

    #[test]
    fn an_end_that_was_written_twice_is_read_once_and_questions_bound_the_answer() {
        let dir = tempfile::tempdir().unwrap();
        let all = query(&[], None, 100);
        assert_eq!(ids(read(dir.path(), &all, Vec::new()).unwrap()), [""; 0]);
        append(dir.path(), NOW, &[end("1", "a", 1), end("2", "b", 2)]).unwrap();
        append(dir.path(), NOW, &[end("2", "b", 2), end("3", "a", 3)]).unwrap();
        let unwritten = || vec![end("3", "a", 3), end("4", "a", 4)];
        let read = |query: Query| ids(read(dir.path(), &query, unwritten()).unwrap());
        assert_eq!(read(all), ["1", "2", "3", "4"]);
        assert_eq!(read(query(&["a"], None, 2)), ["3", "4"]);
        let since = query(&["[ab]"], Some("2026-11-22T00:00:02.000Z"), 100);
        assert_eq!(read(since), ["2", "3", "4"]);
    }
}
