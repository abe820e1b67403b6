//! Numbers and the escapes of strings.

use super::value::Value;

/// `10_000`, `0x1f`, `0b1`, `0o17` and `017`.
pub(super) fn integer(text: &str) -> Value {
    let digits = text.replace('_', "").to_ascii_lowercase();
    let parsed = if let Some(rest) = digits.strip_prefix("0x") {
        i64::from_str_radix(rest, 16)
    } else if let Some(rest) = digits.strip_prefix("0b") {
        i64::from_str_radix(rest, 2)
    } else if let Some(rest) = digits.strip_prefix("0o") {
        i64::from_str_radix(rest, 8)
    } else if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0d") {
        i64::from_str_radix(&digits[1..], 8)
    } else {
        digits.trim_start_matches("0d").parse()
    };
    parsed.map_or_else(
        |_| Value::Unknown("the number is too large".to_owned()),
        Value::Int,
    )
}

/// `1.5`, `1e3`.
pub(super) fn float(text: &str) -> Value {
    text.replace('_', "").parse().map_or_else(
        |_| Value::Unknown("it is not a number that is known here".to_owned()),
        Value::Float,
    )
}

/// Appends the bytes of an escape sequence of a double-quoted string.
pub(super) fn escape(sequence: &str, out: &mut Vec<u8>) {
    let rest = sequence.strip_prefix('\\').unwrap_or(sequence);
    let first = rest.chars().next().unwrap_or('\\');
    let plain = match first {
        'n' => "\n",
        't' => "\t",
        's' => " ",
        'r' => "\r",
        'e' => "\u{1b}",
        'a' => "\u{7}",
        'b' => "\u{8}",
        'f' => "\u{c}",
        'v' => "\u{b}",
        '\n' => "",
        'u' => return unicode(&rest[1..], out),
        'x' => {
            out.extend(u8::from_str_radix(&rest[1..], 16).ok());
            return;
        }
        '0'..='7' => {
            // More than 0o377 wraps, as in Ruby.
            let value = u32::from_str_radix(rest, 8).unwrap_or(0) & 0xff;
            out.extend(u8::try_from(value).ok());
            return;
        }
        _ => rest,
    };
    out.extend_from_slice(plain.as_bytes());
}

/// Appends the characters of `\u00e9` or `\u{e9 1f600}`; `digits` follow the `u`.
fn unicode(digits: &str, out: &mut Vec<u8>) {
    let inner = digits.trim_start_matches('{').trim_end_matches('}');
    for code in inner.split_whitespace() {
        let character = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// A string in single quotes: a backslash escapes only a backslash and the quotes.
pub(super) fn single_quoted(text: &str, open: char, close: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = letters
            .peek()
            .is_some_and(|it| *it == '\\' || *it == open || *it == close);
        if letter == '\\' && escaped {
            out.extend(letters.next());
        } else {
            out.push(letter);
        }
    }
    out
}

/// A word of `%w[…]`: a backslash escapes a blank, a bracket or a backslash.
pub(super) fn word(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let escapes = letters
            .peek()
            .is_some_and(|it| it.is_whitespace() || "\\[](){}<>|".contains(*it));
        if letter == '\\' && escapes {
            out.extend(letters.next());
        } else {
            out.push(letter);
        }
    }
    out
}

/// Removes the common indentation from the parts of a `<<~` text. `true` marks literal text of the
/// file, `false` the result of an escape or an interpolation. Each part continues the part before.
pub(super) fn dedent(parts: &mut [(Vec<u8>, bool)]) {
    let width = indentation(parts);
    let mut at_start = true;
    for (bytes, literal) in parts {
        if !*literal {
            at_start = false;
            continue;
        }
        let mut out = Vec::with_capacity(bytes.len());
        let mut left = if at_start { width } else { 0 };
        for byte in bytes.iter() {
            if left > 0 && matches!(byte, b' ' | b'\t') {
                left -= 1;
                continue;
            }
            left = if *byte == b'\n' { width } else { 0 };
            out.push(*byte);
        }
        at_start = bytes.last() == Some(&b'\n');
        *bytes = out;
    }
}

fn indentation(parts: &[(Vec<u8>, bool)]) -> usize {
    let mut least = usize::MAX;
    let mut at_start = true;
    let mut here = 0;
    for (bytes, literal) in parts {
        if !*literal {
            if at_start {
                least = least.min(here);
            }
            at_start = false;
            continue;
        }
        for byte in bytes {
            match byte {
                b'\n' => (at_start, here) = (true, 0),
                b' ' | b'\t' if at_start => here += 1,
                _ if at_start => {
                    least = least.min(here);
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    if least == usize::MAX { 0 } else { least }
}
