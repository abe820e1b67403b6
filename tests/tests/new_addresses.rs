//! Addresses that a change gives to a service: a taken address is refused before anything is
//! applied, and a service that does not listen afterwards fails the change.

use std::{
    fs,
    net::{TcpListener, TcpStream},
};

use mattervisor_tests::{
    Site, StatusExt, binary, eventually, free_port, http_get, need, nginx, postgres,
};

use crate::{reconfigure_rollback::until_kept, stack::Stack};

/// A service that reads its port from a file when it starts, and ignores HUP.
fn deaf(site: &Site, name: &str, port: u16) {
    let conf = site.file(&format!("{name}.conf"));
    site.service(
        name,
        &format!(
            r#"
                command = ["/bin/sh", "-c", "exec {child} site={root} ignore=HUP listen=$(cat {conf})"]
                listens = ["127.0.0.1:{port}"]
                [reload]
                signal = "HUP"
                [ready]
                tcp = "127.0.0.1:{port}"
                interval = "50ms"
                [[files]]
                path = "{conf}"
                content = "{port}"
                on_change = "reload"
            "#,
            child = binary("testchild").display(),
            root = site.root().display(),
        ),
    );
}

/// A service that restarts for another port.
fn restarted(site: &Site, name: &str, port: u16) {
    let listens = format!("listens = ['127.0.0.1:{port}']\n");
    site.child(name, &[&format!("listen={port}")], &listens);
}

fn stranger() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn is_open(host: &str, port: u16) -> bool {
    TcpStream::connect((host, port)).is_ok()
}

/// Without the check, a service that restarts would be stopped before its port is found taken, and
/// a service that reloads would silently keep its old port.
#[test]
fn an_address_that_a_stranger_has_refuses_the_change_and_its_dry_run() {
    for service in [deaf, restarted] {
        let mut site = Site::new();
        let port = free_port();
        service(&site, "web", port);
        site.start_ready();
        let before = site.status().pid("web");
        let (listener, taken) = stranger();
        service(&site, "web", taken);
        let said = format!("web cannot listen where it is to: 127.0.0.1:{taken} is in use by ");
        let named = format!("(pid {})", std::process::id());
        for arguments in [&["reconfigure", "--dry-run"][..], &["reconfigure"]] {
            let told = site.ctl(arguments).expect_code(1).both();
            assert!(told.contains(&said) && told.contains(&named), "{told}");
            assert!(told.contains("nothing has changed"), "{told}");
        }
        let status = site.status();
        assert!(status.ready("web") && status.pid("web") == before);
        assert!(is_open("127.0.0.1", port));
        if let Ok(conf) = fs::read_to_string(site.path("web.conf")) {
            assert_eq!(conf, port.to_string());
        }
        drop(listener);
        // The service that ignores HUP would not take the port.
        if fs::metadata(site.path("web.conf")).is_err() {
            site.ctl(&["reconfigure"]).ok();
            assert!(is_open("127.0.0.1", taken));
        }
    }
}

/// A process that ignores the reload answers as before; only its listening sockets show the
/// failure.
#[test]
fn a_reload_after_which_the_service_does_not_listen_is_gone_back_from() {
    let mut site = Site::new();
    let (old, new) = (free_port(), free_port());
    deaf(&site, "web", old);
    site.start_ready();
    until_kept(&site, 1);
    let before = site.status().pid("web");
    deaf(&site, "web", new);
    let said = format!("does not listen on 127.0.0.1:{new}");
    for _ in 0..2 {
        let told = site.ctl(&["reconfigure"]).expect_code(1).both();
        assert!(told.contains(&said), "{told}");
        assert!(told.contains("web: runs with it again"), "{told}");
        let status = site.status();
        let web = status.service("web");
        assert_eq!((web.pid, &web.reason), (Some(before), &None));
    }
    site.ctl(&["restart", "web"]).ok();
    assert!(is_open("127.0.0.1", old) && !is_open("127.0.0.1", new));

    // A port that the service takes only at its start needs a restart.
    site.ctl(&["stop", "web"]).ok();
    site.ctl(&["reconfigure"]).ok();
    site.ctl(&["start", "web"]).ok();
    assert!(is_open("127.0.0.1", new) && !is_open("127.0.0.1", old));
}

