//! What the keys of a service file mean, and those of the site file that no service file declares.

use std::fmt::Write as _;

use super::words::cell;

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

/// Every key at top level, in its order.
#[rustfmt::skip]
pub(super) const KEYS: [(&str, &str); 62] = [
    ("description", "one line for people"),
    ("command", "program and arguments; no shell reads it. Without a slash the program is looked up in PATH"),
    ("command_hint", "what to say, besides, when its program or working directory is missing: what brings it"),
    ("enable", "whether it runs on this host: `true` (default), `false` or a template"),
    ("instances", "in a template, `NAME@.toml`: names of its instances, or how many"),
    ("type", "`daemon` (default) stays up, `oneshot` runs to its end"),
    ("schedule", "when a oneshot runs: a cron expression, or a table"),
    ("job", "`true`: a oneshot that runs only when its work is asked for, by `POST /v1/jobs/NAME` or its schedule; one at a time on a host"),
    ("announcement", "of a job: what users are told of a service that it has stopped, behind that service's name, as `is being restored`; at most 100 characters, none of them `<`, `>`, `&`, a quote or a backslash"),
    ("user", "account it runs as, as it is at each start; default: the supervisor's own. Made where it is missing. A number needs no account, but then `group`"),
    ("group", "its group; default: the account's"),
    ("groups", "further groups; default: those of the account"),
    ("uid", "number for an account that is made"),
    ("gid", "number for a group that is made"),
    ("home", "home directory for an account that is made"),
    ("umask", "default `\"0022\"`"),
    ("working_dir", "default `/`"),
    ("nice", "-20 to 19"),
    ("oom_score_adj", "-1000 to 1000: the higher, the sooner the kernel kills it for want of memory"),
    ("io_priority", "`\"idle\"`, `\"best-effort:7\"`, `\"realtime:0\"` or `{ class, level }`"),
    ("cpu_affinity", "CPUs that it may run on: `[0, \"2-3\"]`"),
    ("stdin", "`\"null\"` (default) or the path of a file, FIFO or device"),
    ("no_new_privs", "no gain of privileges by exec"),
    ("capabilities", "the only capabilities it keeps"),
    ("capability_bounding_set", "capabilities it can ever gain"),
    ("ambient_capabilities", "capabilities it keeps though it is not root"),
    ("requires", "services that must be ready or completed first, and with which it is stopped"),
    ("wants", "services that are started before it; their failure does not hold it back"),
    ("binds_to", "as `requires`, and when one of them goes down, also by a crash, it is stopped"),
    ("after", "services that it starts after, if they start at all"),
    ("listens", "addresses that must be free before it starts: `[\"127.0.0.1:8065\"]`. One that a service of ours still has which is being stopped is waited for"),
    ("listens_hint", "what to say, besides, when one of them is taken"),
    ("stale_sockets", "unix sockets that are removed before each start if nobody listens there: a killed run leaves its own, and the next one could not bind it"),
    ("asserts", "what must hold on this host where it is enabled"),
    ("tools", "programs that people run by `ctl NAME …`, with arguments of their own: `[tools.NAME]`"),
    ("validate", "command that must succeed before every start and reload; a line of it that begins with `<4>` (or `<0>` to `<3>`) is a warning in `ctl events`"),
    ("settings", "what the site file may say: `NAME.KEY`"),
    ("sections", "settings under another name than its own"),
    ("patterns", "parts of the `pattern`s of its settings by name: `(?&NAME)` stands for one"),
    ("env", "variables of its environment"),
    ("env_files", "files with further ones, as systemd's `EnvironmentFile=`; with `-` before the path one may be missing"),
    ("variables", "which variables the program knows, for checks"),
    ("ready", "when what depends on it may start; default: once it is executed"),
    ("notify_access", "whose messages on the notify socket count: `all` or `main`"),
    ("watchdog", "it must say `WATCHDOG=1` so often"),
    ("liveness", "probe; when it fails, the service is restarted"),
    ("health", "probe; when it fails, that is shown and told"),
    ("restart", "what follows its end"),
    ("exit_when_failed", "when it has failed for good, the supervisor stops everything and ends with 1"),
    ("stop", "how it is asked to end"),
    ("reload", "how it takes a new configuration"),
    ("limits", "resource limits"),
    ("log", "rotation of its log"),
    ("log_files", "files that it writes itself, for `ctl logs --files`: paths or patterns"),
    ("directories", "made where they are missing, also at each start"),
    ("files", "rendered from templates, checked, then swapped in; one that is missing at a start is written again"),
    ("credentials", "files that only root may read, copied to where the service may, as systemd's `LoadCredential=`"),
    ("certificates", "certificates that it serves: checked before use, watched for renewal"),
    ("watches", "files that are changed outside"),
    ("status_files", "files that say what the service does at the moment"),
    ("maintenance", "how it is seen that the service tells users of `ctl maintenance`"),
    ("doc", "for people; nothing reads it"),
];

