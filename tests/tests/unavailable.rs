//! The answer to users while Mattermost is down: a page that says why and reloads itself, JSON for
//! programs, and the administrator's message during maintenance.

mod maintenance;

use std::{path::Path, process::Command};

use mattervisor_tests::{StatusExt, eventually, need, nginx, postgres, run};

use crate::stack::Stack;

/// The stand-in ends quickly when it is asked to.
const QUICK: &str = "STANDIN_STOP_MS = '100'";
/// An `error_page` and locations of the administrator's own.
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

    /// Waits until the heading of the page says this.
    fn says(&self, said: &str) -> String {
        eventually(said, || {
            let page = self.curl("/", &[]);
            page.contains(&format!("<h1>{said}</h1>")).then_some(page)
        })
    }

    /// The message of the answer to programs, which has the form of Mattermost's own errors.
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

/// From nginx's first answer on, every kind of request is told that Mattermost starts, and the page
/// follows when Mattermost is stopped and started again.
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
    // The page cannot be requested by its own path.
    assert!(
        stack
            .curl("/mattervisor-unavailable", &[])
            .starts_with("HTTP/1.1 404")
    );

    stack.site.ctl(&["stop", "mattermost"]).ok();
    is_unavailable(&stack.says("Mattermost has been stopped by its administrators."));
    // A removed status directory is there again once nginx has restarted.
    std::fs::remove_dir_all(stack.status_file("")).unwrap();
    assert!(stack.curl("/", &[]).starts_with("HTTP/1.1 503"));
    stack.site.ctl(&["restart", "nginx"]).ok();
    is_unavailable(&stack.says("Mattermost has been stopped by its administrators."));
    stack.site.ctl(&["--no-wait", "start", "mattermost"]).ok();
    stack.says(starting);
    stack.site.ctl(&["stop", "postgresql"]).ok();
    stack.says("Mattermost is not running at the moment.");
}

/// The page tells of a crash loop and of its end; an `error_page` of the administrator's own is
/// shown in the place of ours.
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

/// The page and the answer to programs show the job's announcement and its progress.
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

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