/// The change outlives the control process that has begun it.
#[test]
fn a_control_process_that_takes_over_looks_whether_the_service_listens() {
    let mut site = Site::new();
    let (old, new) = (free_port(), free_port());
    deaf(&site, "web", old);
    site.start_ready();
    deaf(&site, "web", new);
    site.ctl(&["reconfigure", "--no-wait"]).ok();
    mattervisor_tests::kill(site.control_pid(), nix::sys::signal::Signal::SIGKILL);
    let changes = eventually("it is seen not to listen, and gone back from", || {
        let changes = site.ctl(&["events", "--changes"]).ok().stdout;
        changes.contains("gone back to").then_some(changes)
    });
    let said = format!("does not listen on 127.0.0.1:{new}");
    assert!(changes.contains(&said), "{changes}");
    assert!(site.status().ready("web") && is_open("127.0.0.1", old));
}

/// A port goes from one service to another: a reload cannot wait for the other service, so both
/// restart.
#[test]
fn a_port_goes_between_two_services_that_would_only_reload() {
    let mut site = Site::new();
    let ports = [free_port(), free_port(), free_port()];
    deaf(&site, "a", ports[0]);
    deaf(&site, "b", ports[1]);
    site.start_ready();
    deaf(&site, "a", ports[2]);
    deaf(&site, "b", ports[0]);
    let told = site.ctl(&["reconfigure"]).ok().both();
    let given = format!("127.0.0.1:{} comes to it from a", ports[0]);
    assert!(told.contains(&given) && !told.contains("in use"), "{told}");
    let status = site.status();
    for name in ["a", "b"] {
        assert!(status.ready(name), "{status:#?}");
        assert_eq!(status.service(name).restarts, 0);
    }
    assert!(is_open("127.0.0.1", ports[2]) && is_open("127.0.0.1", ports[0]));
    assert!(!is_open("127.0.0.1", ports[1]));
}

/// When nginx cannot bind an address after HUP, it keeps its old configuration and says so in its
/// log alone.
#[test]
fn nginx_gets_the_addresses_that_it_can_have_and_no_others() {
    let bin = need!(postgres());
    need!(nginx());
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let narrow = fs::read_to_string(file).unwrap();
    let wide = narrow.replace(
        r#"nginx.listen_addresses = ["127.0.0.1"]"#,
        "nginx.listen_addresses = ['*']",
    );
    assert_ne!(narrow, wide);
    stack.site.site_file(&wide);
    stack.start();
    let (site, port) = (&stack.site, stack.nginx_port);
    let page = |port| http_get(port, "/").map(|(status, _)| status);
    assert!(is_open("127.0.0.2", port));

    site.site_file(&narrow);
    let told = site.ctl(&["reconfigure"]).ok().both();
    let why = format!("it has 127.0.0.1:{port} only once it has let go of 0.0.0.0:{port}");
    assert!(
        told.contains("nginx restarts:") && told.contains(&why),
        "{told}"
    );
    assert!(page(port) == Some(200) && !is_open("127.0.0.2", port));

    let before = site.status().pid("nginx");
    let (listener, taken) = stranger();
    site.site_file(&format!("{narrow}nginx.listen_port = {taken}\n"));
    for arguments in [&["reconfigure", "--dry-run"][..], &["reconfigure"]] {
        let told = site.ctl(arguments).expect_code(1).both();
        assert!(
            told.contains(&format!("127.0.0.1:{taken} is in use by ")),
            "{told}"
        );
    }
    assert_eq!(
        (site.status().pid("nginx"), page(port)),
        (before, Some(200))
    );

    drop(listener);
    let told = site.ctl(&["reconfigure"]).ok().both();
    assert!(told.contains("nginx reloads:"), "{told}");
    assert_eq!(site.status().pid("nginx"), before);
    assert_eq!(page(taken), Some(200));
    assert!(
        !is_open("127.0.0.1", port),
        "the old address is closed when it is done"
    );
}
