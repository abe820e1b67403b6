//! Durations (`500ms`, `30s`, `1h30m`) and sizes (`10M`, `1G`).

/// Milliseconds of a duration.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!("`{text}` is not a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"")
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if number == "0" && next.is_empty() => 1,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = number
            .checked_mul(factor)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("`{text}` is too long"))?;
        rest = next.trim_start();
    }
    Ok(total)
}

/// Bytes of a size.
pub(crate) fn size_bytes(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let digits = trimmed
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => {
            return Err(format!(
                "`{text}` is not a size such as \"64K\", \"10M\" or \"1G\""
            ));
        }
    };
    number
        .parse::<u64>()
        .map_err(|_| format!("`{text}` is not a size such as \"64K\", \"10M\" or \"1G\""))?
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_and_sizes() {
        assert_eq!(duration_ms("500ms"), Ok(500));
        assert_eq!(duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(duration_ms("7d"), Ok(604_800_000));
        assert_eq!(duration_ms("0"), Ok(0));
        for bad in ["", "10", "s", "1y", "-1s", "1.5s", "99999999999999999999d"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
        assert_eq!(size_bytes("10M"), Ok(10 << 20));
        assert_eq!(size_bytes("1 GiB"), Ok(1 << 30));
        assert_eq!(size_bytes("4096"), Ok(4096));
        for bad in ["", "M", "-1", "1X", "99999999999T"] {
            assert!(size_bytes(bad).is_err(), "{bad}");
        }
    }
}
