//! How `MM_…` variables override the configuration: the server's exact rule.
//!
//! A name is upper-cased, loses `MM_`, and is split at the first `_` at each level; each part must
//! equal an upper-cased field name. A leaf takes the value whatever follows its name. The server
//! silently ignores a value that does not parse and a name that does not exist.

use serde_json::Value;

use crate::schema::{self, Kind, Setting};

/// Why the server does not start with this environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Panic(pub(crate) String);

/// Lays the variables over `config`.
pub(crate) fn apply<I>(config: &mut Value, variables: I) -> Result<(), Panic>
where
    I: IntoIterator<Item = (String, String)>,
{
    let settings: Vec<Setting> = schema::settings().collect();
    for (name, value) in variables {
        let name = name.to_uppercase();
        if !name.starts_with("MM") {
            continue;
        }
        let name = name.strip_prefix("MM_").unwrap_or(&name);
        let Some(setting) = settings.iter().find(|setting| reaches(name, &setting.path)) else {
            continue;
        };
        if let Some(value) = parse(setting, &value)? {
            schema::set(config, &setting.path, value);
        }
    }
    Ok(())
}

/// Whether splitting `name` at the first `_` at each level leads to this leaf.
fn reaches(name: &str, path: &[&str]) -> bool {
    let mut rest = Some(name);
    path.iter().all(|field| {
        let Some(have) = rest else { return false };
        let (part, after) = match have.split_once('_') {
            Some((part, after)) => (part, Some(after)),
            None => (have, None),
        };
        rest = after;
        field.to_uppercase() == part
    })
}

/// The value; `None` if the server ignores the text.
fn parse(setting: &Setting, text: &str) -> Result<Option<Value>, Panic> {
    Ok(match setting.kind {
        Kind::Text => Some(Value::String(text.to_owned())),
        Kind::Bool => parse_bool(text).map(Value::Bool),
        Kind::Integer => text.parse::<i64>().ok().map(Value::from),
        Kind::List => Some(text.split(' ').map(Value::from).collect()),
        Kind::Json => serde_json::from_str(text).ok(),
        Kind::Structures => {
            return Err(Panic(format!(
                "panic: reflect.Set: value of type []string is not assignable to {}",
                setting.path.join(".")
            )));
        }
    })
}

/// Go's `strconv.ParseBool`; `yes` and `on` are not bools.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Value {
        let mut config = schema::defaults();
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        apply(&mut config, variables).unwrap();
        config
    }

    #[test]
    fn a_string_is_taken_as_it_is_even_an_empty_one() {
        let config = with(&[
            ("MM_TEAMSETTINGS_SITENAME", "Chat % $HOME"),
            ("MM_SQLSETTINGS_DATASOURCE", ""),
        ]);
        assert_eq!(config["TeamSettings"]["SiteName"], "Chat % $HOME");
        assert_eq!(config["SqlSettings"]["DataSource"], "");
    }

    #[test]
    fn lower_case_names_count() {
        let config = with(&[("mm_teamsettings_sitename", "quiet")]);
        assert_eq!(config["TeamSettings"]["SiteName"], "quiet");
    }

    #[test]
    fn a_name_without_the_underscore_after_mm_reaches_nothing() {
        assert_eq!(
            with(&[("MMTEAMSETTINGS_SITENAME", "x")])["TeamSettings"]["SiteName"],
            "Mattermost"
        );
    }

    #[test]
    fn bools_are_go_bools_and_nothing_else() {
        for (text, expected) in [
            ("1", true),
            ("T", true),
            ("yes", false),
            ("on", false),
            ("TRUE", true),
        ] {
            let config = with(&[("MM_GITLABSETTINGS_ENABLE", text)]);
            assert_eq!(config["GitLabSettings"]["Enable"], expected, "{text}");
        }
    }

    #[test]
    fn a_number_that_does_not_parse_leaves_the_default() {
        assert_eq!(
            with(&[("MM_SQLSETTINGS_MAXIDLECONNS", "abc")])["SqlSettings"]["MaxIdleConns"],
            50
        );
        assert_eq!(
            with(&[("MM_SQLSETTINGS_MAXIDLECONNS", "7")])["SqlSettings"]["MaxIdleConns"],
            7
        );
    }

    #[test]
    fn lists_are_split_at_single_spaces_and_an_empty_one_has_an_empty_element() {
        let config = with(&[("MM_SQLSETTINGS_DATASOURCEREPLICAS", "a b,c")]);
        assert_eq!(
            config["SqlSettings"]["DataSourceReplicas"],
            serde_json::json!(["a", "b,c"])
        );
        let config = with(&[("MM_SQLSETTINGS_DATASOURCEREPLICAS", "")]);
        assert_eq!(
            config["SqlSettings"]["DataSourceReplicas"],
            serde_json::json!([""])
        );
    }

    #[test]
    fn nested_fields_are_reached_level_by_level() {
        let name = "MM_MESSAGEEXPORTSETTINGS_GLOBALRELAYSETTINGS_CUSTOMSMTPPORT";
        let config = with(&[(name, "2525")]);
        let relay = &config["MessageExportSettings"]["GlobalRelaySettings"];
        assert_eq!(relay["CustomSMTPPort"], "2525");
    }

    #[test]
    fn unknown_names_and_bare_sections_change_nothing() {
        let config = with(&[
            ("MM_SERVICESETTINGS_SESSONLENGTH", "1"),
            ("MM_NOSUCHSETTINGS_X", "1"),
            ("MM_TEAMSETTINGS", "1"),
            ("TEAMSETTINGS_SITENAME", "no"),
        ]);
        let mut expected = schema::defaults();
        // The generated keys differ from call to call.
        for (section, key) in [
            ("SqlSettings", "AtRestEncryptKey"),
            ("FileSettings", "PublicLinkSalt"),
        ] {
            expected[section][key] = config[section][key].clone();
        }
        assert_eq!(config["TeamSettings"], expected["TeamSettings"]);
        assert_eq!(config["SqlSettings"], expected["SqlSettings"]);
    }

    #[test]
    fn a_list_of_structures_panics() {
        let mut config = schema::defaults();
        let one = (
            "MM_SQLSETTINGS_REPLICALAGSETTINGS".to_owned(),
            "x".to_owned(),
        );
        assert!(apply(&mut config, [one]).is_err());
    }
}
