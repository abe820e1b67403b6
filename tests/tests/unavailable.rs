//! What users get while Mattermost is not there: a page that says why and comes back by itself, JSON
//! for programs, and the administrator's word during maintenance.

use std::{path::Path, process::Command};

use mattervisor_tests::{StatusExt, eventually, kill, need, nginx, postgres, run};
use nix::sys::signal::Signal;

use crate::stack::Stack;

/// The stand-in ends quickly when it is asked to.
const QUICK: &str = "STANDIN_STOP_MS = '100'";
/// Another `error_page` and other locations, as users have them.
const CUSTOM: &str = "mattermost_nginx.custom_gitlab_mattermost_server_config = '''\n\
    error_page 404 /own-404;\n\
    location = /own-404 { internal; return 404 'own 404'; }\n\
    location = /own { return 200 'own location'; }\n\
    location = /own-nowhere { return 404; }\n'''\n";

impl Stack {
    fn add_to_site(&self, more: &str) {
        let file = self.site.path("etc/mattervisor/mattervisor.toml");
        let site_file = std::fs::read_to_string(file).unwrap();
        self.site.site_file(&format!("{site_file}{more}"));
    }

    /// Head and body, as curl prints them.
    fn curl(&self, path: &str, more: &[&str]) -> String {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-i", "--max-time", "30", "--noproxy", "*"]);
        let url = format!("http://127.0.0.1:{}{path}", self.nginx_port);
        run(curl.args(more).arg(url)).ok().stdout
    }

    /// Until the page says this.
    fn says(&self, said: &str) -> String {
        eventually(said, || {
            let page = self.curl("/", &[]);
            page.contains(&format!("<h1>{said}</h1>")).then_some(page)
        })
    }

    /// What programs are told, in Mattermost's own form.
    fn told(&self, path: &str, more: &[&str]) -> String {
        let answer = self.curl(path, more);
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.contains("Content-Type: application/json"),
            "{answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["status_code"], 503);
        body["message"].as_str().unwrap().to_owned()
    }

    fn status_file(&self, name: &str) -> std::path::PathBuf {
        self.site
            .path("run/mattervisor/mattermost-status")
            .join(name)
    }
}

fn is_unavailable(page: &str) {
    assert!(page.starts_with("HTTP/1.1 503"), "{page}");
    for header in [
        "Content-Type: text/html; charset=utf-8",
        "Retry-After: 10",
        "Cache-Control: no-store",
        "Referrer-Policy: strict-origin-when-cross-origin",
    ] {
        assert!(
            page.contains(&format!("\r\n{header}\r\n")),
            "{header}: {page}"
        );
    }
}

/// From the first answer on: it starts, it is stopped, it is started again; by every kind of request.
#[test]
fn while_mattermost_starts_and_is_stopped_users_are_told() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_HANG = '1'");
    stack.site.start();
    let first = eventually("nginx serves", || {
        let status = stack.site.status();
        status.ready("nginx").then(|| stack.curl("/", &[]))
    });
    is_unavailable(&first);
    assert!(
        first.contains("<h1>Mattermost is starting.</h1>"),
        "{first}"
    );
    let starting = "Mattermost is starting.";
    assert_eq!(stack.told("/api/v4/users/me?x=1", &[]), starting);
    assert_eq!(
        stack.told("/plugins/x", &["-H", "Accept: application/json"]),
        starting
    );
    assert_eq!(stack.told("/api/v4/posts", &["-d", "{}"]), starting);
    let upgrade = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket"];
    assert_eq!(stack.told("/api/v4/websocket", &upgrade), starting);
    let head = stack.curl("/", &["--head"]);
    is_unavailable(&head);
    assert!(!head.contains("<h1>"), "{head}");
    // Nobody asks for it by its own name.
    assert!(
        stack
            .curl("/mattervisor-unavailable", &[])
            .starts_with("HTTP/1.1 404")
    );

    stack.site.ctl(&["stop", "mattermost"]).ok();
    is_unavailable(&stack.says("Mattermost has been stopped by its administrators."));
    // Somebody has cleared the directory: it is there again when nginx is.
    std::fs::remove_dir_all(stack.status_file("")).unwrap();
    assert!(stack.curl("/", &[]).starts_with("HTTP/1.1 503"));
    stack.site.ctl(&["restart", "nginx"]).ok();
    is_unavailable(&stack.says("Mattermost has been stopped by its administrators."));
    stack.site.ctl(&["--no-wait", "start", "mattermost"]).ok();
    stack.says(starting);
    stack.site.ctl(&["stop", "postgresql"]).ok();
    stack.says("Mattermost is not running at the moment.");
}

