//! Readiness by `sd_notify`: who may send, and the effect of the other messages.

use mattervisor_tests::{Site, StatusExt};

/// Behaviour 18: a service with a notify socket may begin a reload by itself, which lasts until its
/// READY=1; a service that ends meanwhile has failed.
#[test]
fn b18_a_service_that_reloads_by_itself_is_shown_and_may_die_of_it() {
    let mut site = Site::new();
    let (go, die) = (site.file("go"), site.file("die"));
    let begins = [
        "notify=RELOADING=1",
        &format!("wait-file={go}"),
        "notify=READY=1",
        "sleep",
    ];
    // The service is ready once it is executed; the notify socket is for the reload.
    site.child("a", &begins, "notify_access = 'all'");
    let dies = ["notify=RELOADING=1", &format!("wait-file={die}"), "exit=5"];
    site.child(
        "dies",
        &dies,
        r#"
            notify_access = "main"
            [restart]
            policy = "never"
        "#,
    );
    site.start_ready();
    site.wait_state("a", "reloading");
    site.wait_state("dies", "reloading");
    std::fs::write(go, "").unwrap();
    site.wait_state("a", "running");
    std::fs::write(die, "").unwrap();
    let status = site.wait_state("dies", "failed");
    assert_eq!(
        status.service("dies").last_exit.as_ref().unwrap().code,
        Some(5)
    );
}

/// Behaviour 19: a notify socket ignores messages of another service's processes, and accepts
/// messages of its own service's children.
#[test]
fn b19_messages_from_other_services_are_rejected() {
    let mut site = Site::new();
    let socket = site.file("socket");
    let ready = r#"
        [ready]
        notify = true
        timeout = "1m"
    "#;
    site.child("honest", &["notify-from-child=READY=1", "sleep"], ready);
    site.child(
        "victim",
        &[&format!("write={socket}:$NOTIFY_SOCKET"), "sleep"],
        ready,
    );
    let verbs = [
        &format!("wait-file={socket}"),
        &format!("notify-to={socket}:READY=1"),
        &format!("notify-to={socket}:MAINPID=1"),
        "print=lied",
        "sleep",
    ];
    site.child("liar", &verbs.map(|verb| verb as &str), "");
    site.start();
    site.wait_log("liar", |line| line == "lied");
    let status = site.wait_state("honest", "running");
    assert!(status.ready("honest"));
    // Messages that were sent before this restart have been read when it ends.
    site.ctl(&["restart", "liar"]).ok();
    let status = site.status();
    assert_eq!(status.state("victim"), "starting", "{status:#?}");
    assert!(!status.ready("victim"));
}

/// Behaviour 20: `EXTEND_TIMEOUT_USEC` prolongs the start.
#[test]
fn b20_extend_timeout_prolongs_the_start() {
    let mut site = Site::new();
    let verbs = [
        "notify=EXTEND_TIMEOUT_USEC=20000000",
        "notify-after=900:READY=1",
        "sleep",
    ];
    site.child(
        "asks",
        &verbs,
        r#"
            [ready]
            notify = true
            timeout = "400ms"
        "#,
    );
    site.start();
    let status = site.wait_state("asks", "running");
    assert_eq!(status.service("asks").restarts, 0);
    assert!(status.ready("asks"));
}

/// Behaviour 18: READY after RELOADING ends the reload; a service that ends while it reloads has
/// failed.
#[test]
fn b18_reload_lasts_until_ready_and_an_exit_does_not_leave_it_reloading() {
    let mut site = Site::new();
    let reload = r#"
        [ready]
        notify = true
        timeout = "5s"
        [reload]
        signal = "HUP"
    "#;
    let verbs = [
        "notify-on-hup=RELOADING=1",
        "notify-on-hup=READY=1",
        "on-hup=reread",
        "notify=READY=1",
        "sleep",
    ];
    site.child("good", &verbs, reload);
    site.child(
        "dies",
        &["trap=HUP:3", "notify=READY=1", "sleep"],
        &format!("{reload}[restart]\npolicy = \"never\""),
    );
    site.start_ready();
    let pid = site.status().pid("good");
    site.ctl(&["reload", "good"]).ok();
    assert_eq!(site.status().state("good"), "running");
    assert_eq!(site.status().pid("good"), pid);
    assert!(site.log("good").iter().any(|line| line == "reread"));
    assert_eq!(site.ctl(&["reload", "dies"]).code, 1);
    assert_eq!(site.status().state("dies"), "failed");
}

/// A helper that says READY=1 and ends at once, as `systemd-notify` in a script does, is heard.
#[test]
fn a_notification_of_a_process_that_has_ended_is_heard() {
    let mut site = Site::new();
    let child = mattervisor_tests::binary("testchild");
    let script = format!("{} notify=READY=1 exit=0; exec sleep 1000", child.display());
    site.service(
        "script",
        &format!(
            r#"
                command = ["/bin/sh", "-c", "{script}"]
                [ready]
                notify = true
                timeout = "1m"
            "#
        ),
    );
    site.start_ready();
    assert!(site.status().ready("script"));
}
