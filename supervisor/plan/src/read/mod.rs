//! Files, values and words, before anything is known of what they mean.
//!
//! `document` turns a TOML file into a tree whose values know their places, and is the only user of
//! the parser; `toml_hints` explains its errors. `fields` reads a table key by key and reports the
//! keys that nobody asked for. `typed` gives a value its type, with `form` for what a type allows.
//! `expression` tells a template from a literal, `ident` a name from a word, `secrecy` a secret
//! from any other value, `secret_spec` and `signal` read their notations.
//!
//! Nothing here knows a key by name.

pub(crate) mod document;
pub(crate) mod expression;
pub(crate) mod fields;
pub(crate) mod form;
pub(crate) mod ident;
pub(crate) mod secrecy;
pub(crate) mod secret_spec;
pub(crate) mod signal;
pub(crate) mod toml_hints;
pub(crate) mod typed;
pub(crate) mod url;
