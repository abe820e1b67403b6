//! Programs that cannot be executed, or that end at once.

use api::ServiceState;
use mattervisor_tests::{Site, StatusExt, stamps};

/// Behaviour 12: a service whose program cannot be executed has failed, with stage and reason, and
/// is not retried.
#[test]
fn b12_exec_failure_names_the_stage_and_the_reason() {
    let mut site = Site::new();
    let plain = site.file("plain");
    std::fs::write(&plain, "no program").unwrap();
    site.service("gone", "command = ['/nonexistent/program']\n");
    site.service("plain", &format!("command = ['{plain}']\n"));
    site.service(
        "nodir",
        "command = ['/bin/true']\nworking_dir = '/nonexistent/dir'\n",
    );
    site.child("fine", &["sleep"], "");
    site.start_ready();
    let status = site.status();
    let reason = |name: &str| {
        let service = status.service(name);
        assert_eq!(service.state, ServiceState::Failed, "{service:#?}");
        assert_eq!(service.restarts, 0);
        service.reason.clone().unwrap_or_default().to_lowercase()
    };
    assert!(
        reason("gone").contains("no such file"),
        "{}",
        reason("gone")
    );
    assert!(
        reason("plain").contains("permission denied"),
        "{}",
        reason("plain")
    );
    assert!(
        reason("nodir").contains("chdir") || reason("nodir").contains("director"),
        "{}",
        reason("nodir")
    );
    assert!(status.ready("fine"));
}

/// Behaviour 13: a child that ends before its start is noticed is counted once.
#[test]
fn b13_an_end_before_exec_is_noticed_is_handled_once() {
    let mut site = Site::new();
    let file = site.file("stamps");
    for number in 0..20 {
        site.child(
            &format!("s{number}"),
            &[&format!("file={file}"), "exit=0"],
            "type = 'oneshot'",
        );
    }
    site.start_ready();
    let status = site.status();
    for service in &status.services {
        assert_eq!(
            (service.state.as_str(), service.restarts),
            ("completed", 0),
            "{service:#?}"
        );
    }
    assert_eq!(stamps(file.as_ref()).len(), 20);
}
