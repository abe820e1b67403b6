//! `[[unavailable]]`: keys that a site file may set for services that cannot run here.

use insta::assert_snapshot;

use super::Machine;

const CATALOG: &str = r#"
[[unavailable]]
names  = ["ghost", "old-ghost"]
reason = "it belongs to the house"
[groups]
spirits = ["app", "old_ghost"]
"#;

/// A machine with the service `app` and this site file.
fn machine(site: &str) -> Machine {
    let mut machine = Machine::new();
    machine.catalog(CATALOG).shipped(
        "app",
        "command = ['/bin/app', '{{ ghost.enable }}']\n[settings]\nport = { type = 'port' }\n",
    );
    machine.site(site);
    machine
}

#[test]
fn what_is_unavailable_is_no_service() {
    let plan = machine("").plan();
    assert_eq!(plan.services.keys().collect::<Vec<_>>(), ["app"]);
    assert_eq!(plan.services["app"].command, ["/bin/app", "false"]);
}

#[test]
fn what_is_unavailable_can_be_off() {
    let machine = machine("ghost.enable = false\nold_ghost.enable = false\n");
    assert_eq!(machine.remarks(), "");
    machine.plan();
}

#[test]
fn what_is_unavailable_cannot_be_on_and_the_reason_is_told() {
    assert_snapshot!(machine("app.port = 1\nghost.enable = true\nold-ghost.enable = true\n").errors(), @r"
    /etc/mattervisor/mattervisor.toml:2: error: ghost.enable: `ghost` cannot run here: it belongs to the house
      hint: remove the line, or write `ghost.enable = false`
    /etc/mattervisor/mattervisor.toml:3: error: old-ghost.enable: `old-ghost` cannot run here: it belongs to the house
      hint: remove the line, or write `old-ghost.enable = false`
    ");
    assert_snapshot!(machine("ghost.enable = 'no'\n").errors(), @"/etc/mattervisor/mattervisor.toml:1: error: ghost.enable: must be true or false, not a string; write false without quotes");
}

#[test]
fn settings_of_what_is_unavailable_are_accepted_and_have_no_effect() {
    let site = "ghost.workers = 3\nghost.env = { A = 'b' }\n[old_ghost.deep]\nx = [1]\n";
    assert_snapshot!(machine(site).remarks(), @r"
    /etc/mattervisor/mattervisor.toml:1: note: ghost.workers: has no effect: `ghost` cannot run here
    /etc/mattervisor/mattervisor.toml:2: note: ghost.env: has no effect: `ghost` cannot run here
    /etc/mattervisor/mattervisor.toml:3: note: old_ghost.deep: has no effect: `old_ghost` cannot run here
    ");
    machine(site).plan();
}

#[test]
fn a_secret_among_settings_of_what_is_unavailable_is_kept_from_others() {
    let mut machine = machine("ghost.api_token = 'hush'\n");
    machine.mode("/etc/mattervisor/mattervisor.toml", 0o644);
    let errors = machine.errors();
    assert!(
        errors.contains("ghost.api_token: the file holds this secret"),
        "{errors}"
    );
    assert!(!errors.contains("hush"), "{errors}");
}

#[test]
fn a_service_that_needs_what_is_unavailable_is_told_the_reason() {
    let mut machine = machine("");
    machine.own("mine", "command = ['/bin/mine']\nwants = ['ghost']\n");
    assert_snapshot!(machine.errors(), @r"
    /etc/mattervisor/services.d/mine.toml:2: error: wants: there is no service `ghost`
      hint: `ghost` cannot run here: it belongs to the house
    ");
}

#[test]
fn a_service_of_ones_own_may_have_the_name_of_what_is_unavailable() {
    let mut machine = machine("ghost.enable = true\n");
    machine.own("ghost", "command = ['/bin/ghost']\n");
    assert!(machine.plan().services["ghost"].enabled);
}

#[test]
fn mistakes_in_the_list_itself_are_told() {
    let told = |catalog: &str| {
        let mut machine = Machine::new();
        machine
            .catalog(catalog)
            .shipped("app", "command = ['/bin/app']\n");
        machine.errors()
    };
    assert_snapshot!(told("unavailable = ['ghost']\n"), @"/cat/services.d/catalog.toml:1: error: unavailable: must be a table, not a string");
    assert_snapshot!(told("[unavailable]\nghost = 'it left'\n"), @"/cat/services.d/catalog.toml:1: error: unavailable: must be tables, [[unavailable]], not a table");
    assert_snapshot!(told("[[unavailable]]\nnames = ['ghost']\n"), @"/cat/services.d/catalog.toml:1: error: unavailable: needs names, a list, and reason, a text");
    assert_snapshot!(told("[[unavailable]]\nname = ['ghost']\nreason = 'it left'\n"), @r"
    /cat/services.d/catalog.toml:1: error: unavailable: needs names, a list, and reason, a text
    /cat/services.d/catalog.toml:2: error: unavailable.name: unknown key
      hint: did you mean `names`?
    ");
    let gone = "[[unavailable]]\nnames = ['ghost']\nreason = 'it left'\n";
    assert_snapshot!(told(&format!("{gone}[groups]\nall = ['app', 'ghost', 'ap']\n")), @r"
    /cat/services.d/catalog.toml:5: error: groups.all: there is no service `ap`
      hint: did you mean `app`?
    ");
    assert_snapshot!(told(&format!("{gone}[roles]\nall = ['app', 'ghost', 'ap']\n")), @r"
    /cat/services.d/catalog.toml:5: error: roles.all: there is no service `ap`
      hint: did you mean `app`?
    /cat/services.d/catalog.toml:5: error: roles.all: there is no service `ghost`
    ");
}
