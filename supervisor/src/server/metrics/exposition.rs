//! The text that is being written, in the form of `OpenMetrics`.

use std::fmt::{Display, Write as _};

/// The text that is being written.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family; its name ends with its unit, if it has one.
    pub(super) fn family(&mut self, name: &str, kind: &str, unit: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE mattervisor_{name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT mattervisor_{name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP mattervisor_{name} {help}");
    }

    /// The whole text.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }

    /// Writes a sample of the family that was begun last.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "mattervisor_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if at == 0 { '{' } else { ',' });
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample(
            "x_total",
            &[("a", "back\\slash \"quoted\"\nline"), ("b", "ä")],
            1.5,
        );
        assert_eq!(
            text.0,
            "mattervisor_x_total{a=\"back\\\\slash \\\"quoted\\\"\\nline\",b=\"ä\"} 1.5\n"
        );
    }
}