/// A crash loop writes no faster than it may, and gives up in the end; an `error_page` of the user's
/// own is shown in the place of ours.
#[test]
fn a_crash_loop_is_told_and_so_is_its_end() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_CRASH_AT_START = '7'");
    stack.site.service(
        "mattermost",
        r#"
            [restart]
            delay = "2s"
            max_delay = "2s"
            limit = { starts = 4, within = "10m" }
        "#,
    );
    stack.site.start();
    let mut seen = std::collections::BTreeSet::new();
    eventually("it is given up", || {
        if stack.site.status().ready("nginx") {
            let page = stack.curl("/", &[]);
            is_unavailable(&page);
            let said = page.split("<h1>").nth(1)?.split("</h1>").next()?;
            seen.insert(said.to_owned());
        }
        (stack.site.status().state("mattermost") == "failed").then_some(())
    });
    let backoff = "Mattermost has had a problem and is about to be started again.";
    assert!(seen.contains(backoff), "{seen:?}");
    stack.says("Mattermost is not running at the moment.");
    stack.add_to_site(
        "mattermost_nginx.custom_gitlab_mattermost_server_config = '''\n\
         error_page 502 /own-502;\nlocation = /own-502 { internal; return 502 'own page'; }\n'''\n",
    );
    stack.site.ctl(&["--no-wait", "reconfigure"]).ok();
    eventually("the user's own page is shown", || {
        let page = stack.curl("/", &[]);
        (page.starts_with("HTTP/1.1 502") && page.contains("own page")).then_some(())
    });
}

/// Mattermost runs all the time and is not touched; what users are told outlives every process.
#[test]
fn maintenance_stays_until_it_is_ended() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, QUICK);
    stack.add_to_site(CUSTOM);
    stack.start();
    let before = stack.site.status();
    assert!(stack.curl("/", &[]).starts_with("HTTP/1.1 200"));
    let message = "<script>alert(\"1\")</script> & 'back' at 10";
    let said = stack
        .site
        .ctl(&["maintenance", "on", "--message", message])
        .ok();
    assert!(
        said.stdout
            .contains("maintenance is on, begun 0s ago, by root"),
        "{}",
        said.both()
    );
    let page = stack.curl("/", &[]);
    is_unavailable(&page);
    assert!(
        page.contains("<h1>Mattermost is down for maintenance.</h1>"),
        "{page}"
    );
    let escaped =
        "&lt;script&gt;alert(&quot;1&quot;)&lt;&#x2f;script&gt; &amp; &#x27;back&#x27; at 10";
    assert!(
        page.contains(escaped) && !page.contains("<script"),
        "{page}"
    );
    let told = format!("Mattermost is down for maintenance. {message}");
    assert_eq!(stack.told("/api/v4/system/ping", &[]), told);
    assert_eq!(stack.told("/api/v4/websocket", &[]), told);
    // What is not Mattermost's is not in maintenance.
    assert!(stack.curl("/own", &[]).contains("own location"));
    assert!(stack.curl("/own-nowhere", &[]).contains("own 404"));
    let after = stack.site.status();
    for name in ["mattermost", "nginx", "postgresql"] {
        assert_eq!(after.pid(name), before.pid(name));
    }
    let shown = stack.site.ctl(&["status"]).both();
    assert!(shown.contains("maintenance is on, begun"), "{shown}");
    assert!(
        stack
            .site
            .get("/metrics")
            .body
            .contains("\nmattervisor_maintenance 1\n")
    );
    let changes = stack.site.ctl(&["events", "--changes"]).ok().stdout;
    assert!(changes.contains("maintenance on: "), "{changes}");

    kill(stack.site.control_pid(), Signal::SIGKILL);
    let reply = stack
        .site
        .ctl(&["maintenance", "--format", "json"])
        .ok()
        .stdout;
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(reply["maintenance"]["message"], message);
    // The machine boots: nothing is left of run/.
    assert_eq!(stack.site.stop(), 0);
    std::fs::remove_dir_all(stack.site.path("run")).unwrap();
    stack.start();
    assert_eq!(stack.told("/api/v4/system/ping", &[]), told);

    let said = stack.site.ctl(&["maintenance", "off"]).ok().stdout;
    assert_eq!(said, "there is no maintenance\n");
    assert!(!stack.status_file("maintenance").exists());
    assert!(stack.curl("/", &[]).starts_with("HTTP/1.1 200"));
    assert!(!stack.site.ctl(&["status"]).both().contains("maintenance"));
}

