//! Certificates and other files that other programs write: a change is noticed, a pair is checked
//! before its use, and an expiry is announced beforehand.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use mattervisor_tests::{
    Site, StatusExt, eventually, free_port, need, nginx,
    openssl::{aged, fingerprint, self_signed, served},
};

/// A site with the service `web`, an nginx with one HTTPS server and a declared certificate; the
/// test itself writes nginx's configuration.
struct Web {
    site: Site,
    port: u16,
}

impl Web {
    fn new() -> Self {
        let site = Site::new();
        let port = free_port();
        let at = |name: &str| site.path(name).display().to_string();
        fs::create_dir_all(site.path("ssl")).unwrap();
        let configuration = format!(
            "daemon off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\n access_log off;\n \
             server {{\n listen 127.0.0.1:{port} ssl;\n ssl_certificate {};\n \
             ssl_certificate_key {};\n }}\n}}\n",
            at("nginx.pid"),
            at("ssl/m.crt"),
            at("ssl/m.key"),
        );
        fs::write(site.path("nginx.conf"), configuration).unwrap();
        let nginx = nginx().unwrap().display().to_string();
        let config = at("nginx.conf");
        site.service(
            "web",
            &format!(
                "
                    command = ['{nginx}', '-c', '{config}']
                    validate = ['{nginx}', '-t', '-q', '-c', '{config}']
                    [ready]
                    tcp = '127.0.0.1:{port}'
                    interval = '50ms'
                    [stop]
                    signal = 'QUIT'
                    [reload]
                    signal = 'HUP'
                    [[certificates]]
                    certificate = '{}'
                    key = '{}'
                    host = 'm.example'
                ",
                at("ssl/m.crt"),
                at("ssl/m.key"),
            ),
        );
        Self { site, port }
    }

    /// Makes a certificate for the host and its key, in `ssl`.
    fn pair(&self, name: &str, host: &str, days: i32) -> (PathBuf, PathBuf) {
        let at = |end: &str| self.site.path(&format!("ssl/{name}.{end}"));
        let pair = (at("crt"), at("key"));
        self_signed(&pair.0, &pair.1, &format!("DNS:{host}"), days);
        pair
    }

    /// Puts a pair in place, key first, by renames.
    fn place(&self, name: &str) -> String {
        let (certificate, key) = self.files();
        fs::rename(self.site.path(&format!("ssl/{name}.key")), key).unwrap();
        fs::rename(self.site.path(&format!("ssl/{name}.crt")), &certificate).unwrap();
        fingerprint(&certificate)
    }

    fn files(&self) -> (PathBuf, PathBuf) {
        (self.site.path("ssl/m.crt"), self.site.path("ssl/m.key"))
    }

    #[track_caller]
    fn serves(&self, print: &str) {
        eventually("the certificate is served", || {
            (served(self.port, "m.example")? == *print).then_some(())
        });
    }

    fn events(&self, word: &str) -> Vec<String> {
        let told = self.site.ctl(&["events", "-n", "500", "web"]).ok().stdout;
        let lines = told.lines().filter(|line| line.contains(word));
        lines.map(str::to_owned).collect()
    }

    #[track_caller]
    fn told(&self, word: &str) -> String {
        eventually(word, || self.events(word).pop())
    }

    fn reason(&self) -> String {
        let status = self.site.status();
        let web = status.services.iter().find(|it| it.name == "web").unwrap();
        web.reason.clone().unwrap_or_default()
    }
}

/// A renewed pair is noticed and loaded by a reload, once, without a new process, whether it comes
/// by renames, by writing, or by a link that leads elsewhere.
#[test]
fn a_renewed_pair_is_loaded_once_however_it_comes() {
    need!(nginx());
    let mut web = Web::new();
    web.pair("m", "m.example", 90);
    web.site.start_ready();
    let pid = web.site.status().pid("web");
    web.serves(&fingerprint(&web.files().0));
    web.pair("new", "m.example", 90);
    let print = web.place("new");
    web.serves(&print);
    let told = web.told("changed on disk: web reloads");
    assert!(
        told.contains("ssl/m.crt") && told.contains("ssl/m.key"),
        "{told}"
    );
    assert_eq!(
        web.events("web reloads").len(),
        1,
        "the pair was loaded in two steps"
    );

    web.pair("m", "m.example", 80);
    web.serves(&fingerprint(&web.files().0));

    // As certbot does it: links to links, and the last one is switched.
    let site = &web.site;
    for number in ["1", "2"] {
        fs::create_dir_all(site.path(&format!("archive/{number}"))).unwrap();
        let at = |end: &str| site.path(&format!("archive/{number}/m.{end}"));
        self_signed(&at("crt"), &at("key"), "DNS:m.example", 90);
    }
    let live = site.path("live");
    symlink(site.path("archive/1"), &live).unwrap();
    for (end, place) in [("crt", web.files().0), ("key", web.files().1)] {
        fs::remove_file(&place).unwrap();
        symlink(live.join(format!("m.{end}")), place).unwrap();
    }
    web.serves(&fingerprint(&site.path("archive/1/m.crt")));
    symlink(site.path("archive/2"), site.path("live.new")).unwrap();
    fs::rename(site.path("live.new"), &live).unwrap();
    web.serves(&fingerprint(&site.path("archive/2/m.crt")));
    assert_eq!(site.status().pid("web"), pid);
}

