//! Commands about Mattermost's own configuration.

pub(crate) mod against_config;
