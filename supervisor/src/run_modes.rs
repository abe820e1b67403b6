//! From a command line to what the binary runs as: the keeper, one of its children, or a check.
//!
//! `main.rs` passes in the work of each child, so nothing here knows that work.

use std::{
    ffi::OsString,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use keeper::{
    journal::{self, Severity},
    stderr,
    stderr_log::Voice,
};
use nix::sys::stat::{Mode, umask};
use plan::{Options, Paths};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    cli::{Cli, LogFormat},
    exit, load_plan,
};

/// Runs everything until it is told to stop.
pub(crate) fn keeper(cli: &Cli) -> ExitCode {
    let options = match options(cli) {
        Ok(options) => options,
        Err(why) => return fail(&why),
    };
    let paths = Paths::new(&options);
    // Whatever was inherited: the groups of the control socket have to be able to enter its
    // directory.
    umask(Mode::from_bits_truncate(0o022));
    for (dir, mode) in [
        (&paths.run_dir, 0o755),
        (&paths.state_dir, 0o755),
        (&paths.log_dir, 0o755),
    ] {
        if let Err(error) = safe_path::Dir::make(dir, mode) {
            let hint = if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem {
                "mount it for writing, or give a directory that can be written: mattervisord --root DIR"
            } else {
                "run it as root, or give a directory of your own: mattervisord --root DIR"
            };
            return fail(&format!(
                "cannot make {}: {error}\n  hint: {hint}",
                dir.display()
            ));
        }
    }
    keeper::run(config(cli, &options))
}

/// Says whether this program can become the keeper's.
pub(crate) fn keeper_trial(cli: &Cli) -> ExitCode {
    log_to_stderr("trial", cli.log_format);
    // What it needs for more than that it has to have too.
    let code = match options(cli) {
        Ok(_) => keeper::answer_trial(),
        Err(why) => fail(&why),
    };
    stderr::flush();
    code
}

/// Goes on as the keeper in the process of another program.
pub(crate) fn keeper_resume(cli: &Cli, given: &keeper::Given) -> ExitCode {
    umask(Mode::from_bits_truncate(0o022));
    match options(cli) {
        Ok(options) => keeper::resume(config(cli, &options), given),
        Err(why) => fail(&why),
    }
}

fn config(cli: &Cli, options: &Options) -> keeper::Config {
    let paths = Paths::new(options);
    // With this command, and these options.
    let argv = |name: &str, command: &str| -> Vec<OsString> {
        let mut argv = vec![name.into(), command.into()];
        argv.extend(["--root".into(), options.root.clone().into()]);
        if let Some(catalog) = &options.catalog {
            argv.extend(["--catalog".into(), catalog.clone().into()]);
        }
        if cli.log_format == LogFormat::Json {
            argv.extend(["--log-format".into(), "json".into()]);
        }
        argv
    };
    keeper::Config {
        root: options.root.clone(),
        control_socket: paths.run_dir.join("ctl.sock"),
        run_dir: paths.run_dir,
        state_dir: paths.state_dir,
        state_hash: hash(&options.root),
        control_argv: argv("supervisor", "control"),
        trial_argv: argv("mattervisord", "keeper-trial"),
        resume_argv: argv("mattervisord", "keeper-resume"),
        log_json: cli.log_format == LogFormat::Json,
    }
}

/// A child of the keeper: runs `body` under the daemon's options, with a log that never blocks it.
/// `name` stands in each of its log lines.
pub(crate) fn child(
    cli: &Cli,
    name: &'static str,
    body: impl FnOnce(&Options) -> ExitCode,
) -> ExitCode {
    log_to_stderr(name, cli.log_format);
    let code = match options(cli) {
        Ok(options) => body(&options),
        Err(why) => fail(&why),
    };
    stderr::flush();
    code
}

