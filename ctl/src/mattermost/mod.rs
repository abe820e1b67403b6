//! What is about Mattermost itself.

pub(crate) mod against_config;
