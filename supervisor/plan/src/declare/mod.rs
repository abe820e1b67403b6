//! Schema of the site file, as service files and `catalog.toml` declare it.
//!
//! `schema` owns the namespaces (one for each service, section, group and name that is unavailable)
//! with their settings; `setting` reads one declaration, `patterns` completes its regular
//! expression, `allowed` holds a value to it. `instances` declares the services that a template
//! makes, `catalog` what belongs to no single service.
//!
//! Invariant: after this step the schema does not change, and the site file is judged by it alone.
//! It comes before the site file but for one question, which instances there are.

pub(crate) mod allowed;
pub(crate) mod catalog;
pub(crate) mod instances;
pub(crate) mod patterns;
pub(crate) mod schema;
pub(crate) mod setting;
