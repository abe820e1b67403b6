//! How the processes beside a service have ended (validators, reload commands, exec probes), in
//! words.

use keeper::message::Exit;

/// What a helper that has ended says: what it has printed, or why it failed with that.
pub(super) fn result(exit: Exit, timed_out: bool, output: &str) -> Result<String, String> {
    match exit {
        _ if timed_out => Err(with_output("timed out", output)),
        Exit::Code(0) => Ok(output.trim_end().to_owned()),
        Exit::Code(code) => Err(with_output(&text::exit_code(code), output)),
        Exit::Signal(signal) => {
            let name = text::signal::shown(signal);
            Err(with_output(&text::killed_by(&name), output))
        }
    }
}

fn with_output(what: &str, output: &str) -> String {
    let output = output.trim();
    if output.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {output}")
    }
}

/// Lines of a validator that say by themselves that they are warnings or worse: `<4>…`, as
/// sd-daemon(3) has it.
pub(super) fn warnings(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter_map(|line| {
        let (level, text) = line.strip_prefix('<')?.split_once('>')?;
        matches!(level, "0" | "1" | "2" | "3" | "4").then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_say_so_are_warnings() {
        let said = "reads a.conf\n<4>a is old\n<6>b is read\n<3>c is gone\n<4\n4>\n<>\n";
        let found: Vec<&str> = warnings(said).collect();
        assert_eq!(found, ["a is old", "c is gone"]);
    }

    #[test]
    fn a_failure_comes_with_what_was_printed() {
        assert_eq!(
            result(Exit::Code(0), false, "fine\n"),
            Ok("fine".to_owned())
        );
        assert_eq!(
            result(Exit::Code(2), false, " bad line 3\n"),
            Err("exit code 2: bad line 3".to_owned())
        );
        assert_eq!(
            result(Exit::Signal(9), true, ""),
            Err("timed out".to_owned())
        );
    }
}
