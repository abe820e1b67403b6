//! Making secrets and keeping them in `secrets.toml`. Pure: the caller has the random bytes and
//! the disk.

use crate::read::secret_spec::Spec;

/// Makes a secret by its spec from at least [`Spec::random_bytes`] random bytes.
pub fn generate(spec: &str, random: &[u8]) -> Result<String, String> {
    let spec = Spec::parse(spec)?;
    let random = random.get(..spec.random_bytes()).ok_or_else(|| {
        format!(
            "a secret of {} bytes cannot be made from {}",
            spec.random_bytes(),
            random.len()
        )
    })?;
    Ok(spec.encode(random))
}

/// Adds values (service, key, value) to the text of `secrets.toml`. Lines that are there stay as
/// written, also those of these keys.
pub fn insert_into(text: &str, values: &[(String, String, String)]) -> Result<String, String> {
    let mut wanted = parse(text)?;
    let mut out = text.to_owned();
    for (service, key, value) in values {
        let value = toml::Value::from(value.as_str());
        let table = wanted
            .entry(service)
            .or_insert_with(|| toml::Table::new().into());
        if table.get(key).is_some() {
            continue;
        }
        out = with_line(&out, service, key, &value.to_string());
        if let Some(table) = table.as_table_mut() {
            table.insert(key.clone(), value);
        }
    }
    checked(out, &wanted)
}

/// The text with one more line.
fn with_line(text: &str, service: &str, key: &str, value: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(header) = lines
        .iter()
        .position(|line| header_name(line) == Some(service))
    {
        lines.insert(header + 1, format!("{key} = {value}"));
    } else {
        // Above the first header, or it would belong to that; below the opening comment.
        let comment = |line: &&String| line.trim().is_empty() || line.starts_with('#');
        let top = lines.iter().take_while(comment).count();
        lines.insert(top, format!("{service}.{key} = {value}"));
    }
    let mut out = lines.join("\n");
    out.push('\n');
    out
}

/// A string may contain text like a header: the check makes sure that nothing else has changed.
fn checked(out: String, wanted: &toml::Table) -> Result<String, String> {
    if parse(&out)? == *wanted {
        return Ok(out);
    }
    Err(
        "secrets.toml cannot take another value; write its tables as `service.key = value`"
            .to_owned(),
    )
}

/// One value for `secrets.toml`: service, key, what it shall be.
pub type Assignment = (String, String, toml::Value);

/// `secrets.toml` with these values: one that is there is replaced where it stands, one that is not
/// is added. Everything else stays as it was written.
pub fn set_in(text: &str, values: &[Assignment]) -> Result<String, String> {
    let mut wanted = parse(text)?;
    let mut out = text.to_owned();
    let mut missing = Vec::new();
    for (service, key, value) in values {
        let table = wanted
            .entry(service)
            .or_insert_with(|| toml::Table::new().into());
        let old = table
            .as_table_mut()
            .and_then(|table| table.insert(key.clone(), value.clone()));
        if old.is_none() {
            missing.push((service, key, value));
        } else if let Some(range) = span(&out, service, key) {
            out.replace_range(range, &value.to_string());
        }
    }
    // Each goes above the one before it.
    for (service, key, value) in missing.into_iter().rev() {
        out = with_line(&out, service, key, &value.to_string());
    }
    checked(out, &wanted)
}

/// Where a value is written.
fn span(text: &str, service: &str, key: &str) -> Option<std::ops::Range<usize>> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let table = document.get_ref().get(service)?.get_ref().as_table()?;
    Some(table.get(key)?.span())
}

fn parse(text: &str) -> Result<toml::Table, String> {
    toml::from_str(text).map_err(|error| {
        format!(
            "secrets.toml cannot take another value: {}",
            error.message()
        )
    })
}

fn header_name(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix('[')?;
    let (name, _) = inner.split_once(']')?;
    Some(name.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_secrets_of_the_right_length() {
        assert_eq!(
            generate("hex:4", &[0, 1, 0xab, 0xff, 9]),
            Ok("0001abff".to_owned())
        );
        assert_eq!(generate("base64:4", b"Man!"), Ok("TWFuIQ==".to_owned()));
        assert!(generate("hex:16", &[0; 15]).is_err());
        for bad in ["hex", "hex:0", "hex:x", "rot13:4", "hex:99999"] {
            assert!(Spec::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn replaces_what_is_there_and_adds_what_is_not() {
        let set = |k: &str, v: toml::Value| ("m".to_owned(), k.to_owned(), v);
        let values = [set("id", "new".into()), set("on", true.into())];
        let text = "# mine\nm.id = \"old\" # from June\nm.secret = 's'\n[n]\nid = 'other'\n";
        assert_eq!(
            set_in(text, &values).unwrap(),
            "# mine\nm.on = true\nm.id = \"new\" # from June\nm.secret = 's'\n[n]\nid = 'other'\n"
        );
        let text = "[m]\nid = \"\"\"[m]\nold\"\"\"\n";
        assert_eq!(
            set_in(text, &values).unwrap(),
            "[m]\non = true\nid = \"new\"\n"
        );
        assert_eq!(
            set_in("m = { id = 'x' }\n", &values[..1]).unwrap(),
            "m = { id = \"new\" }\n"
        );
        assert!(set_in("m = { id = 'x' }\n", &values).is_err());
        assert!(set_in("m = 1\n", &values).is_err());
    }

    #[test]
    fn inserts_beside_what_is_there() {
        let new = |s: &str, k: &str| (s.to_owned(), k.to_owned(), "v\"1".to_owned());
        let text = "# mine\na.x = \"1\"\n\n[b]\ny = \"2\"\n";
        let out = insert_into(text, &[new("a", "z"), new("b", "z"), new("c", "z")]).unwrap();
        let table: toml::Table = toml::from_str(&out).unwrap();
        for service in ["a", "b", "c"] {
            assert_eq!(table[service]["z"].as_str(), Some("v\"1"), "{out}");
        }
        assert_eq!(table["a"]["x"].as_str(), Some("1"));
        assert!(out.starts_with("# mine\n"));
        assert_eq!(insert_into("", &[new("a", "z")]).unwrap(), "a.z = 'v\"1'\n");
        assert_eq!(
            insert_into("a.z = 1\n", &[new("a", "z")]).unwrap(),
            "a.z = 1\n"
        );
        assert!(insert_into("a = { x = 1 }\n", &[new("a", "z")]).is_err());
    }
}
