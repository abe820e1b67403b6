//! A program that confirms its reloads.

use mattervisor_tests::{Site, eventually};

/// A program that loads its file when it starts and at SIGHUP, as servers do; at SIGHUP it rejects
/// a file with the word "bad". It writes what it has loaded into another file.
pub(super) struct Program {
    pub(super) file: String,
    pub(super) loaded: String,
}

impl Program {
    pub(super) fn new(site: &Site) -> Self {
        Self {
            file: site.file("a.conf"),
            loaded: site.file("a.loaded"),
        }
    }

    pub(super) fn verbs(&self) -> [String; 2] {
        let (file, loaded) = (&self.file, &self.loaded);
        [
            format!("copy={file}:{loaded}"),
            format!("copy-on-hup={file}:{loaded}:bad"),
        ]
    }

    /// The keys of its service: how to reload it, and its rendered file.
    pub(super) fn more(&self, reload: &str) -> String {
        let file = &self.file;
        format!(
            r#"
                [settings]
                word = {{ type = "string", default = "one" }}
                [reload]
                signal = "HUP"
                {reload}
                [[files]]
                path = "{file}"
                on_change = "reload"
                content = "word: {{{{ word }}}}\nanswer: {{{{ reload_token }}}}\n"
            "#
        )
    }

    /// The confirmation of a reload: looks for the token in what the program has loaded.
    pub(super) fn asks(&self) -> String {
        let loaded = &self.loaded;
        format!(
            r#"
                [reload.confirm]
                exec = ["/bin/grep", "-q", "{{{{ reload_token }}}}", "{loaded}"]
                interval = "20ms"
            "#
        )
    }

    pub(super) fn rendered(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    /// What the program has loaded; waits for its first load.
    pub(super) fn loaded(&self) -> String {
        eventually("the program has loaded its file", || {
            std::fs::read_to_string(&self.loaded).ok()
        })
    }

    pub(super) fn add(&self, site: &Site, reload: &str, further: &[&str]) {
        let own = self.verbs();
        let verbs = own.iter().map(String::as_str);
        let verbs: Vec<&str> = verbs.chain(further.iter().copied()).collect();
        site.child("a", &verbs, &self.more(reload));
    }
}
