//! `[notify.NAME]` of the site file: receivers and their events, and wrong values.

use insta::assert_snapshot;

use super::Machine;
use crate::{NotifyBy, NotifyOn};

fn site(content: &str) -> String {
    Machine::new()
        .shipped("app", "command = ['/bin/a']\n")
        .site(content)
        .errors()
}

#[test]
fn who_is_told() {
    let mut machine = Machine::new();
    machine
        .site("[notify.chat]\non = ['failed', 'restarted']\n[notify.ops]\nsendmail = 'ops@example.com'\nfrom = 'mv@example.com'\n[notify.page]\ncommand = ['/bin/page', 'now']\n")
        .secrets("notify.chat.webhook = 'https://chat.example/hooks/x'\n");
    let plan = machine.plan();
    let [chat, ops, page] = plan.notify.as_slice() else {
        panic!("{:?}", plan.notify);
    };
    assert!(chat.by == NotifyBy::Webhook("https://chat.example/hooks/x".into()));
    assert_eq!(chat.on, [NotifyOn::Failed, NotifyOn::Restarted].into());
    assert!(!format!("{chat:?}").contains("hooks"));
    let mail = NotifyBy::Sendmail {
        to: vec!["ops@example.com".into()],
        from: Some("mv@example.com".into()),
    };
    assert!(ops.by == mail && !ops.on.contains(&NotifyOn::Restarted) && ops.on.len() == 7);
    assert!(page.by == NotifyBy::Command(vec!["/bin/page".into(), "now".into()]));
}

#[test]
fn wrong_targets() {
    assert_snapshot!(site("notify.a = 'x'\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: notify.a: must be a table, not a string
      hint: write [notify.a] and below it webhook, command or sendmail
    "#);
    assert_snapshot!(site("notify.a.on = 'failed'\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: notify.a: needs one of webhook, command and sendmail
      hint: for another way write another [notify.NAME]
    "#);
    assert_snapshot!(site("notify.a = { webhook = 'chat.example/hush' }\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: notify.a.webhook: must be a URL that begins with http:// or https://"#);
    assert_snapshot!(site("notify.a = { webhok = 'https://a/' }\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: notify.a: needs one of webhook, command and sendmail
      hint: for another way write another [notify.NAME]
    /etc/mattervisor/mattervisor.toml:1: error: notify.a.webhok: unknown key
      hint: did you mean `webhook`?
    "#);
    assert_snapshot!(site("notify.a = { command = '/bin/a b' }\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: notify.a.command: must be a list of program and arguments; no shell reads it"#);
    assert_snapshot!(site("notify.a = { command = ['/a'], webhook = 'http://a/' }\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: notify.a: needs one of webhook, command and sendmail
      hint: for another way write another [notify.NAME]
    "#);
    assert_snapshot!(site("notify.a = { command = ['/a'], from = 'me@a' }\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: notify.a: `from` has a meaning with `sendmail` only"#);
    assert_snapshot!(site("notify.a = { sendmail = ['a b'] }\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: notify.a.sendmail: `a b` is not a mail address"#);
    assert_snapshot!(site("notify.a = { command = ['/a'], on = ['faild'] }\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: notify.a.on: must be one of failed, restarted, unhealthy, recovered, disk, deleted-binary, certificate, overdue, not `faild`
      hint: did you mean `failed`?
    "#);
    let mut machine = Machine::new();
    machine
        .site("notify.a.webhook = 'https://chat.example/hush'\n")
        .mode("/etc/mattervisor/mattervisor.toml", 0o644);
    assert_snapshot!(machine.errors(), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: notify.a.webhook: the file holds this secret, but others can read it (mode 0644)
      hint: chmod 600 /etc/mattervisor/mattervisor.toml, or move the line to secrets.toml
    "#);
    assert_snapshot!(Machine::new().shipped("log", "command = ['/bin/a']\n").errors(), @r#"
    /cat/services.d/log.toml: error: `log` cannot be the name of a service
      hint: the name has a meaning of its own in the site file: choose another
    "#);
}