/// The file alone is not what users get: nginx itself is asked, by the way that they take.
#[test]
fn maintenance_is_done_when_nginx_was_seen_to_tell_of_it() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, QUICK);
    stack.add_to_site(
        "mattermost_nginx.custom_gitlab_mattermost_server_config = '''\n\
         deny 127.0.0.9;\nif ($arg_own) { return 418; }\n'''\n",
    );
    stack.start();
    let told = |args: &[&str]| {
        let done = stack.site.ctl(args).ok();
        assert_eq!(done.stderr, "");
        let reply: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        reply["told_by"]["nginx"].clone()
    };
    let yes = serde_json::json!({ "seen": "yes" });
    assert_eq!(told(&["maintenance", "on", "--format", "json"]), yes);
    is_unavailable(&stack.curl("/", &[]));
    assert_eq!(told(&["maintenance", "off", "--format", "json"]), yes);
    assert!(stack.curl("/", &[]).starts_with("HTTP/1.1 200"));

    // Lines of the administrator's own answer before ours do.
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = std::fs::read_to_string(&file).unwrap();
    let own = site_file.replace("if ($arg_own) {", "if ($uri ~ ping) {");
    stack.site.site_file(&own);
    stack.site.ctl(&["reconfigure"]).ok();
    let failed = stack.site.ctl(&["maintenance", "on"]);
    let failed = failed.expect_code(1).both();
    assert!(
        failed.contains("users may not be told so: asked nginx itself: ")
            && failed.contains("/api/v4/system/ping answers 418"),
        "{failed}"
    );
    assert!(stack.status_file("maintenance").exists(), "it is on");

    stack.site.ctl(&["stop", "nginx"]).ok();
    let said = stack.site.ctl(&["maintenance", "on"]).ok();
    assert!(
        said.stderr
            .contains("nginx is stopped, so it tells nobody: ctl why nginx"),
        "{}",
        said.stderr
    );

    // Files of what is no longer here go, maintenance stays.
    stack.add_to_site("mattermost.enable = false\n");
    stack.site.ctl(&["reconfigure"]).ok();
    for name in ["maintenance", "unavailable.html", "unavailable.json"] {
        eventually("the file goes", || {
            (!stack.status_file(name).exists()).then_some(())
        });
    }
    let said = stack.site.ctl(&["maintenance"]).ok();
    assert!(said.stdout.contains("maintenance is on"), "{}", said.both());
}

