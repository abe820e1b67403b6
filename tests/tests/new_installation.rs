//! A new installation, before anybody has used the System Console.

use std::fs;

use mattervisor_tests::{http_get, http_post, need, nginx, postgres};
use serde_json::Value;

use crate::stack::Stack;

/// Size of an upload, in bytes: more than a server takes into memory at once.
const FILE: usize = 3 << 20;

/// The first config.json has the values of the release archive's and of Omnibus. Mattermost's
/// built-in defaults would log a line for each request, and send mail to a server that nobody has
/// named.
#[test]
fn it_logs_at_info_and_sends_no_mail() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    assert_eq!(http_get(stack.nginx_port, "/").unwrap().0, 200);
    let user = br#"{"username": "ada", "email": "ada@example.com", "password": "x"}"#;
    assert_eq!(
        http_post(stack.nginx_port, "/api/v4/users", user)
            .unwrap()
            .0,
        201
    );
    let config = stack
        .site
        .path("var/lib/mattervisor/mattermost/config.json");
    let config: Value = serde_json::from_slice(&fs::read(config).unwrap()).unwrap();
    assert_eq!(config["LogSettings"]["ConsoleLevel"], "INFO");
    let mail = &config["EmailSettings"];
    assert_eq!(mail["SendEmailNotifications"], false);
    for key in ["FeedbackEmail", "ReplyToAddress", "SMTPServer", "SMTPPort"] {
        assert_eq!(mail[key], "", "{key}");
    }
    // The log is complete once its last line is there.
    stack.site.ctl(&["stop", "mattermost"]).ok();
    stack
        .site
        .wait_log("mattermost", |line| line.contains("Server stopped"));
    let log = stack.site.path("var/log/mattervisor/mattermost/current");
    let log = fs::read_to_string(log).unwrap();
    for words in [
        "Received HTTP request",
        "Mail server connection",
        "welcome email",
    ] {
        assert!(!log.contains(words), "{words}: {log}");
    }
}

/// Large files pass nginx in both directions, and are stored where the catalogue says.
#[test]
fn files_get_through_nginx() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    stack.start();
    let file: Vec<u8> = (0..FILE)
        .map(|at| b'a' + u8::try_from(at % 23).unwrap())
        .collect();
    let path = "/api/v4/files?filename=a.txt";
    let (status, said) = http_post(stack.nginx_port, path, &file).unwrap();
    assert_eq!(status, 201, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let info = &said["file_infos"][0];
    assert_eq!(info["size"], FILE);
    let id = info["id"].as_str().unwrap();
    let (status, body) = http_get(stack.nginx_port, &format!("/api/v4/files/{id}")).unwrap();
    assert_eq!(status, 200);
    assert!(body.into_bytes() == file, "another file came back");
    let stored = format!("var/lib/mattervisor/mattermost/data/files/{id}");
    assert!(fs::read(stack.site.path(&stored)).unwrap() == file);
}
