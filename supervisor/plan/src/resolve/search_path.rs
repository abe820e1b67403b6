//! The search path for templates and tables of variables.

use std::path::PathBuf;

use crate::{
    host::machine::Host,
    model::Paths,
    read::document::read_text,
    report::{place::Place, problem::Report},
};

/// Directories of templates: the administrator's comes first.
#[derive(Clone, Debug)]
pub(crate) struct SearchPath {
    dirs: Vec<PathBuf>,
}

impl SearchPath {
    pub(crate) fn new(paths: &Paths) -> Self {
        Self {
            dirs: vec![paths.etc_dir.join("services.d"), paths.catalog_dir.clone()],
        }
    }

    /// Reads a file from the first directory that has it: path and text. A file that none has is
    /// reported at `at`, as a missing `what`.
    pub(crate) fn read(
        &self,
        host: &dyn Host,
        report: &mut Report,
        what: &str,
        name: &str,
        at: &Place,
        key: &str,
    ) -> Option<(PathBuf, String)> {
        for dir in &self.dirs {
            let path = dir.join(name);
            match read_text(host, &path, report) {
                Ok(Some(text)) => return Some((path, text)),
                Ok(None) => {}
                Err(()) => return None,
            }
        }
        let dirs = text::list(self.dirs.iter().map(|dir| dir.display().to_string()));
        let message = format!("there is no {what} `{name}`");
        let problem = report.error(at, key, message);
        problem.hint(format!("looked in {dirs}"));
        None
    }
}
