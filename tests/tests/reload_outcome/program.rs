//! A program that confirms its reloads.

use mattervisor_tests::Site;

/// A program that takes its file when it starts and at SIGHUP, except one with the word "bad" in
/// it, as servers do. What it runs with is in another file.
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

    /// How it is reloaded and what of it is rendered.
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

    /// Asks what it runs with.
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

    pub(super) fn loaded(&self) -> String {
        std::fs::read_to_string(&self.loaded).unwrap()
    }

    pub(super) fn add(&self, site: &Site, reload: &str, further: &[&str]) {
        let own = self.verbs();
        let verbs = own.iter().map(String::as_str);
        let verbs: Vec<&str> = verbs.chain(further.iter().copied()).collect();
        site.child("a", &verbs, &self.more(reload));
    }
}
