//! `ctl check-config`: reports every problem of the configuration files. The command reads the
//! files itself, so that the result is the same with and without a supervisor, and changes nothing.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use api::{CheckReply, Problem};
use client::{
    Context, Error, Format, Kind,
    render::{CYAN, GREEN, RED_BOLD, YELLOW, json, shown, styled},
};
use plan::{
    Options, Paths, Plan, RealHost, Severity,
    lost_secrets::{self, Known},
};

/// Text after the command's help.
pub(crate) const EXAMPLES: &str = "\
Names every problem with file, line, key and the nearest right name, and ends with 1 if there is
one.

Examples:
  ctl check-config
  ctl check-config --root /srv/test --catalog ./services.d";

/// Prints every problem; 1 if one of them is an error.
pub(crate) fn run(context: &Context) -> Result<u8, Error> {
    let options = options(context)?;
    let etc_dir = Paths::new(&options).etc_dir;
    let known = || Known::of(None, &Paths::new(&options).state_dir);
    let mended = lost_secrets::load_mended(&RealHost, &options, known);
    let (good, found) = match mended.map(|it| it.plan) {
        Ok(_) if !etc_dir.is_dir() => (None, vec![nothing_there(etc_dir)]),
        Ok(mut plan) => {
            let remarks = std::mem::take(&mut plan.remarks);
            (Some(sentence(&plan)), remarks)
        }
        Err(problems) => (None, problems.0),
    };
    let errors = found
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let problems: Vec<Problem> = found.into_iter().map(to_api).collect();
    let mut text = String::new();
    if context.format == Format::Json {
        let ok = good.is_some();
        text = json::value(&CheckReply { ok, problems }, context.terminal())?;
    } else {
        for problem in &problems {
            write_problem(&mut text, problem);
        }
        let _ = match &good {
            Some(sentence) => writeln!(text, "{}", styled(GREEN, sentence)),
            None => writeln!(text, "{}", styled(RED_BOLD, &verdict(errors))),
        };
    }
    context.print(&text)?;
    Ok(if good.is_some() {
        0
    } else {
        Kind::Failed.exit_code()
    })
}

/// Root and catalogue of the command line, as absolute paths.
pub(super) fn options(context: &Context) -> Result<Options, Error> {
    Ok(Options {
        root: absolute(&context.root)?,
        catalog: context.catalog.as_deref().map(absolute).transpose()?,
    })
}

/// The error for a root without a configuration directory: a mistyped root must not pass as good.
fn nothing_there(etc_dir: PathBuf) -> plan::Problem {
    plan::Problem {
        severity: Severity::Error,
        file: etc_dir,
        line: None,
        column: None,
        key: String::new(),
        message: "there is no configuration here: the directory does not exist".to_owned(),
        hint: Some(
            "--root or MATTERVISOR_ROOT names the directory above etc/mattervisor".to_owned(),
        ),
        variable: None,
        denied: false,
    }
}

/// Paths of a plan are absolute.
fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf, Error> {
    std::path::absolute(path).map_err(|error| {
        Error::new(
            Kind::Failed,
            format!("cannot find {}: {error}", path.display()),
        )
    })
}

fn sentence(plan: &Plan) -> String {
    let enabled = plan
        .services
        .values()
        .filter(|service| service.enabled)
        .count();
    let disabled = plan.services.len() - enabled;
    let services = text::counted(enabled, "service", "services");
    let counts = format!("{services} enabled, {disabled} disabled");
    match first_step(plan) {
        Some(hint) if enabled == 0 => {
            format!("the configuration is good, but nothing would run: {counts}\nhint: {hint}")
        }
        _ => format!("the configuration is good: {counts}"),
    }
}

/// The hint that enables the most services.
fn first_step(plan: &Plan) -> Option<&str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for service in plan.services.values() {
        *counts.entry(service.enable_hint.as_str()).or_default() += 1;
    }
    counts.remove("");
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(hint, _)| hint)
}

fn verdict(errors: usize) -> String {
    let errors = text::counted(errors, "error", "errors");
    format!("the configuration has {errors}")
}

