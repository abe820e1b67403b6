//! The difference between two texts, by lines.

use std::fmt::Write as _;

/// Most fields of the table; texts that need more are shown as wholly removed and wholly added.
const FIELDS_MAX: usize = 4_000_000;

/// Removed lines begin with `-`, added ones with `+`; common lines are left out.
pub fn diff(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let same = before
        .iter()
        .zip(&after)
        .take_while(|(a, b)| a == b)
        .count();
    let (before, after) = (&before[same..], &after[same..]);
    let backwards = before.iter().rev().zip(after.iter().rev());
    let same = backwards.take_while(|(a, b)| a == b).count();
    let (before, after) = (&before[..before.len() - same], &after[..after.len() - same]);
    let mut out = String::new();
    let common = common(before, after);
    let (mut a, mut b) = (0, 0);
    while a < before.len() || b < after.len() {
        let at = |a: usize, b: usize| common.as_ref().map_or(0, |it| it[a][b]);
        if a < before.len() && b < after.len() && common.is_some() && before[a] == after[b] {
            (a, b) = (a + 1, b + 1);
        } else if a < before.len() && (b == after.len() || at(a + 1, b) >= at(a, b + 1)) {
            let _ = writeln!(out, "- {}", before[a]);
            a += 1;
        } else {
            let _ = writeln!(out, "+ {}", after[b]);
            b += 1;
        }
    }
    out
}

/// For each pair of ends, the length of the longest common subsequence of lines.
fn common(before: &[&str], after: &[&str]) -> Option<Vec<Vec<u32>>> {
    let (rows, columns) = (before.len() + 1, after.len() + 1);
    if rows.saturating_mul(columns) > FIELDS_MAX {
        return None;
    }
    let mut table = vec![vec![0; columns]; rows];
    for a in (0..before.len()).rev() {
        for b in (0..after.len()).rev() {
            table[a][b] = if before[a] == after[b] {
                table[a + 1][b + 1] + 1
            } else {
                table[a + 1][b].max(table[a][b + 1])
            };
        }
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn lines_that_stay_are_not_told() {
        assert_eq!(diff("a\nb\nc\n", "a\nb\nc\n"), "");
        assert_eq!(diff("a\nb\nc\nd\n", "a\nx\nc\nd\ne\n"), "- b\n+ x\n+ e\n");
        assert_eq!(diff("", "a\n"), "+ a\n");
        assert_eq!(diff("a\nb\n", ""), "- a\n- b\n");
    }
}
