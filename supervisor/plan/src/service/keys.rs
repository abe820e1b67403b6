//! All keys of service files, in the order of the reference, which is that in which they are read.

use super::{
    account, asserts, basics, capabilities, certificates, credentials, declared, dependencies,
    directories, env::environment, files, job, key::Key, limits, listens, log, maintenance, policy,
    probes, process, ready, reload, schedule, stale_sockets, status_files, tools,
};

const ALL: &[&[Key]] = &[
    basics::KEYS,
    schedule::KEYS,
    job::KEYS,
    account::KEYS,
    process::KEYS,
    capabilities::KEYS,
    limits::KEYS,
    dependencies::KEYS,
    listens::KEYS,
    stale_sockets::KEYS,
    asserts::KEYS,
    tools::KEYS,
    declared::KEYS,
    environment::KEYS,
    ready::KEYS,
    probes::KEYS,
    policy::KEYS,
    reload::KEYS,
    log::KEYS,
    directories::KEYS,
    files::KEYS,
    credentials::KEYS,
    certificates::KEYS,
    status_files::KEYS,
    maintenance::KEYS,
];

/// Every key.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    ALL.iter().copied().flatten()
}

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    all().map(|key| key.name).collect()
}