/// Users read which work goes on, in its own words, and how far it is.
#[test]
fn a_job_that_has_mattermost_stopped_says_so_to_users() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, QUICK);
    let (go, end) = (stack.site.file("go"), stack.site.file("end"));
    let progress = |done: u32| {
        format!(
            r#"notify=X_MATTERVISOR_PROGRESS={{"step":"move","done":{done},"total":7,"unit":"files"}}"#
        )
    };
    let verbs = [
        "lease=mattermost",
        &progress(3),
        &format!("wait-file={go}"),
        &progress(6),
        &format!("wait-file={end}"),
    ];
    stack.site.child(
        "move",
        &verbs,
        r#"
            type = "oneshot"
            job = true
            announcement = "is moving house"
        "#,
    );
    stack.start();
    let request = serde_json::json!({ "id": "one", "wait": false });
    let asked = stack.site.ask("POST", "/v1/jobs/move", &request);
    assert_eq!(asked.status, 200, "{asked:?}");
    is_unavailable(&stack.says("Mattermost is moving house: 42 %"));
    assert_eq!(
        stack.told("/api/v4/users/me", &[]),
        "Mattermost is moving house: 42 %"
    );
    std::fs::write(stack.site.path("go"), "").unwrap();
    stack.says("Mattermost is moving house: 85 %");
    std::fs::write(stack.site.path("end"), "").unwrap();
    let page = eventually("Mattermost answers again", || {
        let page = stack.curl("/", &[]);
        page.starts_with("HTTP/1.1 200").then_some(page)
    });
    assert!(!page.contains("moving house"), "{page}");
    eventually("the page says nothing of it", || {
        let file = read(&stack.status_file("unavailable.html"))?;
        (!file.contains("moving house")).then_some(())
    });
}

/// What users are told stands on pages and terminals.
#[test]
fn a_message_is_short_and_plain() {
    let mut site = mattervisor_tests::Site::new();
    site.child("only", &["sleep"], "");
    site.start_ready();
    let long = "x".repeat(1001);
    for (message, said) in [
        (long.as_str(), "has 1001 characters, more than 1000"),
        ("a\nb", "has a control character in it"),
        ("  ", "is empty"),
    ] {
        let refused = site.ctl(&["maintenance", "on", "--message", message]);
        let refused = refused.expect_code(2).stderr;
        assert!(refused.contains(said), "{refused}");
    }
    let none = site.ctl(&["maintenance"]).ok().stdout;
    assert_eq!(none, "there is no maintenance\n");
    let longest = "ä".repeat(1000);
    let said = site.ctl(&["maintenance", "on", "--message", &longest]).ok();
    assert!(
        said.stderr.contains("Mattermost does not run here"),
        "{}",
        said.stderr
    );
}

/// A disk that takes nothing is told to whoever says that there is maintenance.
#[test]
fn what_cannot_be_written_is_told() {
    let mut site = mattervisor_tests::Site::new();
    let dir = site.path("status");
    std::fs::create_dir(&dir).unwrap();
    let template = site.path("etc/mattervisor/services.d/flag.j2");
    std::fs::create_dir_all(template.parent().unwrap()).unwrap();
    std::fs::write(&template, "{{ situation.state }}").unwrap();
    let path = dir.join("flag");
    site.child(
        "only",
        &["sleep"],
        &format!(
            r#"
                [[status_files]]
                path = "{}"
                template = "flag.j2"
                when = "maintenance"
            "#,
            path.display()
        ),
    );
    site.start_ready();
    let in_the_way = |is: bool| {
        if is {
            std::fs::create_dir_all(path.join("x")).unwrap();
        } else {
            std::fs::remove_dir_all(&path).unwrap();
        }
    };
    in_the_way(true);
    let failed = site.ctl(&["maintenance", "on"]).expect_code(1).both();
    assert!(
        failed.contains("users may not be told so: cannot write"),
        "{failed}"
    );
    let warned = site.ctl(&["status"]).both();
    assert!(
        warned.contains("status files may say what is over"),
        "{warned}"
    );
    in_the_way(false);
    eventually("it is written after all", || {
        (read(&path).as_deref() == Some("running")).then_some(())
    });
    site.ctl(&["maintenance", "off"]).ok();
    assert_eq!(read(&path), None);
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
