//! The value of every name: settings, top-level keys, built-ins and `.enable`.
//!
//! `resolver` works out each name once and remembers it ([`outcome`] says what can come of it); a
//! name whose value needs itself is an error. `names` finds what a dotted name means, `defaults`
//! and `find` what an unset setting is, `enable` whether a service runs here. `template` is the
//! engine, `template_file` a template with what it includes, `search_path` where those lie,
//! `locals` names that exist at one place only, `context` what one template sees.
//!
//! Taint: a value that a secret went into is a secret.

pub(crate) mod context;
pub(crate) mod defaults;
pub(crate) mod enable;
pub(crate) mod find;
pub(crate) mod locals;
pub(crate) mod names;
pub(crate) mod origins;
pub(crate) mod outcome;
pub(crate) mod resolver;
pub(crate) mod search_path;
pub(crate) mod template;
pub(crate) mod template_file;
