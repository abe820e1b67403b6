//! GitLab on one host and Mattermost on another, as two network namespaces.
//!
//! GitLab's host runs redis and the exporters for real, and stand-ins for GitLab's services, behind
//! an nginx of its own. Mattermost's host has the site file of GitLab's documentation for this.

mod both;
mod browser;
mod certificates;
mod database;
mod hosts;
mod redis;
mod services;
mod sign_on;
