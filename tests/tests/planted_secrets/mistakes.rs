//! Broken files in which the secrets stand where the mistakes are.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use mattervisor_tests::{Site, eventually};
use nix::sys::signal::Signal;

use super::planted::Planted;
/// Lines that are wrong in one way each, with a secret in them.
fn mistakes(own: &str) -> Vec<String> {
    vec![
        format!("mattermost.gitlab_secret = {own}"),
        format!("mattermost.gitlab_secret = \"{own}"),
        format!("mattermost.gitlab_secret = ['{own}']"),
        format!("mattermost.gitlab_secret = {{ x = '{own}' }}"),
        format!("mattermost['gitlab_secret'] = '{own}'"),
        format!("mattermost['gitlab_secret'] = {own}"),
        format!("gitlab_secret '{own}'"),
        format!("gitlab_secret: {own}"),
        format!("mattermost.gitlab_secret = “{own}”"),
        format!("mattermost.gitlab_secret = \"{own}\\q\""),
        format!("mattermost.gitlab_secret = \"{own}\\u0000\""),
        format!("mattermost.gitlab_secrt = '{own}'"),
        format!("mattermost.sql_data_source = ['postgres://mm:{own}@db/x']"),
        format!(
            "mattermost.sql_at_rest_encrypt_key = '{own}'\nmattermost.sql_at_rest_encrypt_key = '{own}'"
        ),
        format!("mattermost.env = {{ SMTP_PASSWORD = ['{own}'] }}"),
        format!("mattermost.env = {{ SMTP_PASSWORD = '{own}', 'a b' = '{own}' }}"),
        format!("mattermost.env = {{ 'SMTP_PASSWORD' => '{own}' }}"),
        format!(
            "mattermost.home = \"postgres://u:{own}@h/\"\nmattermost.service_site_url = \"https://u:{own}@h:99999/\""
        ),
        format!("notify.chat.webhook = \"ftp://127.0.0.1/hooks/{own}\""),
        format!("notify.chat.webhook = ['http://127.0.0.1/hooks/{own}']"),
        format!("notify.chat.webhook = \"http://127.0.0.1:99999/hooks/{own}\""),
        format!("redis.password = ['{own}']"),
        format!("redis.password = 'x\\n{own}'\nredis.prt = 1"),
    ]
}

/// Writes each mistake into one of the two files, and notes what the commands say about it.
pub(super) fn break_everything(site: &Site, planted: &mut Planted, site_file: &str, secrets: &str) {
    let own = planted.plant("a broken line");
    let path = site.path("etc/mattervisor/secrets.toml");
    let private = |text: &str, path: &Path| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let file = site.path("etc/mattervisor/mattervisor.toml");
    for (number, line) in mistakes(&own).iter().enumerate() {
        let (own_file, kept) = if number % 2 == 0 {
            (&file, site_file)
        } else {
            (&path, secrets)
        };
        private(&format!("{line}\n{kept}"), own_file);
        let more: &[&[&str]] = if number % 5 == 0 {
            &[
                &["check-config"],
                &["diff-config"],
                &["reconfigure", "--dry-run"],
                &["env", "mattermost"],
            ]
        } else {
            &[]
        };
        for words in [&["reconfigure"][..]].iter().chain(more) {
            let what = format!("ctl {} with {line}", words.join(" "));
            planted.told(&what, &site.ctl(words));
        }
        private(kept, own_file);
    }
    // A file that others may read, loaded by `ctl` and by SIGHUP.
    private(
        &format!("mattermost.gitlab_secret = '{own}'\n{site_file}"),
        &file,
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    planted.told(
        "reconfigure of a readable file",
        &site.ctl(&["reconfigure"]).expect_code(1),
    );
    site.signal(Signal::SIGHUP);
    eventually("SIGHUP is refused", || {
        let warnings = site.status().supervisor.warnings;
        warnings
            .iter()
            .any(|it| it.contains("refused"))
            .then_some(())
    });
    private(site_file, &file);
}
