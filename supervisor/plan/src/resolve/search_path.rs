//! Where templates and tables lie.

use std::path::PathBuf;

use crate::{
    host::machine::Host,
    model::Paths,
    read::document::read_text,
    report::{place::Place, problem::Report},
};

/// Where templates lie: the administrator's directory first.
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

    /// A file from the first of them that has it: where it lies, and its text. That none has it is
    /// reported, at the place that wants it; `what` it is.
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
        let dirs: Vec<String> = (self.dirs.iter())
            .map(|dir| dir.display().to_string())
            .collect();
        let message = format!("there is no {what} `{name}`");
        let problem = report.error(at, key, message);
        problem.hint(format!("looked in {}", dirs.join(" and ")));
        None
    }
}
