//! nginx answers from the beginning, whatever Mattermost does behind it.

use std::time::Duration;

use mattervisor_tests::{StatusExt, http_get, need, nginx, postgres};

use crate::stack::Stack;

/// Mattermost never becomes ready here: users get a 503, also after a restart of nginx.
#[test]
fn nginx_answers_while_mattermost_starts() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_HANG = '1'");
    stack.site.start();
    let (site, port) = (&stack.site, stack.nginx_port);
    site.wait_for_within(
        Duration::from_secs(120),
        "nginx is ready, Mattermost starts",
        |status| status.ready("nginx") && status.state("mattermost") == "starting",
    );
    assert_eq!(http_get(port, "/").map(|(code, _)| code), Some(503));
    let before = site.status().pid("nginx");
    site.ctl(&["restart", "nginx"]).ok();
    let status = site.status();
    assert_ne!(status.pid("nginx"), before);
    assert_eq!(status.state("mattermost"), "starting");
    assert_eq!(http_get(port, "/").map(|(code, _)| code), Some(503));
}
