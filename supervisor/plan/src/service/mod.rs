//! A service file becomes a [`crate::model::Service`], key by key.
//!
//! `key` says what a key is and `keys` lists them all; each of the other files owns a group of
//! keys: its entries, and below them what reads, checks and describes them. `build` goes through
//! the list, and nothing outside the list knows a key by name. `reader` evaluates a value as its
//! type, `described` gathers values for people; `cron` knows cron expressions.
//!
//! Keys are read in the order of the list, so a reader may use the fields of keys before it. A
//! disabled service is checked and not rendered: what its templates need may be unset.

pub(crate) mod account;
pub(crate) mod asserts;
pub(crate) mod basics;
pub(crate) mod build;
pub(crate) mod capabilities;
pub(crate) mod certificates;
pub(crate) mod credentials;
pub mod cron;
pub(crate) mod declared;
pub(crate) mod dependencies;
pub(crate) mod described;
pub(crate) mod directories;
pub(crate) mod env;
pub(crate) mod files;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod listens;
pub(crate) mod log;
pub(crate) mod maintenance;
pub(crate) mod policy;
pub(crate) mod probes;
pub(crate) mod process;
pub(crate) mod reader;
pub(crate) mod ready;
pub(crate) mod reload;
pub(crate) mod schedule;
pub(crate) mod stale_sockets;
pub(crate) mod status_files;
pub(crate) mod tables;
pub(crate) mod tools;
