//! An environment while its layers are laid, with the place of each variable.

use std::collections::BTreeMap;

use crate::{model::Variable, report::place::Place, resolve::origins::Origin};

/// Variables, and where each but PATH was written.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<String, Variable>,
    pub(crate) written: BTreeMap<String, Written>,
}

/// Where the value of a variable was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) at: Place,
    /// The dotted key at that place.
    pub(crate) key: String,
    /// The setting that became the variable, as the site file names it.
    pub(crate) setting: Option<String>,
    /// By the administrator, and not by the service file.
    pub(crate) given: bool,
}

impl Environment {
    /// Where each variable was written, for those who explain an environment.
    pub(crate) fn origins(&self) -> BTreeMap<String, Origin> {
        let all = self.written.iter().map(|(name, written)| {
            let origin = Origin {
                file: written.at.file().to_owned(),
                line: written.at.position().map(|(line, _)| line),
                key: written.key.clone(),
                setting: written.setting.clone(),
                given: written.given,
            };
            (name.clone(), origin)
        });
        all.collect()
    }

    /// Sets a variable over whatever it was.
    pub(crate) fn set(&mut self, name: String, variable: Variable, written: Written) {
        self.variables.insert(name.clone(), variable);
        self.written.insert(name, written);
    }
}
