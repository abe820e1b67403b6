//! `ctl completions`: what a shell reads to complete our command lines.

use crate::{
    cli::Shell,
    complete,
    error::{Error, Kind},
};

use super::Context;

/// Prints it. Run by a path, it makes the shell ask that very program, else whichever `ctl` is found.
pub(crate) fn run(context: &Context, shell: Shell) -> Result<u8, Error> {
    let called = std::env::args().next().unwrap_or_default();
    let by_path = called.contains('/').then(std::env::current_exe);
    let program = match by_path {
        Some(Ok(path)) => path.display().to_string(),
        _ => "ctl".to_owned(),
    };
    let mut script = Vec::new();
    complete::registration(shell, &program, &mut script).map_err(|error| {
        Error::new(
            Kind::Failed,
            format!("cannot write the completions: {error}"),
        )
    })?;
    context.print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
