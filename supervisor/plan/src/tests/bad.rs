//! Mistakes in files, and their messages: where the mistake is, what is wrong, what was meant.

use std::io;

use insta::assert_snapshot;

use super::Machine;

const WEB: &str = r#"
description = "web"
command = ["/bin/web", "{{ port }}"]
[settings]
port = { type = "port", default = 80, env = "WEB_PORT" }
secret = { type = "string", secret = true, env = "WEB_SECRET" }
mode = { type = "string", values = ["fast", "safe"], default = "safe" }
flag = { type = "bool" }
"#;

const CATALOG: &str = r#"
[settings]
external_url = { type = "url", bare = true }
[sections]
web_extra = "web"
[[unavailable]]
names = ["gone", "left"]
reason = "it is not shipped"
[groups]
suite = ["web", "gone"]
[roles]
web_role = ["web"]
"#;

/// Errors of a machine with this service file.
fn service(content: &str) -> String {
    Machine::new().shipped("app", content).errors()
}

/// Errors of a machine with the service `web` and this site file.
fn site(content: &str) -> String {
    let mut machine = Machine::new();
    machine.catalog(CATALOG).shipped("web", WEB).site(content);
    machine.errors()
}

#[test]
fn unknown_names_have_the_nearest_right_one() {
    assert_snapshot!(site("wbe.port = 80\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: wbe: there is no service, section or group of this name
      hint: did you mean `web`?
    "#);
    assert_snapshot!(site("web.prot = 80\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: web.prot: `web` has no setting `prot`
      hint: did you mean `port`?
    "#);
    assert_snapshot!(site("web_extra.flga = true\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: web_extra.flga: `web_extra` has no setting `flga`
      hint: did you mean `flag`?
    "#);
    assert_snapshot!(site("externl_url = 'http://x'\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: externl_url: unknown key
      hint: did you mean `external_url`?
    "#);
    assert_snapshot!(site("roles = ['web_rol']\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: roles: there is no role `web_rol`
      hint: did you mean `web_role`?
    "#);
    assert_snapshot!(site("control.admin_grup = 'adm'\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: control.admin_grup: unknown key
      hint: did you mean `admin_group`?
    "#);
    assert_snapshot!(service("command = ['/bin/a']\nrequries = ['b']\n"), @r#"
    /cat/services.d/app.toml:2: error: requries: unknown key
      hint: did you mean `requires`?
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[stop]\ntimeuot = '1s'\n"), @r#"
    /cat/services.d/app.toml:3: error: stop.timeuot: unknown key
      hint: did you mean `timeout`?
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[stop]\nsignal = 'SIGTREM'\n"), @r#"
    /cat/services.d/app.toml:3: error: stop.signal: there is no signal `SIGTREM`
      hint: did you mean `TERM`?
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[settings]\nx = { type = 'prot' }\n"), @r#"
    /cat/services.d/app.toml:3: error: settings.x.type: there is no such type
      hint: did you mean `port`?
    "#);
    assert_snapshot!(service("command = ['/bin/a']\nafter = ['ap']\n"), @r#"
    /cat/services.d/app.toml:2: error: after: there is no service `ap`
      hint: did you mean `app`?
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[restart]\npolicy = 'on-failur'\n"), @r#"
    /cat/services.d/app.toml:3: error: restart.policy: must be one of always, unless-stopped, on-failure, never, not `on-failur`
      hint: did you mean `on-failure`?
    "#);
}

#[test]
fn a_top_level_key_under_a_header_is_told_apart_from_a_typo() {
    assert_snapshot!(site("[web]\nport = 80\nexternal_url = 'http://x'\n"), @r#"
    /etc/mattervisor/mattervisor.toml:3: error: web.external_url: `web` has no setting `external_url`
      hint: `external_url` is a top-level key, but here it belongs to [web]: move it above the first [header]
    "#);
    assert_snapshot!(site("[web.env]\nA = 'b'\n[web.env.web]\nenable = false\n"), @r#"
    /etc/mattervisor/mattervisor.toml:3: error: web.env.web: must be a string, a number, true or false, not a table
      hint: `web` is a top-level key, but here it belongs to [web.env]: move it above the first [header]
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[ready]\nnotify = true\nuser = 'www'\n"), @r#"
    /cat/services.d/app.toml:4: error: ready.user: unknown key
      hint: `user` is a top-level key, but here it belongs to [ready]: move it above the first [header]
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[settings]\nrequires = ['b']\n"), @r#"
    /cat/services.d/app.toml:3: error: settings.requires: must be a table such as { type = "string" }, not a list
      hint: `requires` is a top-level key, but here it belongs to [settings]: move it above the first [header]
    "#);
}

#[test]
fn wrong_types_and_values() {
    assert_snapshot!(site("web.port = 70000\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: web.port: must be a port number from 1 to 65535, not `70000`"#);
    assert_snapshot!(site("web.flag = 'true'\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: web.flag: must be true or false, not a string; write true without quotes"#);
    assert_snapshot!(site("web.mode = 'fsat'\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: web.mode: must be one of fast, safe, not "fsat"; did you mean "fast"?"#);
    assert_snapshot!(site("web = 3\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: web: must be a table of settings, not a number
      hint: write `web.KEY = VALUE`
    "#);
    assert_snapshot!(site("web.env = { A = [1] }\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: web.env.A: must be a string, a number, true or false, not a list"#);
    assert_snapshot!(site("web.env = { 'A=B' = 'x' }\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: web.env.A=B: `A=B` cannot be the name of an environment variable"#);
    assert_snapshot!(site("web.env = { A = \"x\\u0000y\" }\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: web.env.A: a variable cannot contain a NUL"#);
    assert_snapshot!(site("external_url = 'https://chat.example/team'\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: external_url: must end after its host and port, but has the path `/team`"#);
    assert_snapshot!(site("external_url = ''\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: external_url: is empty; where it is meant to be unset, remove the line"#);
    assert_snapshot!(site("external_url = 'chat.example'\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: external_url: `chat.example` is not a URL: it has no scheme, such as https://"#);
    assert_snapshot!(site("web.secret = 12345\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: web.secret: must be a string, not a number; write it in quotes"#);
    assert_snapshot!(site("gone.enable = true\n"), @r"
    /etc/mattervisor/mattervisor.toml:1: error: gone.enable: `gone` cannot run here: it is not shipped
      hint: remove the line, or write `gone.enable = false`
    ");
    assert_snapshot!(service("description = 'no command'\n"), @r#"
    /cat/services.d/app.toml: error: command: `app` has no command
      hint: write command = ["/path/to/program", "argument"]
    "#);
    assert_snapshot!(service("command = '/bin/a --flag'\n"), @r#"
    /cat/services.d/app.toml:1: error: command: must be a list of program and arguments, not a string
      hint: no shell reads it; write command = ["/bin/a", "--flag"]
    "#);
    assert_snapshot!(service("command = ['/bin/a']\numask = '0999'\nnice = 40\n"), @r#"
    /cat/services.d/app.toml:2: error: umask: must be octal, such as "0640"
    /cat/services.d/app.toml:3: error: nice: must be from -20 to 19, not 40
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[log]\nsize = '10X'\n"), @r#"/cat/services.d/app.toml:3: error: log.size: `10X` is not a size such as "64K", "10M" or "1G""#);
    assert_snapshot!(service("command = ['/bin/a']\nuser = ''\n"), @r#"/cat/services.d/app.toml:2: error: user: cannot be empty"#);
    assert_snapshot!(service("command = ['/bin/a']\nworking_dir = 'here'\n"), @r#"/cat/services.d/app.toml:2: error: working_dir: must be an absolute path, not `here`"#);
    assert_snapshot!(service("command = ['/bin/a']\nlistens = ['8065']\n"), @r#"/cat/services.d/app.toml:2: error: listens: `8065` is not an address such as "127.0.0.1:8065" or "[::1]:80""#);
}

#[test]
fn probes() {
    assert_snapshot!(service("command = ['/bin/a']\n[ready]\ntimeout = '1m'\n"), @r#"/cat/services.d/app.toml:2: error: ready: does not say what is asked: write one of notify = true, fd, log, http, tcp, unix, exec or delay"#);
    assert_snapshot!(service("command = ['/bin/a']\n[ready]\ntcp = 'a:1'\nexec = ['b']\n"), @r#"
    /cat/services.d/app.toml:2: error: ready: `tcp` and `exec` exclude each other
      hint: keep one of them
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[ready]\nnotify = true\ntcp = 'a:1'\n"), @r#"
    /cat/services.d/app.toml:2: error: ready: `notify` and `tcp` exclude each other
      hint: keep one of them
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[health]\nhttp = 'https://a/'\n"), @r#"/cat/services.d/app.toml:3: error: health.http: probes ask by http:// only, not https://"#);
    assert_snapshot!(service("command = ['/bin/a']\n[health]\ntcp = 'a:b'\nstatus = [200]\n"), @r#"
    /cat/services.d/app.toml:3: error: health.tcp: `a:b` is not an address such as "127.0.0.1:8065" or "[::1]:80"
    /cat/services.d/app.toml:4: error: health.status: has a meaning with `http` only
    "#);
}

#[test]
fn templates() {
    assert_snapshot!(service("command = ['/bin/a', '{{ prot }}']\n[settings]\nport = { type = 'port' }\n"), @r#"
    /cat/services.d/app.toml:1: error: command: there is no `prot`
      hint: did you mean `port`?
    "#);
    assert_snapshot!(service("command = ['/bin/a', 'x {{ port }}']\n[settings]\nport = { type = 'port' }\n"), @r#"
    /cat/services.d/app.toml:1: error: command: needs `port`, which is not set
      hint: set `app.port` in /etc/mattervisor/mattervisor.toml
    "#);
    assert_snapshot!(service("command = ['/bin/a', '{{ port']\n"), @r#"
    /cat/services.d/app.toml:1: error: command: syntax error: unexpected end of input, expected end of variable block
      hint: the {{ in line 1 has no }}
    "#);
    assert_snapshot!(service("command = ['/bin/a', '{{ candidate }}']\n"), @r#"
    /cat/services.d/app.toml:1: error: command: there is no `candidate`
      hint: `candidate` is there in `validate` of [[files]] only
    "#);
    assert_snapshot!(service("command = ['/bin/a', '{{ u.hots }}']\n[settings]\nu = { type = 'url' }\n"), @r#"
    /cat/services.d/app.toml:1: error: command: there is no `u.hots`
      hint: a URL has scheme, host, port, path, authority
    "#);
    assert_snapshot!(service("command = ['/bin/a', '{{ k }}']\n[settings]\nk = { secret = true, default = 's3' }\n"), @r#"
    /cat/services.d/app.toml:1: error: command: a secret in a command line would be seen by every user
      hint: hand it over in the environment or in a file
    "#);
    assert_snapshot!(service("command = ['/bin/a']\n[settings]\na = { default = '{{ b }}', env = 'A' }\nb = { default = '{{ a }}' }\n"), @r#"/cat/services.d/app.toml:3: error: app.a: the value depends on itself: app.a -> app.b -> app.a"#);
    let mut machine = Machine::new();
    machine
        .shipped("app", "command = ['/bin/a']\n[[files]]\npath = '/x'\ntemplate = 't.j2'\n[[files]]\npath = '/y'\ntemplate = 'gone.j2'\n")
        .put("/cat/services.d/t.j2", "first\nsecond {{ wrong }}\n");
    assert_snapshot!(machine.errors(), @r#"
    /cat/services.d/app.toml:7: error: files.template: there is no template `gone.j2`
      hint: looked in /etc/mattervisor/services.d and /cat/services.d
    /cat/services.d/t.j2:2: error: files.template: there is no `wrong`
    "#);
}

#[test]
fn a_loop_is_spelled_out_and_twenty_are_not_too_many() {
    let mut machine = Machine::new();
    machine
        .shipped("a", "command = ['/bin/a']\nrequires = ['b']\n")
        .shipped("b", "command = ['/bin/b']\nafter = ['c']\n")
        .shipped("c", "command = ['/bin/c']\nwants = ['a']\n");
    assert_snapshot!(machine.errors(), @r#"
    /cat/services.d/c.toml:2: error: wants: the services wait for each other: a -> b -> c -> a
      hint: remove one of these dependencies
    "#);
    let mut machine = Machine::new();
    for n in 0..20 {
        let next = (n + 1) % 20;
        machine.shipped(
            &format!("s{n:02}"),
            &format!("command = ['/bin/s']\nafter = ['s{next:02}']\n"),
        );
    }
    let errors = machine.errors();
    assert!(
        errors.contains("s00 -> s01 -> s02") && errors.contains("s19 -> s00"),
        "{errors}"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let file = "/etc/mattervisor/mattervisor.toml";
    assert_snapshot!(Machine::new().put(file, b"a = 'x\xff'\n").errors(), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: the file is not UTF-8 text: there is a byte 0xFF in this line
      hint: save it as UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8
    "#);
    assert_snapshot!(Machine::new().put(file, vec![b'#'; (1 << 20) + 1]).errors(), @r#"/etc/mattervisor/mattervisor.toml: error: the file is larger than 1 MiB"#);
    assert_snapshot!(Machine::new().fault(file, io::ErrorKind::PermissionDenied).errors(), @r#"
    /etc/mattervisor/mattervisor.toml: error: cannot read the file: permission denied
      hint: only its owner and root may: sudo
    "#);
    assert_snapshot!(Machine::new().fault(file, io::ErrorKind::IsADirectory).errors(), @r#"/etc/mattervisor/mattervisor.toml: error: cannot read the file: it is a directory"#);
    assert_snapshot!(Machine::new().dangling(file).errors(), @r#"/etc/mattervisor/mattervisor.toml: error: cannot read the file: it is a link to a file that is not there"#);
    assert_snapshot!(Machine::new().own("bad name", "command = ['/bin/a']\n").errors(), @r#"
    /etc/mattervisor/services.d/bad name.toml: error: `bad name` cannot be the name of a service
      hint: use letters, digits, `-` and `_`
    "#);
}

#[test]
fn a_file_meant_for_another_service_is_recognised() {
    let mut machine = Machine::new();
    machine.shipped("web", WEB).own("wbe", "user = 'www'\n");
    assert_snapshot!(machine.errors(), @r#"
    /etc/mattervisor/services.d/wbe.toml: error: command: `wbe` has no command
      hint: to change the service `web`, call the file web.toml
    "#);
}

#[test]
fn one_file_is_rendered_once() {
    let file = "[[files]]\npath = '/x'\ncontent = 'x'\n";
    assert_snapshot!(service(&format!("command = ['/bin/a']\n{file}{file}")), @r#"/cat/services.d/app.toml:5: error: files.path: /x is rendered twice"#);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let mut machine = Machine::new();
    machine
        .catalog(CATALOG)
        .shipped("web", WEB)
        .own("broken", "command = ['/bin/a'\nuser = 'x'\n")
        .own(
            "other",
            "command = ['/bin/b']\nafter = ['broken']\nusr = 'x'\n",
        )
        .site("web.prot = 1\nweb.flag = 3\n");
    assert_snapshot!(machine.errors(), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: web.prot: `web` has no setting `prot`
      hint: did you mean `port`?
    /etc/mattervisor/mattervisor.toml:2: error: web.flag: must be true or false, not a number
    /etc/mattervisor/services.d/broken.toml:2: error: not TOML: the list that begins in line 1 is not closed
      hint: write ] behind its last value
    /etc/mattervisor/services.d/other.toml:3: error: usr: unknown key
      hint: did you mean `user`?
    "#);
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let mut machine = Machine::new();
    machine
        .catalog(CATALOG)
        .shipped("web", WEB)
        .site("web.secret = 'hush'\n");
    machine.mode("/etc/mattervisor/mattervisor.toml", 0o644);
    assert_snapshot!(machine.errors(), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: web.secret: the file holds this secret, but others can read it (mode 0644)
      hint: chmod 600 /etc/mattervisor/mattervisor.toml, or move the line to secrets.toml
    "#);
    machine.site("web.env = { SMTP_PASSWORD = 'hush' }\n");
    machine.mode("/etc/mattervisor/mattervisor.toml", 0o640);
    assert_snapshot!(machine.errors(), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: web.env.SMTP_PASSWORD: the file holds this secret, but others can read it (mode 0640)
      hint: chmod 600 /etc/mattervisor/mattervisor.toml, or move the line to secrets.toml
    "#);
    // root's own group is nobody else.
    machine.group("/etc/mattervisor/mattervisor.toml", 0);
    assert_eq!(machine.errors(), "no error");
    machine
        .site("")
        .secrets("web.secret = 'hush'\n")
        .mode("/etc/mattervisor/secrets.toml", 0o640);
    assert_snapshot!(machine.errors(), @r#"
    /etc/mattervisor/secrets.toml: error: others can get at the file (mode 0640); it must be 0600
      hint: chmod 600 /etc/mattervisor/secrets.toml
    "#);
}
