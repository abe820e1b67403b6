//! Values with which the server does not start, from `ranges.tsv`.

use serde_json::Value;

/// One setting per line; the table says what its columns mean.
const TABLE: &str = include_str!("ranges.tsv");

/// Checks every setting; the error names the first that is out of range, in the server's words.
pub(crate) fn check(config: &Value) -> Result<(), String> {
    batching(config)?;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (section, key, rule, operand) = (next(), next(), next(), next());
        let value = &config[section][key];
        if !holds(rule, operand, value, &config[section]) {
            return Err(format!(
                "Config.IsValid: {section}.{key} is not valid: {value}, must be: {rule} {operand}"
            ));
        }
    }
    Ok(())
}

/// Batching needs a site URL, to which the mails lead, and no cluster, since one server keeps the
/// batches in its memory.
fn batching(config: &Value) -> Result<(), String> {
    let on = |section: &str, key: &str| config[section][key].as_bool() == Some(true);
    if !on("EmailSettings", "EnableEmailBatching") {
        return Ok(());
    }
    let nowhere = config["ServiceSettings"]["SiteURL"] == "";
    let why = if nowhere {
        "Unable to enable email batching when SiteURL isn't set."
    } else if on("ClusterSettings", "Enable") {
        "Unable to enable email batching when clustering is enabled."
    } else {
        return Ok(());
    };
    Err(format!("Config.IsValid: {why}"))
}

fn holds(rule: &str, operand: &str, value: &Value, section: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let number = operand.parse::<i64>().unwrap_or_default();
    match rule {
        "least" => value.as_i64().is_some_and(|value| value >= number),
        "one of" => operand.split('|').any(|choice| choice == text),
        "long" => text.is_empty() || i64::try_from(text.len()).is_ok_and(|it| it >= number),
        "filled" => !text.is_empty(),
        "scheme" => {
            let scheme = text.split_once("://").map(|(scheme, _)| scheme);
            text.is_empty() || operand.split('|').any(|it| Some(it) == scheme)
        }
        "address" => {
            let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            matches!(port, Some(Ok(_)))
        }
        "time" => time(text),
        "needs" => {
            value != &Value::Bool(true)
                || section[operand].as_str().is_some_and(|it| !it.is_empty())
        }
        _ => false,
    }
}

fn time(text: &str) -> bool {
    let parts = text.split_once(':');
    let numbers = parts.map(|(hour, minute)| (hour.parse::<u8>(), minute.parse::<u8>()));
    matches!(numbers, Some((Ok(0..24), Ok(0..60))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(check(&schema::defaults()), Ok(()));
    }

    #[test]
    fn what_the_released_servers_die_of_is_refused() {
        for (section, key, value) in [
            ("SqlSettings", "DataSource", Value::from("")),
            ("SqlSettings", "AtRestEncryptKey", "short".into()),
            ("SqlSettings", "MaxIdleConns", (-1).into()),
            ("SqlSettings", "MaxOpenConns", 0.into()),
            ("SqlSettings", "DriverName", "postgresql".into()),
            ("FileSettings", "DriverName", "s3".into()),
            ("ServiceSettings", "ConnectionSecurity", "tls".into()),
            ("ServiceSettings", "SiteURL", "chat.example.com".into()),
            ("ServiceSettings", "ListenAddress", "".into()),
            ("EmailSettings", "EmailBatchingInterval", 5.into()),
            ("TeamSettings", "TeammateNameDisplay", "fullname".into()),
            ("PasswordSettings", "MinimumLength", 3.into()),
            (
                "DataRetentionSettings",
                "DeletionJobStartTime",
                "25:99".into(),
            ),
            ("SamlSettings", "Enable", true.into()),
        ] {
            let mut config = schema::defaults();
            config[section][key] = value;
            let said = check(&config).unwrap_err();
            assert!(said.contains(&format!("{section}.{key} ")), "{said}");
        }
    }

    #[test]
    fn batching_needs_an_address_and_no_cluster() {
        let mut config = schema::defaults();
        config["EmailSettings"]["EnableEmailBatching"] = true.into();
        assert!(check(&config).unwrap_err().contains("SiteURL"));
        config["ServiceSettings"]["SiteURL"] = "https://chat.example.com".into();
        assert_eq!(check(&config), Ok(()));
        config["ClusterSettings"]["Enable"] = true.into();
        assert!(check(&config).unwrap_err().contains("clustering"));
    }

    #[test]
    fn every_line_of_the_table_is_about_a_setting_and_has_a_rule() {
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let known = schema::settings().any(|it| it.path == columns[..2]);
            assert!(known && columns.len() >= 3, "{line}");
        }
    }
}
