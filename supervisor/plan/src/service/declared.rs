//! Keys that are read before any service is: what a service file declares for the site file, and
//! what is for people alone.

use crate::service::key::{Key, KeyTable};

pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "settings",
        doc: "what the site file may say: `NAME.KEY`",
        tables: &[KeyTable {
            header: "[settings]",
            intro: "`KEY = { … }`, each with",
            keys: &[
                (
                    "type",
                    "`string` (default), `bool`, `int`, `port`, `url`, `path`, `duration`, `size`, `list`, `map`, `scalar` (string, number or bool), `account` (name of a user or group), `version`",
                ),
                (
                    "default",
                    "value, or template; one that gives `none` is no value",
                ),
                ("env", "variable that it becomes"),
                (
                    "secret",
                    "`true`: never shown, logged or given as an argument",
                ),
                (
                    "generate",
                    "how it is made where it is missing: `hex:16`, `base64:32`; kept in secrets.toml",
                ),
                (
                    "find",
                    "for a path: patterns; the newest match is the value",
                ),
                (
                    "find_hint",
                    "with `find`: what brings it where it is not found, as in `install it: apt-get install …`",
                ),
                (
                    "version_file",
                    "with `find`: a file that names the version to take",
                ),
                (
                    "read",
                    "a file; its first line is the value where it is there and of the type",
                ),
                (
                    "read_after",
                    "with `read`: what stands before the value in that file, which may be a program",
                ),
                ("values", "the only ones allowed"),
                ("bare", "for a URL: http or https, without a path"),
                (
                    "multi_line",
                    "`true`: it may have line ends and tabs; no other value may have a control character. Viewers do not see what a file has from it",
                ),
                (
                    "pattern, pattern_words",
                    "a regular expression that each text of it must match as a whole, and what it must be, in words",
                ),
                ("max_bytes", "longest text"),
                (
                    "obsolete",
                    "the key is accepted and does nothing; why, or what to write instead",
                ),
                ("doc", "one line for people"),
            ],
        }],
        ..Key::IDLE
    },
    Key {
        name: "sections",
        doc: "settings under another name than its own",
        tables: &[KeyTable {
            header: "[sections.NAME]",
            intro: "`KEY = { … }` as in `[settings]`: the site file says `NAME.KEY`.",
            keys: &[],
        }],
        ..Key::IDLE
    },
    Key {
        name: "patterns",
        doc: "parts of the `pattern`s of its settings by name: `(?&NAME)` stands for one",
        ..Key::IDLE
    },
    Key {
        name: "doc",
        doc: "for people; nothing reads it",
        ..Key::IDLE
    },
];
