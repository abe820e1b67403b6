//! `ctl import`: turns the gitlab.rb of a GitLab package with Mattermost into a site file.
//!
//! Steps of an import: `sources` reads the files; [`ruby`] reads gitlab.rb without running it;
//! `settings` finds the value of each setting that counts; `convert` and the `rules_*` turn each
//! setting into a key; `finish` arranges services for this machine; `equalise` makes Mattermost's
//! environment what it was, and reports differences; `check` checks the draft against the catalogue
//! inside the program; `write` writes the files. `package`, `environment` and `database` know what
//! GitLab's package made of its settings. The [`report`] has a line for each decision.
//!
//! Invariants: the import decides nothing from a value that is not [`known`]; no secret is in a
//! report. Limits: 2 MiB for a file; [`ruby`] limits values and their nesting.

mod catalogue;
mod check;
mod coerce;
mod command;
mod convert;
mod database;
mod draft;
mod environment;
mod equalise;
mod finish;
mod gitlab;
mod known;
mod legacy;
mod next;
mod package;
mod report;
mod restrictions;
mod ruby;
mod rules_mattermost;
mod rules_nginx;
mod rules_postgresql;
mod rules_variables;
mod secrecy;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use client::{Error, Kind, command_line};
use serde_json::{Map, Value as Json};

use self::{
    catalogue::Catalogue, convert::Converter, draft::Draft, package::Package, report::Report,
};

fn main() -> ExitCode {
    command_line::main(async |context, command| command::run(context, command))
}

/// Inputs and output of an import.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// gitlab.rb, or `-`.
    pub(crate) file: PathBuf,
    /// gitlab-secrets.json.
    pub(crate) secrets: Option<PathBuf>,
    /// The directory of variables.
    pub(crate) env_dir: Option<PathBuf>,
    /// The site file to write.
    pub(crate) output: Option<PathBuf>,
    /// Directory below which GitLab's package may be installed.
    pub(crate) root: PathBuf,
}

/// Result of an import.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) report: Report,
    /// The site file's text.
    pub(crate) site: String,
    /// Keys that belong in secrets.toml.
    pub(crate) secret_keys: Vec<String>,
    /// Files that were written.
    pub(crate) written: Vec<PathBuf>,
}

/// Contents of all inputs.
struct Inputs {
    ruby: String,
    secrets: Map<String, Json>,
    variables: Option<BTreeMap<String, Option<String>>>,
    /// GitLab's package is on this machine.
    installed: bool,
    /// Names of the inputs, for the report.
    read: Vec<String>,
    /// The file of secrets has no block `mattermost`.
    without_block: bool,
}

/// Reads, converts, checks and, with an output, writes.
pub(crate) fn run(request: &Request) -> Result<Import, Error> {
    let secrets_file = request.output.as_deref().map(write::target).transpose()?;
    let inputs = read(request)?;
    let name = match request.file.file_name() {
        Some(name) if request.file != Path::new("-") => name.to_string_lossy().into_owned(),
        _ => "gitlab.rb".to_owned(),
    };
    let catalogue = Catalogue::embedded();
    let (draft, report) = convert(&inputs, &catalogue, request, secrets_file.as_deref())?;
    let site = draft.site(&name).text;
    let mut import = Import {
        report,
        site,
        secret_keys: draft.secrets().map(draft::Entry::key).collect(),
        written: Vec::new(),
    };
    if let (Some(output), Some(secrets)) = (&request.output, &secrets_file) {
        import.written = write::write(output, &import.site, secrets, &draft)?;
    }
    Ok(import)
}

fn convert(
    inputs: &Inputs,
    catalogue: &Catalogue,
    request: &Request,
    secrets_file: Option<&Path>,
) -> Result<(Draft, Report), Error> {
    let said = ruby::read(&inputs.ruby).map_err(|error| {
        let file = sources::name(&request.file);
        let place = format!("{file}:{}:{}", error.line, error.column);
        Error::new(
            Kind::Failed,
            format!("{place}: {}; nothing was written", error.what),
        )
        .hint(format!(
            "ruby -c {} says more, where there is a Ruby",
            request.file.display()
        ))
    })?;
    let (settings, lines) = settings::settle(&said);
    let package = Package {
        settings: &settings,
        secrets: &inputs.secrets,
        variables: inputs.variables.as_ref(),
        installed: inputs.installed,
    };
    let mut converter = Converter {
        catalogue,
        package: &package,
        draft: Draft::default(),
        report: Report {
            read: inputs.read.clone(),
            ..Report::default()
        },
    };
    for line in lines {
        converter.stray(line);
    }
    for setting in &settings {
        converter.setting(setting);
    }
    converter.secrets();
    converter.arrange(inputs.without_block);
    converter.finish(secrets_file)?;
    let Converter {
        draft, mut report, ..
    } = converter;
    report.next = next::steps(&package, &request.root, &draft);
    report.lines.sort_by_key(|line| line.origin);
    Ok((draft, report))
}

/// Paths of GitLab's package, below the root.
const GITLAB_RB: &str = "etc/gitlab/gitlab.rb";
const ENV_DIR: &str = "opt/gitlab/etc/mattermost/env";
const EMBEDDED: &str = "opt/gitlab/embedded";

/// Reads all inputs. Without options, the secrets are those beside the file, and the variables
/// those of GitLab's package if the file is the package's own gitlab.rb.
fn read(request: &Request) -> Result<Inputs, Error> {
    // Ruby takes CR LF as a line end.
    let ruby = sources::text(&request.file, "gitlab.rb")?.replace("\r\n", "\n");
    let mut read = vec![sources::name(&request.file)];
    let beside = request.file.with_file_name("gitlab-secrets.json");
    let from_stdin = request.file == Path::new("-");
    let secrets = request
        .secrets
        .clone()
        .or_else(|| Some(beside).filter(|it| !from_stdin && it.exists()));
    // A relative path or a link may name the same file.
    let real = |path: &Path| path.canonicalize().ok();
    let in_place = !from_stdin
        && real(&request.file).is_some_and(|it| real(&request.root.join(GITLAB_RB)) == Some(it));
    let env_dir = request.env_dir.clone().or_else(|| {
        let dir = request.root.join(ENV_DIR);
        Some(dir).filter(|it| in_place && it.is_dir())
    });
    let block = secrets.as_deref().map(sources::secrets).transpose()?;
    let variables = env_dir.as_deref().map(sources::variables).transpose()?;
    read.extend(
        [&secrets, &env_dir]
            .into_iter()
            .flatten()
            .map(|it| it.display().to_string()),
    );
    Ok(Inputs {
        ruby,
        without_block: matches!(block, Some(None)),
        secrets: block.flatten().unwrap_or_default(),
        variables,
        installed: request.root.join(EMBEDDED).exists(),
        read,
    })
}
