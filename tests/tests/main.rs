//! Tests of the whole: the real programs together, in files by topic.
//!
//! `tests/README.md` says what belongs here, and what the numbers in the names `bNN_…` mean.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod accounts;
mod addresses;
mod attacks_by_path;
mod backups;
mod bad_input;
mod behaviours;
mod beside_gitlab;
mod boot;
mod broken_stderr;
mod certificates;
mod child_attributes;
mod cli_errors;
mod completed;
mod completions;
mod confirmed_reloads;
mod container;
mod control_process_death;
mod control_socket;
mod data_in_place;
mod database_names;
mod dependencies;
mod documents;
mod email;
mod env;
mod events;
mod except;
mod exits;
mod external_database;
mod faults;
mod front_door;
mod gitlab_authorize;
mod gitlab_ctl_format;
mod gitlab_ctl_sins;
mod gitlab_services;
mod https;
mod import;
mod inherited;
mod init;
mod jobs;
mod journal;
mod keeper_death;
mod keeper_reexec;
mod letsencrypt;
mod log_forward;
mod log_reading;
mod log_rotation;
mod logs;
mod lost_secrets;
mod mattermost_guard;
mod mattermost_version;
mod metrics;
mod missing_files;
mod new_addresses;
mod new_installation;
mod no_inotify;
mod notifications;
mod older_mattermost;
mod once;
mod openapi;
mod other_inits;
mod other_names;
mod owners;
mod package;
mod planted_secrets;
mod postgresql_settings;
mod probes;
mod programs;
mod readiness;
mod reconfigure;
mod reconfigure_rollback;
mod reconfigure_stack;
mod reexec;
mod reload;
mod reload_outcome;
mod restart;
mod restore;
mod run_directory;
mod schedule;
mod shutdown;
mod soak;
mod split_server;
mod stack;
mod stall;
mod stand_in;
mod state_files;
mod stop;
mod storm;
mod sweep;
mod systemd_unit;
mod templates;
mod tools;
mod top;
mod unavailable;
mod versions;
mod wait;
mod walls;
mod watchdog;
mod websocket;
mod why;

/// The tests of a file that is not named here would never run.
#[test]
fn every_file_here_is_registered() {
    let registered = include_str!("main.rs");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(
            name == "main" || registered.contains(&format!("mod {name};")),
            "{} is not registered in tests/main.rs",
            path.display()
        );
    }
}
