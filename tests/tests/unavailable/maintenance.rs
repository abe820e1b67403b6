//! Maintenance: the administrator's message in the place of Mattermost.

use mattervisor_tests::{StatusExt, eventually, kill, need, nginx, postgres, requester};
use nix::sys::signal::Signal;

use super::{CUSTOM, QUICK, is_unavailable, read};
use crate::stack::Stack;

/// Mattermost runs all the time and is not touched; the message to users outlives every process.
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
    let begun = format!("maintenance is on, begun 0s ago, by {}", requester());
    assert!(said.stdout.contains(&begun), "{}", said.both());
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
    // Locations of the administrator's own are not in maintenance.
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
    // After a boot of the machine nothing is left of run/.
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

/// `ctl maintenance` asks nginx itself, as users do, since the status file alone does not show what
/// users get.
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

    // Directives of the administrator's own answer before ours.
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

    // The status files of a disabled service are removed; maintenance stays on.
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

/// The message is shown on pages and terminals, so it must be short and have no control characters.
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

/// If the status file cannot be written, `ctl maintenance on` fails with the reason, and status
/// warns.
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
