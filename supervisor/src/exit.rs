//! Exit codes of the daemon.

/// The configuration does not check and none has ever worked (sysexits' `EX_CONFIG`): an init
/// should not try again by itself.
pub(crate) const CONFIGURATION: u8 = 78;
/// Anything else that keeps it from running.
pub(crate) const FAILURE: u8 = 1;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// Codes of the document: those above, success, and what clap ends with.
    #[test]
    fn the_document_and_the_help_have_the_exit_codes_and_no_others() {
        let codes = [0, FAILURE, 2, CONFIGURATION];
        let document = include_str!("../../docs/exit-codes.md");
        let sections = document.split("\n## ");
        let mut sections = sections.filter(|it| it.starts_with("mattervisord\n"));
        let rows = sections.next().unwrap().lines();
        let listed = rows.filter_map(|row| row.strip_prefix("| ")?.split(' ').next()?.parse().ok());
        assert_eq!(listed.collect::<Vec<u8>>(), codes);
        let help = Cli::command().render_long_help().to_string();
        let (_, told) = help.split_once("Exit codes: ").unwrap();
        for code in codes {
            assert!(
                told.split_whitespace().any(|it| it == code.to_string()),
                "the help lacks {code}"
            );
        }
    }
}
