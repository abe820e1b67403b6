//! Output of programs, reduced to one line.

/// Output of several lines in one line: `exit code 1: no such user; test failed`.
pub fn one_line(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().map(str::trim).filter(|it| !it.is_empty()) {
        out.push_str(match out.chars().last() {
            None => "",
            Some(':' | ';') => " ",
            Some(_) => "; ",
        });
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_become_one() {
        assert_eq!(
            one_line("exit code 1:\n  no such user\n\ntest failed\n"),
            "exit code 1: no such user; test failed"
        );
        assert_eq!(one_line("exit code 1"), "exit code 1");
    }
}
