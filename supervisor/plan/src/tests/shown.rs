//! The plan as people see it: complete, and without secrets.

use super::Machine;
use crate::describe;

#[test]
fn every_key_is_there_as_a_service_file_has_it() {
    let text = "type = 'oneshot'\ncommand = ['/bin/a']\nschedule = { at = '03:00', jitter = '90s' }\n\
        cpu_affinity = '0-1'\n[ready]\nunix = '/a'\n[stop]\ntimeout = '1h30m'\nsignal = 'INT'\n\
        escalate = { signal = 'TERM', after = '90s' }\n\
        [log]\nsize = '10M'\n[limits]\nnofile = { soft = 1, hard = 'unlimited' }\n[env]\nA = 'b'\n\
        [[files]]\npath = '/run/a.conf'\ncontent = 'abc'\n";
    let plan = Machine::new().shipped("app", text).plan();
    let keys = describe::service(&plan.services["app"]);
    let value = |key: &str| {
        let found = keys.iter().find(|shown| shown.key == key);
        found
            .unwrap_or_else(|| panic!("no {key}"))
            .value
            .to_string()
    };
    assert_eq!(value("command"), "[\"/bin/a\"]");
    assert_eq!(value("schedule.cron"), "\"0 3 * * *\"");
    assert_eq!(value("schedule.jitter"), "\"1m30s\"");
    assert_eq!(value("cpu_affinity"), "[0,1]");
    assert_eq!(value("ready.unix"), "\"/a\"");
    assert_eq!(value("stop.timeout"), "\"1h30m\"");
    assert_eq!(value("stop.signal"), "\"INT\"");
    assert_eq!(value("stop.escalate.signal"), "\"TERM\"");
    assert_eq!(value("stop.escalate.after"), "\"1m30s\"");
    assert_eq!(value("log.size"), "\"10M\"");
    assert_eq!(
        value("limits.nofile"),
        "{\"hard\":\"unlimited\",\"soft\":1}"
    );
    assert_eq!(value("env.A"), "\"b\"");
    assert_eq!(
        value("files.\"/run/a.conf\""),
        "{\"bytes\":3,\"mode\":\"0640\"}"
    );
}

#[test]
fn no_secret_is_shown_wherever_it_got_to() {
    let text = "command = ['/bin/a']\nenv_files = ['/etc/default/a']\n[settings]\n\
        token = { secret = true, env = 'TOKEN' }\n[ready]\nhttp = 'http://localhost/{{ token }}'\n\
        [env]\nDB = 'postgres://u:hush-db@h/x'\nCOPY = 'x{{ token }}'\n\
        [[files]]\npath = '/run/a'\ncontent = '{{ token }}'\n";
    let mut machine = Machine::new();
    machine
        .shipped("a", text)
        .put("/etc/default/a", "FROM_FILE=hush-file\n")
        .secrets("a.token = 'hush-token'\nnotify.x.webhook = 'https://h/hush-hook'\n");
    let plan = machine.plan();
    let all = [
        describe::service(&plan.services["a"]),
        describe::site(&plan),
    ]
    .concat();
    let text = format!("{all:?}");
    assert!(!text.contains("hush"), "{text}");
    let hidden: Vec<&str> = all
        .iter()
        .filter(|it| it.secret)
        .map(|it| it.key.as_str())
        .collect();
    assert_eq!(
        hidden,
        [
            "env.COPY",
            "env.DB",
            "env.FROM_FILE",
            "env.TOKEN",
            "ready.http",
            "notify.x.webhook"
        ]
    );
}