pub(super) fn to_api(problem: plan::Problem) -> Problem {
    let (service, variable) = problem.variable.unzip();
    Problem {
        severity: problem.severity,
        file: problem.file.display().to_string(),
        line: problem.line.unwrap_or(0),
        key: problem.key,
        message: problem.message,
        hint: problem.hint,
        service,
        variable,
    }
}

/// Appends `file:line: severity: key: message`, with the hint below.
pub(crate) fn write_problem(text: &mut String, problem: &Problem) {
    let style = match problem.severity {
        Severity::Error => RED_BOLD,
        Severity::Warning => YELLOW.bold(),
        Severity::Note => CYAN.bold(),
    };
    let _ = match (problem.file.as_str(), problem.line) {
        ("", _) => Ok(()),
        (file, 0) => write!(text, "{}: ", shown(file)),
        (file, line) => write!(text, "{}:{line}: ", shown(file)),
    };
    text.push_str(&styled(style, &problem.severity.to_string()));
    text.push(':');
    if !problem.key.is_empty() {
        let _ = write!(text, " {}:", shown(&problem.key));
    }
    let _ = writeln!(text, " {}", shown(&problem.message));
    if let Some(hint) = &problem.hint {
        let _ = writeln!(text, "  hint: {}", shown(hint));
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::testing::{Ran, ctl};

    /// A root with this site file, and a catalogue of one service.
    fn checked(site: &str, flags: &str) -> (Ran, TempDir) {
        let (root, catalog) = crate::testing::root(site);
        let service = "command = [\"/bin/sleep\", \"9\"]\n[settings]\nport = { type = \"port\" }\n";
        std::fs::write(catalog.join("sleeper.toml"), service).unwrap();
        let (root_dir, catalog) = (root.path().display(), catalog.display());
        let ran = ctl(&format!(
            "ctl --root {root_dir} --catalog {catalog} check-config{flags}"
        ));
        (ran, root)
    }

    #[test]
    fn a_good_configuration_is_counted_without_a_supervisor() {
        let (ran, _root) = checked("sleeper.port = 80\n", "");
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let last = ran.out.lines().last().unwrap();
        assert_eq!(
            last,
            "the configuration is good: 1 service enabled, 0 disabled"
        );
    }

    #[test]
    fn a_configuration_that_runs_nothing_says_how_to_begin() {
        let (ran, _root) = checked("sleeper.enable = false\n", "");
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        assert!(
            ran.out
                .contains("nothing would run: 0 services enabled, 1 disabled\nhint: "),
            "{}",
            ran.out
        );
    }

    #[test]
    fn every_problem_is_shown_at_its_place_with_a_hint() {
        let (ran, root) = checked("\nsleeper.prt = 80\nsleeper.port = \"no\"\n", "");
        assert_eq!(ran.code, 1);
        let site = root.path().join("etc/mattervisor/mattervisor.toml");
        let site = site.display();
        assert!(
            ran.out.contains(&format!("{site}:2: error: sleeper.prt: ")),
            "{}",
            ran.out
        );
        assert!(
            ran.out
                .contains(&format!("{site}:3: error: sleeper.port: ")),
            "{}",
            ran.out
        );
        assert!(
            ran.out.contains("\n  hint: did you mean `port`?\n"),
            "{}",
            ran.out
        );
        assert!(
            ran.out.ends_with("the configuration has 2 errors\n"),
            "{}",
            ran.out
        );
    }

    #[test]
    fn a_root_that_is_not_there_is_not_good() {
        let root = tempfile::tempdir().unwrap();
        let gone = root.path().join("gone");
        let ran = ctl(&format!("ctl --root {} check-config", gone.display()));
        assert_eq!(ran.code, 1, "{}", ran.out);
        let place = gone.join("etc/mattervisor");
        let said = format!("{}: error: there is no configuration here", place.display());
        assert!(ran.out.contains(&said), "{}", ran.out);
        assert!(ran.out.contains("--root"), "{}", ran.out);
    }

    #[test]
    fn json_says_whether_it_is_good() {
        let (ran, _root) = checked("sleeper.port = \"no\"\n", " --format json");
        assert_eq!(ran.code, 1);
        let reply: CheckReply = serde_json::from_str(&ran.out).unwrap();
        assert!(!reply.ok);
        assert_eq!(reply.problems[0].key, "sleeper.port");
    }
}
