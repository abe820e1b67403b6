//! Loads of whole configurations on a machine in memory.

mod asserts;
mod bad;
mod broken;
mod catalogue;
mod certificates;
mod changes;
mod credentials;
mod email;
mod environment;
mod gitlab_rb;
mod hostile;
mod jobs;
mod keys;
mod known_values;
mod known_variables;
mod layers;
pub(crate) mod machine;
mod maintenance;
mod notify;
mod patterns;
mod places;
mod pointless;
mod random;
mod reference;
mod reload;
mod settings;
mod shown;
mod status_files;
mod templates;
mod tools;
mod unavailable;
mod unworkable;

pub(crate) use machine::Machine;
