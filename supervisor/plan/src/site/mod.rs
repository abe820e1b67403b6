//! The administrator's values, from the site file and `secrets.toml`, checked against the schema.
//!
//! `values` owns the result. `daemon` reads what is said of the supervisor itself, `unset_env` a
//! list of variables, `unknown_keys` explains a key that nobody declared. `secrets` lays the values
//! of `secrets.toml` beneath those of the site file, and refuses files that others can read.
//!
//! No template is rendered here: the site file has none, so its mistakes are found before any value
//! is worked out.

pub(crate) mod daemon;
pub(crate) mod secrets;
pub(crate) mod unknown_keys;
pub(crate) mod unset_env;
pub(crate) mod values;