/// A table's name, what is said of it, and its keys.
type Inside = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// What stands inside the tables.
#[rustfmt::skip]
const TABLES: [Inside; 23] = [
    ("[settings]", "`KEY = { … }`, each with", &[
        ("type", "`string` (default), `bool`, `int`, `port`, `url`, `path`, `duration`, `size`, `list`, `map`, `scalar` (string, number or bool), `account` (name of a user or group), `version`"),
        ("default", "value, or template; one that gives `none` is no value"),
        ("env", "variable that it becomes"),
        ("secret", "`true`: never shown, logged or given as an argument"),
        ("generate", "how it is made where it is missing: `hex:16`, `base64:32`; kept in secrets.toml"),
        ("find", "for a path: patterns; the newest match is the value"),
        ("find_hint", "with `find`: what brings it where it is not found, as in `install it: apt-get install …`"),
        ("version_file", "with `find`: a file that names the version to take"),
        ("read", "a file; its first line is the value where it is there and of the type"),
        ("read_after", "with `read`: what stands before the value in that file, which may be a program"),
        ("values", "the only ones allowed"),
        ("bare", "for a URL: http or https, without a path"),
        ("multi_line", "`true`: it may have line ends and tabs; no other value may have a control character. Viewers do not see what a file has from it"),
        ("pattern, pattern_words", "a regular expression that each text of it must match as a whole, and what it must be, in words"),
        ("max_bytes", "longest text"),
        ("obsolete", "the key is accepted and does nothing; why, or what to write instead"),
        ("doc", "one line for people"),
    ]),
    ("[ready]", "", &[
        ("notify", "`true`: the program says `READY=1`"),
        ("fd", "it writes a newline to this descriptor"),
        ("log", "it logs a line that matches this regular expression"),
        ("http, tcp, unix, exec", "a URL answers, somebody listens, a command succeeds"),
        ("status, body", "of `http`: codes that count (200 to 399), and what must be in the answer; `unix` beside `http`: asked by that socket"),
        ("delay", "alone: ready after this time; beside a probe: the wait before it"),
        ("timeout", "longest time until ready (`60s`)"),
        ("interval, attempt_timeout, failures, successes", "of the attempts"),
    ]),
    ("[liveness], [health]", "", &[
        ("http, tcp, unix, exec, status, body", "as in `[ready]`"),
        ("interval, timeout, failures, successes, delay", "of the attempts"),
    ]),
    ("[watchdog]", "", &[
        ("timeout", "longest silence"),
        ("action", "`restart` (default) or `degrade`: only show and tell it"),
        ("signal", "default `ABRT`"),
    ]),
    ("[restart]", "", &[
        ("policy", "`always` (default; of a oneshot `on-failure`), `unless-stopped`, `on-failure`, `never`"),
        ("delay, factor, max_delay, jitter", "pauses: `1s`, growing by 2, up to `1m`"),
        ("reset_after", "up so long clears the count (`1m`)"),
        ("limit", "`{ starts = 5, within = \"1m\" }`: then it has failed. Default: none, of a job 5 further runs for one request"),
        ("success", "exit codes and signals that count as success"),
        ("prevent", "exit codes and signals that no other run follows; default: none, of a job `[1]`"),
    ]),
    ("[stop]", "", &[("signal", "default `TERM`; not `STOP`, `CONT`, `TSTP`, `TTIN` or `TTOU`"), ("escalate", "`{ signal = \"TERM\", after = \"10s\" }`: a second signal, so long after the first"), ("timeout", "time from the first signal to SIGKILL (`30s`)")]),
    ("[reload]", "", &[
        ("signal", "such as `HUP`; not `KILL` or `STOP`"),
        ("command", "or a command, which has the pid of the main process in the variable `MAINPID`"),
        ("timeout", "longest time of a reload, its confirmation included (`60s`)"),
        ("confirm", "how it is seen that the program runs with the new configuration"),
    ]),
    ("[reload.confirm]", "Asked after each reload until it succeeds. Where it has not when `timeout` of `[reload]` is over, the reload has failed.", &[
        ("http, exec, status, body", "as in `[ready]`. In `body`, in the URL and in the arguments of `exec`, as in `[[files]]`, `{{ reload_token }}` stands for a word that is another at each start and reload: a program that answers with it has read its files"),
        ("interval, attempt_timeout", "of the attempts (`250ms`, `5s`)"),
    ]),
    ("[limits]", "`nofile`, `nproc`, `core`, … as in setrlimit(2): a number, `\"unlimited\"`, or `{ soft, hard }`", &[]),
    ("[log]", "", &[
        ("size", "a file is rotated when it is so long (`10M`)"),
        ("age", "or its first line so old"),
        ("keep", "so many rotated files stay (10)"),
        ("compress", "`true`"),
        ("forward, format", "as in the site file, for this service"),
    ]),
    ("[schedule]", "", &[
        ("cron", "five fields as in crontab(5)"),
        ("at, days", "or a time of day, and days of the week"),
        ("jitter", "put off by up to that, at random"),
        ("catch_up", "what was missed while the supervisor was down is made up for"),
        ("overdue_after", "a good run is to have ended so long after each time, and what jitter puts off; otherwise it is told as overdue; unset: nobody has to know"),
        ("arguments", "of a job: a table of what it is asked to do, for its program; no secrets"),
    ]),
    ("[variables]", "Holds its environment to a table of the variables that its program knows. `variables = false` in a file of your own turns that off.", &[
        ("prefix", "names that begin so, in any case, are checked"),
        ("table", "a file below services.d: a line a variable; name, type and whether it is secret, since, until, dies and note, parted by tabs. `mattermost/variables.tsv` says what they mean"),
        ("version", "the installed version; without one, a name that any version has is right"),
        ("ignore", "names that are not checked; a `*` at the end stands for anything"),
        ("public", "names whose values anybody may see, though an env map sets them and the table does not know them; alone, without prefix and table, it checks nothing"),
    ]),
    ("[tools.NAME]", "A program of the service's for people: `ctl NAME ARGUMENT…` executes it. It is shown to all who may look, so nothing in it may be secret.", &[
        ("command", "program and first arguments; the caller's follow. Root executes it only where nobody else can change it, or as `user`"),
        ("description", "what it is, in one line"),
        ("command_hint", "what brings the program where it is missing"),
        ("disabled_hint", "what to do instead where the service is not enabled"),
        ("env", "variables that it gets besides the caller's"),
        ("unset_env", "variables of the caller that it does not get"),
        ("user", "account that root becomes for it, as by `su`; anybody else stays who they are"),
    ]),
    ("[[tools.NAME.asserts]]", "What must hold for the tool to do what is wanted of it; what does not is said instead.", &[
        ("with", "only where this is among the caller's arguments, as it is or with `=…` behind it"),
        ("that", "a template that gives true or false"),
        ("accounts", "accounts that it holds for; others are told"),
        ("message, hint", "what is said"),
        ("level", "`error` (the default), or `warning`: it is said, and the tool runs all the same"),
    ]),
    ("[[asserts]]", "What does not hold is reported where the site file enables the service.", &[
        ("path_exists, path_missing", "paths"),
        ("that", "a template that gives true or false; `environment` in it has the variables of the service, but for those that may be secret"),
        ("message, hint", "what is said"),
        ("level", "`error` (default), `warning` or `note`"),
        ("about", "the key at whose line it is said, or `environment.NAME` for the line of a variable"),
    ]),
    ("[[directories]]", "", &[("path, mode", "default mode `\"0755\"`"), ("user, group", "default: the service's; a directory that is there changes hands when the service starts"), ("recursive", "with its owner changes that of all in it that was the former owner's, as with systemd's `StateDirectory=`; files with several hard links, devices and other file systems stay")]),
    ("[[files]]", "", &[
        ("path, mode", "default mode `\"0640\"`"),
        ("template", "path of a template below services.d"),
        ("content", "or the text itself"),
        ("validate", "command that checks `{{ candidate }}` before it is swapped in"),
        ("on_change", "`restart` (default), `reload` or `nothing`"),
        ("create_only", "made where it is missing, then left alone"),
        ("user, group", "owner; default: root, or the service's user in a directory of its own, and the service's group"),
        ("secret", "must not be shown"),
    ]),
    ("[[credentials]]", "Copied before each start and reload, when what `[[certificates]]` says of them is right. Their sources are watched: a change reloads the service.", &[
        ("source", "the file that only root may read; empty: none"),
        ("path", "its copy: root's, the service's group, mode 0640. Another source needs another path"),
        ("make", "command that makes the source where it is missing, run as the supervisor's own user"),
    ]),
    ("[[certificates]]", "", &[
        ("certificate, key", "PEM files"),
        ("host", "name that it must cover"),
        ("password_file", "the key's passphrase"),
        ("hint", "what to say, besides, when there is no certificate"),
    ]),
    ("[[status_files]]", "For a web server that has something to say while the service cannot be reached. Written by the supervisor \
        whenever what it says changes, at most twice a second; root's, readable by everybody (0644).", &[
        ("path", "in a directory of root's"),
        ("template", "path of a template below services.d. It sees `situation`: `.state` (as `ctl status` has it), `.ready`, `.held` \
            (somebody has stopped it), `.blocked` (it waits for what is not on its way up), `.job` (none, or the job that has it \
            stopped: `.name`, its `.announcement` or none, `.percent` or none) and `.maintenance` (none, or `.message` or none, and `.since`), and settings as \
            `[[files]]` do. In `*.html.j2` text is escaped for HTML; in `*.json.j2` each `{{ … }}` becomes a value of JSON"),
        ("when", "`always` (default), or `maintenance`: it is there during `ctl maintenance on` alone"),
    ]),
    ("[maintenance]", "Asked after `ctl maintenance on` until it succeeds, after `off` until there is another answer: only then that is done. \
        Not asked where the service is not ready, which is said.", &[
        ("http, unix, status, body", "as in `[ready]`: an answer of this `status` with this `body` in it is one that tells users of maintenance"),
        ("timeout", "longest time until it is seen (`5s`)"),
        ("interval, attempt_timeout", "of the attempts (`250ms`, `5s`)"),
    ]),
    ("[[watches]]", "", &[("path", "a file that something else writes"), ("on_change", "`restart`, `reload` or `nothing`")]),
    ("[sections.NAME]", "`KEY = { … }` as in `[settings]`: the site file says `NAME.KEY`.", &[]),
];

pub(super) fn page() -> String {
    let mut out = INTRO.to_owned();
    for (key, what) in KEYS {
        let _ = writeln!(out, "| `{key}` | {} |", cell(what));
    }
    for (table, intro, keys) in TABLES {
        let _ = writeln!(out, "\n## `{table}`\n");
        if !intro.is_empty() {
            let _ = writeln!(out, "{intro}\n");
        }
        if !keys.is_empty() {
            out.push_str("| key | what it is |\n| --- | --- |\n");
        }
        for (key, what) in keys {
            let names: Vec<String> = key.split(", ").map(|it| format!("`{it}`")).collect();
            let _ = writeln!(out, "| {} | {} |", names.join(", "), cell(what));
        }
    }
    out
}