/// A certificate that does not match the key is not loaded, and nginx serves the old pair; once the
/// new key is in place, the new pair is loaded.
#[test]
fn half_a_pair_is_told_and_not_loaded() {
    need!(nginx());
    let mut web = Web::new();
    web.pair("m", "m.example", 90);
    let old = fingerprint(&web.files().0);
    web.site.start_ready();
    let (certificate, key) = web.pair("new", "m.example", 90);
    fs::rename(certificate, web.files().0).unwrap();
    let told = web.told("is not loaded");
    assert!(
        told.contains("the key does not belong to the certificate"),
        "{told}"
    );
    assert_eq!(served(web.port, "m.example").unwrap(), old);
    web.site.wait_for("it is degraded", |status| {
        let web = status.services.iter().find(|it| it.name == "web");
        web.is_some_and(|it| it.ready && it.healthy == Some(false))
    });
    assert!(web.reason().starts_with("degraded: "), "{}", web.reason());
    let why = web.site.ctl(&["why", "web"]).ok().stdout;
    assert!(why.contains("mend the file that is named"), "{why}");
    fs::rename(key, web.files().1).unwrap();
    web.serves(&fingerprint(&web.files().0));
    web.site.wait_for("it is well again", |status| {
        let web = status.services.iter().find(|it| it.name == "web");
        web.is_some_and(|it| it.ready && it.healthy != Some(false))
    });
}

/// A service whose certificate is for another host starts and is degraded, and `check-config`
/// warns. A certificate that expires soon is announced once, and the service is healthy.
#[test]
fn what_clients_would_not_trust_degrades_and_does_not_block() {
    need!(nginx());
    let mut web = Web::new();
    let (told, notify) = web.site.notified();
    web.site.site_file(&notify);
    web.pair("m", "other.example", 90);
    let checked = web.site.ctl(&["check-config"]).ok().both();
    assert!(
        checked.contains("m.crt: warning: web.certificates: the certificate is not for m.example, but for other.example"),
        "{checked}"
    );
    web.site.start_ready();
    web.told("is not for m.example");
    assert!(
        web.reason().contains("is not for m.example"),
        "{}",
        web.reason()
    );
    let has = |word: &str| {
        eventually(word, || {
            let text = fs::read_to_string(&told).ok()?;
            text.contains(word).then_some(text)
        })
    };
    has("web is unhealthy: ");
    let at = |end: &str| web.site.path(&format!("ssl/ends.{end}"));
    aged(&at("crt"), &at("key"), "m.example", 71, 19);
    web.place("ends");
    web.told("the certificate expires in 19 days");
    has("web has recovered");
    let text = has("the certificate expires in 19 days");
    assert_eq!(text.matches("expires in 19 days").count(), 1, "{text}");
    assert!(
        web.reason().contains("expires in 19 days"),
        "{}",
        web.reason()
    );
    // The next control process does not repeat the notification.
    web.site.ctl(&["reexec"]).ok();
    web.told("the certificate expires in 19 days");
    let text = fs::read_to_string(&told).unwrap();
    assert_eq!(text.matches("expires in 19 days").count(), 1, "{text}");
}

/// A change of a file in `[[watches]]` restarts, reloads or does nothing, as configured; a change
/// of any other file does nothing.
#[test]
fn watched_files_restart_reload_or_do_nothing() {
    let mut site = Site::new();
    let list = |name: &str| site.path(name).display().to_string();
    let more = format!(
        "
            [reload]
            signal = 'HUP'
            [[watches]]
            path = '{}'
            on_change = 'restart'
            [[watches]]
            path = '{}'
            [[watches]]
            path = '{}'
            on_change = 'nothing'
        ",
        list("later/restart"),
        list("reload"),
        list("nothing"),
    );
    site.child("worker", &["on-hup=again", "sleep"], &more);
    site.start_ready();
    let pid = site.status().pid("worker");
    fs::write(site.path("nothing"), "1").unwrap();
    fs::write(site.path("unknown"), "1").unwrap();
    fs::write(site.path("reload"), "1").unwrap();
    let reloads = |count: usize| {
        eventually("a reload is told", || {
            let told = site.ctl(&["events", "-n", "500", "worker"]).ok().stdout;
            (told.matches("changed on disk: worker reloads").count() == count).then_some(told)
        })
    };
    let told = reloads(1);
    assert!(told.contains("/reload changed on disk"), "{told}");
    // Writing the same content again is no change.
    fs::write(site.path("reload"), "1").unwrap();
    fs::write(site.path("reload"), "2").unwrap();
    reloads(2);
    assert_eq!(site.status().pid("worker"), pid);
    fs::create_dir(site.path("later")).unwrap();
    fs::write(site.path("later/restart"), "1").unwrap();
    site.wait_reborn("worker", pid);
    let told = site.ctl(&["events", "-n", "500", "worker"]).ok().stdout;
    assert!(
        told.contains("later/restart changed on disk: worker restarts"),
        "{told}"
    );
    assert!(
        !told.contains("/nothing changed") && !told.contains("/unknown"),
        "{told}"
    );
}

/// A change that comes while no control process runs is loaded by the next one.
#[test]
fn what_changes_while_control_is_away_is_loaded_when_it_is_back() {
    need!(nginx());
    let mut web = Web::new();
    web.pair("m", "m.example", 90);
    web.site.start_ready();
    let pid = web.site.status().pid("web");
    let control = web.site.control_pid();
    web.pair("new", "m.example", 90);
    mattervisor_tests::kill(control, nix::sys::signal::Signal::SIGSTOP);
    let print = web.place("new");
    mattervisor_tests::kill(control, nix::sys::signal::Signal::SIGKILL);
    web.serves(&print);
    assert_eq!(web.site.status().pid("web"), pid);
}
