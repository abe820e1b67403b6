//! The stand-in for Mattermost fails where a released server fails: a configuration that passes
//! here and fails there would hide a fault of the catalogue.

use std::{path::Path, process::Command};

use mattervisor_tests::{Ctl, run, unpack_mattermost};

/// Starts the program of this directory, which has no database.
fn server(directory: &Path, variables: &[(&str, &str)]) -> Ctl {
    let mut command = Command::new(directory.join("bin/mattermost"));
    command.arg("server").current_dir("/");
    command.env("MM_CONFIG", directory.join("config.json"));
    command.env("STANDIN_DB_RETRIES", "1");
    command.env("MM_SQLSETTINGS_DATASOURCE", "host=/nonexistent");
    command.envs(variables.iter().copied());
    run(&mut command).expect_code(1)
}

#[test]
fn it_ends_for_want_of_its_archive_and_for_values_out_of_range() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    unpack_mattermost(place);
    // From any directory the server comes as far as the database.
    let said = server(place, &[]).both();
    assert!(said.contains("failed to ping DB"), "{said}");
    let said = server(place, &[("MM_EMAILSETTINGS_EMAILBATCHINGINTERVAL", "5")]).both();
    assert!(
        said.contains("EmailSettings.EmailBatchingInterval"),
        "{said}"
    );
    std::fs::remove_dir(place.join("i18n")).unwrap();
    let said = server(place, &[]).both();
    assert!(said.contains("i18n"), "{said}");
}
