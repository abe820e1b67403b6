//! Texts of programs, as those who show an answer or keep it need them.

/// Where a text is not the JSON that is expected. serde's own words would quote what stands there,
/// which may be a secret.
pub fn json_place(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("it is not what is expected in line {line}, column {column}")
}

/// What a program said in several lines, in one.
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
