//! The style of gitlab.rb before GitLab 11.0: `mattermost['PREFIX_rest']` for every setting of
//! Mattermost, and the variables that these keys have become.
//!
//! The rule is `MM_PREFIXSETTINGS_REST` without the underscores of the rest. `legacy.txt` lists
//! every key that ever existed, and the variable of each key that breaks the rule.

/// What a key of the old style has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Legacy {
    /// The right variable.
    pub(super) variable: String,
    /// The last version of Mattermost seen with the variable; `None` if Mattermost still has it.
    pub(super) gone_after: Option<&'static str>,
    /// The variable in GitLab's document, if no Mattermost ever had that variable.
    pub(super) documented: Option<&'static str>,
}

const KEYS: &str = include_str!("legacy.txt");

/// Spellings of GitLab's document that its template never had.
const SPELLINGS: [(&str, &str); 2] = [
    (
        "ratelimit_enable_ratelimiter",
        "ratelimit_enable_rate_limiter",
    ),
    (
        "webrtc_gateway_turn_sharedkey",
        "webrtc_gateway_turn_shared_key",
    ),
];

/// Variables of GitLab's document that no Mattermost ever had, and the right ones.
const NEVER: [(&str, &str); 6] = [
    (
        "MM_EMAILSETTINGS_BATCHINGINTERVAL",
        "MM_EMAILSETTINGS_EMAILBATCHINGINTERVAL",
    ),
    (
        "MM_EMAILSETTINGS_NOTIFICATIONCONTENTTYPE",
        "MM_EMAILSETTINGS_EMAILNOTIFICATIONCONTENTSTYPE",
    ),
    ("MM_WEBRTCSETTINGS_STUN_URI", "MM_WEBRTCSETTINGS_STUNURI"),
    ("MM_WEBRTCSETTINGS_TURN_URI", "MM_WEBRTCSETTINGS_TURNURI"),
    (
        "MM_WEBRTCSETTINGS_TURN_USERNAME",
        "MM_WEBRTCSETTINGS_TURNUSERNAME",
    ),
    (
        "MM_WEBRTCSETTINGS_TURN_SHAREDKEY",
        "MM_WEBRTCSETTINGS_TURNSHAREDKEY",
    ),
];

/// Keys that no Mattermost of GitLab's package reads, or that were not settings of Mattermost.
pub(super) const DEAD: [&str; 3] = ["aws", "team_allow_public_link", "team_allow_valet_default"];

/// The variable that a key has become.
pub(super) fn find(key: &str) -> Option<Legacy> {
    let template = SPELLINGS.iter().find(|(seed, _)| *seed == key);
    let key = template.map_or(key, |(_, template)| template);
    let mut prefix = "";
    for line in lines() {
        if let Some(section) = section(line) {
            prefix = section;
            continue;
        }
        let mut words = line.split(' ');
        let rest = words.next().unwrap_or_default();
        let here = key.strip_prefix(prefix).and_then(|it| it.strip_prefix('_'));
        if here != Some(rest) {
            continue;
        }
        let ruled = rest.replace('_', "").to_uppercase();
        let name = words.next().filter(|it| *it != "=");
        let variable = format!(
            "MM_{}SETTINGS_{}",
            prefix.replace('_', "").to_uppercase(),
            name.unwrap_or(&ruled)
        );
        let documented = NEVER.iter().find(|(_, right)| *right == variable);
        return Some(Legacy {
            gone_after: words.next(),
            documented: documented.map(|(wrong, _)| *wrong),
            variable,
        });
    }
    None
}

/// Every key, in the template's spelling.
pub(super) fn keys() -> impl Iterator<Item = String> {
    let mut prefix = "";
    lines().filter_map(move |line| {
        if let Some(section) = section(line) {
            prefix = section;
            return None;
        }
        let rest = line.split(' ').next()?;
        Some(format!("{prefix}_{rest}"))
    })
}

/// The right variable for a wrong one of GitLab's document.
pub(super) fn corrected(variable: &str) -> Option<&'static str> {
    let upper = variable.to_ascii_uppercase();
    let found = NEVER.iter().find(|(wrong, _)| *wrong == upper);
    found.map(|(_, right)| *right)
}

/// The last version of Mattermost seen with an old-style variable, if later ones lack it.
pub(super) fn gone_after(variable: &str) -> Option<&'static str> {
    keys()
        .filter_map(|key| find(&key))
        .find(|it| it.variable == variable)
        .and_then(|it| it.gone_after)
}

fn lines() -> impl Iterator<Item = &'static str> {
    KEYS.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
}

fn section(line: &'static str) -> Option<&'static str> {
    line.strip_prefix('[')?.strip_suffix(']')
}
