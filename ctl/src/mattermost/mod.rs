//! Jobs that are about Mattermost itself and what it comes from. No other folder of Rust code knows
//! these names: everything else is generic, and the catalogue is about Mattermost.

pub(crate) mod against_config;
pub(crate) mod gitlab;
pub(crate) mod import;
