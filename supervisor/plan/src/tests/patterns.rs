//! `[patterns]`: named parts of the patterns of settings.

use insta::assert_snapshot;

use super::Machine;

const COMMAND: &str = "command = ['/bin/a']\n";
const SETTING: &str = "[settings]\nfrom = { type = 'list', default = [], pattern = '(?&ipv4)/[0-9]+', \
    pattern_words = 'a network' }\n";
const PARTS: &str = "[patterns]\noctet = '[0-9]{1,3}'\nipv4 = '(?&octet)(?:\\.(?&octet)){3}'\n";

/// Errors of a service with these patterns.
fn wrong(patterns: &str) -> String {
    let service = format!("{COMMAND}{SETTING}{patterns}");
    Machine::new().shipped("app", &service).errors()
}

#[test]
fn a_part_stands_for_what_it_is_wherever_it_is_named() {
    let service = format!("{COMMAND}{PARTS}{SETTING}");
    let mut machine = Machine::new();
    machine.shipped("app", &service);
    machine.site("app.from = ['10.0.0.0/8']").plan();
    assert_snapshot!(machine.site("app.from = ['10.0.0.0/8', '10.0.0/8']").errors(), @r#"/etc/mattervisor/mattervisor.toml:1: error: app.from: must be a network, not "10.0.0/8""#);
}

#[test]
fn wrong_parts_are_told_where_they_are_used() {
    assert_snapshot!(wrong("[patterns]\nipv3 = 'a'\n"), @r#"
    /cat/services.d/app.toml:3: error: settings.from.pattern: there is no `ipv4` in [patterns]
      hint: did you mean `ipv3`?
    "#);
    assert_snapshot!(wrong("[patterns]\nipv4 = '(?&ipv4)'\n"), @r#"/cat/services.d/app.toml:3: error: settings.from.pattern: `ipv4` is more than 8 parts deep, or within itself"#);
    assert_snapshot!(wrong("[patterns]\nipv4 = '(?&octet'\n"), @r#"/cat/services.d/app.toml:3: error: settings.from.pattern: `(?&` is not closed"#);
    assert_snapshot!(wrong("[patterns]\nipv4 = 4\n"), @r#"/cat/services.d/app.toml:5: error: patterns.ipv4: must be a string, not a number"#);
    let many = "(?&octet)".repeat(3000);
    assert_snapshot!(wrong(&format!("[patterns]\nipv4 = '{many}'\noctet = '[0-9]{{1,3}}|[a-z]{{1,3}}'\n")), @r#"/cat/services.d/app.toml:3: error: settings.from.pattern: has more than 65536 bytes with all its parts"#);
    let whole = format!("patterns = 4\n{COMMAND}");
    assert_snapshot!(Machine::new().shipped("app", &whole).errors(), @r#"/cat/services.d/app.toml:1: error: patterns: must be a table of patterns, not a number"#);
}
