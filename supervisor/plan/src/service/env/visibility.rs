//! Which variables of an env map may be shown.
//!
//! A variable that an administrator sets is shown only where something says that it is harmless:
//! the table of the variables that its program knows, `public` under `[variables]`, or its form
//! (empty, true, false).

use api::VariableSource;

use crate::{
    read::secrecy::{Secrecy, has_user, is_everywhere, is_switch},
    service::env::written::Environment,
};

/// Classifies each variable of an env map. `known`, by upper-case name, is
/// what the service file says. Returns the names of variables that are secret by that alone.
pub(crate) fn classify(
    environment: &mut Environment,
    known: impl Fn(&str) -> Option<Secrecy>,
) -> Vec<String> {
    let mut secrets = Vec::new();
    for (name, variable) in &mut environment.variables {
        if variable.source != VariableSource::SiteFile
            || variable.secret
            || is_switch(&variable.value)
        {
            continue;
        }
        let upper = name.to_ascii_uppercase();
        let everywhere = is_everywhere(&upper);
        match known(&upper) {
            Some(Secrecy::Secret) => {
                variable.secret = true;
                secrets.push(name.clone());
            }
            Some(Secrecy::Public) => {}
            None if everywhere => variable.private = has_user(&variable.value),
            Some(Secrecy::Private) | None => variable.private = true,
        }
    }
    secrets
}
