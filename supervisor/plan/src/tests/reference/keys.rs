//! The page about service files, from their table of keys, and the keys of the site file that no
//! service file declares.

use std::fmt::Write as _;

use super::words::cell;
use crate::service::keys;

/// The beginning of the first page.
pub(super) const SITE: &str = r#"All you edit is the site file, `/etc/mattervisor/mattervisor.toml`. Its keys are `gitlab.rb`'s: `mattermost['uid'] = 1234`
is `mattermost.uid = 1234`. Secrets may stand in `/etc/mattervisor/secrets.toml` in the same form.

In a default, `{{ … }}` is worked out: a setting of the same service by its name, another's as `service.key`, and `state_dir`
(`/var/lib/mattervisor`), `run_dir` (`/run/mattervisor`), `log_dir` (`/var/log/mattervisor`), `etc_dir` (`/etc/mattervisor`),
`memory_bytes`, `cpus`. A setting that is unset, or whose default gives `none`, sets no variable.

## The supervisor itself

| key | default | what it is |
| --- | --- | --- |
| `SERVICE.enable` | by its service file | whether it runs on this host |
| `SERVICE.env` | `{}` | further variables of its environment; they win over its settings |
| `SERVICE.unset_env` | `[]` | names of variables that it is not to have, though its service file sets them |
| `SERVICE.instances` | by its service file | for a template, `NAME@.toml`: names of its instances, or how many |
| `roles` | `[]` | presets, see below |
| `manage_accounts.enable` | `true` | makes accounts and groups that are missing |
| `control.admin_group` | unset | its members may connect to the control socket and act, without being root |
| `control.viewer_group` | unset | its members may connect to the control socket to look, and read logs |
| `log.forward` | `"none"` | where all log lines go besides: `none`, `syslog`, `journal`, `stdout` |
| `log.format` | `"text"` | with `forward = "stdout"`: `text` or `json` |
| `notify.NAME.webhook` | unset | a URL that is told what happens. Secret |
| `notify.NAME.sendmail`, `.from` | unset | addresses that get it by mail |
| `notify.NAME.command` | unset | a program that gets it |
| `notify.NAME.on` | all but `restarted` | what is told: `failed`, `restarted`, `unhealthy`, `recovered`, `disk`, `deleted-binary`, `certificate`, `overdue` |

## Keys of no single service

"#;

const INTRO: &str = r"# Service files

A file `NAME.toml` in `/etc/mattervisor/services.d` describes a service, or changes single keys of the shipped one of that name.
Only `command` is required. Every value may be a template, `{{ … }}`.

| key | what it is |
| --- | --- |
";

pub(super) fn page() -> String {
    let mut out = INTRO.to_owned();
    for key in keys::all() {
        let _ = writeln!(out, "| `{}` | {} |", key.name, cell(key.doc));
    }
    for table in keys::all().flat_map(|key| key.tables) {
        let _ = writeln!(out, "\n## `{}`\n", table.header);
        if !table.intro.is_empty() {
            let _ = writeln!(out, "{}\n", table.intro);
        }
        if !table.keys.is_empty() {
            out.push_str("| key | what it is |\n| --- | --- |\n");
        }
        for (key, what) in table.keys {
            let names: Vec<String> = key.split(", ").map(|it| format!("`{it}`")).collect();
            let _ = writeln!(out, "| {} | {} |", names.join(", "), cell(what));
        }
    }
    out
}
