//! Sizes, in bytes.
//!
//! Three forms: what a configuration has ([`exact_size`], powers of 1024), a number in a column
//! ([`column_size`], powers of 1024 as `ps`, `top` and `free` count), and files, databases and
//! disks in sentences ([`size`], powers of 1000 as disks are sold).

/// A size for a sentence, with one digit after the point: `12 B`, `1.5 kB`, `7.0 GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1000;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A size for a column, with at most three digits before the unit: `999B`, `5.0M`, `345M`.
pub fn column_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut shown = bytes;
    let mut unit = 0;
    while shown >= 1000 && unit + 1 < UNITS.len() {
        unit += 1;
        shown = bytes.div_ceil(1 << (10 * unit));
    }
    if shown < 10 && unit > 0 {
        let whole = 1_u128 << (10 * unit);
        let tenths = (u128::from(bytes) * 10 + whole / 2) / whole;
        return format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit]);
    }
    format!("{shown}{}", UNITS[unit])
}

/// A size as a configuration may have it, without loss: `10M`, `4097`.
pub fn exact_size(bytes: u64) -> String {
    let units = [("G", 30), ("M", 20), ("K", 10)];
    let fits = |(_, shift): &(&str, u32)| bytes > 0 && bytes.trailing_zeros() >= *shift;
    match units.into_iter().find(fits) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

/// Reads a size, in bytes: `4096`, `64K`, `10M`, `1 GiB`. Units are powers of 1024, in either case.
/// The error says what is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size such as \"64K\", \"10M\" or \"1G\"");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = trimmed.split_at(digits.unwrap_or(trimmed.len()));
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_in_a_sentence_has_one_digit_after_the_point() {
        let said = [0, 999, 1000, 1_550, 999_999, 7_500_000_000, u64::MAX].map(size);
        let expected = [
            "0 B",
            "999 B",
            "1.0 kB",
            "1.5 kB",
            "999.9 kB",
            "7.5 GB",
            "18446.7 PB",
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_size_in_a_column_is_short() {
        let sizes = [0, 999, 1000, 5 << 20, 345 << 20, 1 << 30, 12 << 30, 3 << 50];
        assert_eq!(
            sizes.map(column_size),
            ["0B", "999B", "1.0K", "5.0M", "345M", "1.0G", "12G", "3072T"]
        );
    }

    #[test]
    fn what_is_written_without_loss_is_read_back() {
        for bytes in [0, 1, 1023, 1024, 10 << 20, (1 << 30) + 1, 5 << 30, u64::MAX] {
            assert_eq!(parse_size(&exact_size(bytes)), Ok(bytes));
        }
        assert_eq!(exact_size(10 << 20), "10M");
    }

    #[test]
    fn a_size_is_read_as_people_write_it() {
        assert_eq!(parse_size("10M"), Ok(10 << 20));
        assert_eq!(parse_size("1 GiB"), Ok(1 << 30));
        assert_eq!(parse_size("4096"), Ok(4096));
        for bad in ["", "M", "-1", "1X", "99999999999T"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