/// Says all that is wrong with the configuration.
pub(crate) fn check(cli: &Cli) -> ExitCode {
    let options = match options(cli) {
        Ok(options) => options,
        Err(why) => return fail(&why),
    };
    let reply = load_plan::check(&options, None);
    let mut out = io::stdout().lock();
    for problem in &reply.problems {
        let place = if problem.line > 0 {
            format!(":{}", problem.line)
        } else {
            String::new()
        };
        let key = if problem.key.is_empty() {
            String::new()
        } else {
            format!("{}: ", problem.key)
        };
        let (file, severity, message) = (&problem.file, &problem.severity, &problem.message);
        // Nothing can be done about a reader that has gone away.
        let _ = writeln!(out, "{file}{place}: {severity}: {key}{message}");
        if let Some(hint) = &problem.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    if reply.ok {
        let _ = writeln!(out, "the configuration is good");
        return ExitCode::SUCCESS;
    }
    ExitCode::from(exit::FAILURE)
}

/// Prints the version.
pub(crate) fn version() -> ExitCode {
    let written = writeln!(io::stdout(), "supervisor {}", env!("CARGO_PKG_VERSION"));
    if written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit::FAILURE)
    }
}

/// Root and catalogue as absolute paths: the daemon changes no directory, but its children do. From
/// here on both are trusted.
fn options(cli: &Cli) -> Result<Options, String> {
    let absolute = |path: &Path| -> Result<PathBuf, String> {
        std::path::absolute(path).map_err(|error| format!("cannot use {}: {error}", path.display()))
    };
    let root = cli.root.clone().or_else(|| environment("MATTERVISOR_ROOT"));
    let catalog = cli
        .catalog
        .clone()
        .or_else(|| environment("MATTERVISOR_CATALOG"));
    let root = absolute(&root.unwrap_or_else(|| PathBuf::from("/")))?;
    safe_path::trust_root(&root);
    let catalog = catalog.as_deref().map(absolute).transpose()?;
    if let Some(catalog) = &catalog {
        safe_path::trust_root(catalog);
    }
    Ok(Options { root, catalog })
}

/// An empty variable is as good as none.
fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn fail(why: &str) -> ExitCode {
    // Nothing but memory is written to, which cannot fail.
    let _ = writeln!(stderr::Message(Severity::Error), "supervisor: {why}");
    stderr::flush();
    ExitCode::from(exit::FAILURE)
}

/// Tells this root from others on the machine.
fn hash(root: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

/// Refuses a command line. In the journal this is an error, as whatever keeps the daemon from its
/// start.
pub(crate) fn refuse(error: &clap::Error) -> ! {
    if error.use_stderr() && journal::is_stderr() {
        let text = error.to_string();
        stderr::write(journal::with_priority(Severity::Error, text.trim_end()).as_bytes());
        stderr::flush();
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// Whatever becomes of a line, the process that says it goes on at once.
fn log_to_stderr(name: &'static str, format: LogFormat) {
    let json = format == LogFormat::Json;
    keeper::stderr_log::speak_as(Voice { name, json });
    stderr::say_panics();
    let lines = tracing_subscriber::fmt()
        .with_writer(BySeverity)
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(false);
    if json {
        lines.json().init();
    } else if journal::is_stderr() {
        // The journal has the time and the level beside the text.
        lines.without_time().with_level(false).init();
    } else {
        lines.init();
    }
}

/// Makes a writer for each message that knows how important the message is.
struct BySeverity;

impl MakeWriter<'_> for BySeverity {
    type Writer = stderr::Message;

    fn make_writer(&self) -> Self::Writer {
        stderr::Message(Severity::Info)
    }

    fn make_writer_for(&self, about: &tracing::Metadata<'_>) -> Self::Writer {
        stderr::Message(match *about.level() {
            tracing::Level::ERROR => Severity::Error,
            tracing::Level::WARN => Severity::Warning,
            tracing::Level::INFO => Severity::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Severity::Debug,
        })
    }
}
