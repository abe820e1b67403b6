//! Privileges of the stack's processes: none of root's, except low ports for nginx.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
};

use mattervisor_tests::{StatusExt, need, nginx, postgres, run, skip};

use crate::stack::Stack;

/// `CAP_NET_BIND_SERVICE` as `/proc` shows it.
const LOW_PORTS: &str = "0000000000000400";
const NOTHING: &str = "0000000000000000";
/// An address of this machine that nothing else listens on, and a port below 1024.
const ADDRESS: &str = "127.0.0.77";
const PORT: u16 = 881;

fn status_of(pid: i32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

#[track_caller]
fn holds(stack: &Stack, service: &str, capabilities: &str) -> i32 {
    let pid = stack.site.status().pid(service);
    let status = status_of(pid);
    for set in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
        assert_eq!(status[set], capabilities, "{service}: {set}");
    }
    assert_eq!(status["NoNewPrivs"], "1", "{service}");
    assert!(!status["Uid"].starts_with("0\t"), "{service} runs as root");
    pid
}

/// nginx's master has its own account and the right to low ports, over starts and reloads;
/// Mattermost and `PostgreSQL` have no capability. A path that only root could open is refused
/// before the change is applied.
#[test]
fn no_process_of_the_stack_has_more_than_it_needs() {
    let bin = need!(postgres());
    need!(nginx());
    if !nix::unistd::geteuid().is_root() {
        skip!("low ports and other accounts need root");
    }
    let mut stack = Stack::new(bin, "STANDIN_STOP_MS = '100'");
    let file = stack.site.path("etc/mattervisor/mattervisor.toml");
    let site_file = fs::read_to_string(&file).unwrap();
    let site_file = site_file.replace(
        r#"nginx.listen_addresses = ["127.0.0.1"]"#,
        &format!("nginx.listen_addresses = ['{ADDRESS}']\nmattermost_nginx.listen_port = {PORT}"),
    );
    stack.site.site_file(&site_file);
    stack.start();
    holds(&stack, "mattermost", NOTHING);
    holds(&stack, "postgresql", NOTHING);
    let pid = holds(&stack, "nginx", LOW_PORTS);
    assert!(std::net::TcpStream::connect((ADDRESS, PORT)).is_ok());
    stack.site.ctl(&["reload", "nginx"]).ok();
    assert_eq!(holds(&stack, "nginx", LOW_PORTS), pid);
    stack.site.ctl(&["restart", "nginx"]).ok();
    holds(&stack, "nginx", LOW_PORTS);
    a_link_in_nginx_s_directory_gives_nothing_away(&stack);

    let closed = stack.site.path("var/closed");
    fs::create_dir_all(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let log = closed.join("access.log").display().to_string();
    stack.site.site_file(&format!(
        "{site_file}mattermost_nginx.access_log = '{log}'\n"
    ));
    let refused = stack.site.ctl(&["reconfigure"]).expect_code(1).both();
    assert!(
        refused.contains("read as nobody") && refused.contains("Permission denied"),
        "{refused}"
    );
    holds(&stack, "nginx", LOW_PORTS);
}

/// An nginx that runs as root gives its temporary directories by path to its workers' account, so a
/// link in the place of one would give that account any file.
fn a_link_in_nginx_s_directory_gives_nothing_away(stack: &Stack) {
    let victim = stack.site.path("var/victim");
    fs::write(&victim, "root:hash").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let place = stack.site.path("var/lib/mattervisor/nginx/client_body");
    let script = "mv \"$1\" \"$1.old\" && ln -s \"$2\" \"$1\"";
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
    setpriv.args(["/bin/sh", "-c", script, "sh"]);
    run(setpriv.arg(&place).arg(&victim)).ok();
    assert!(place.is_symlink());
    stack.site.ctl(&["reload", "nginx"]);
    stack.site.ctl(&["restart", "nginx"]);
    let meta = fs::metadata(&victim).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7777), (0, 0o600));
    fs::remove_file(&place).unwrap();
    stack.site.ctl(&["restart", "nginx"]).ok();
}
