//! Templates: one file, several services.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::Machine;
use crate::Service;

const WORKER: &str = "command = ['/bin/worker', '--name={{ instance }}', '--queue={{ queue }}']\n\
    [settings]\n\
    queue = { default = 'q-{{ instance }}', env = 'QUEUE' }\n\
    token = { secret = true, generate = 'hex:4', env = 'TOKEN' }\n";

fn machine(site: &str) -> Machine {
    let mut machine = Machine::new();
    machine.shipped("worker@", WORKER).site(site);
    machine
}

fn names(machine: &Machine) -> Vec<String> {
    machine.plan().services.into_keys().collect()
}

fn service(machine: &Machine, name: &str) -> Service {
    *machine.plan().services.remove(name).unwrap()
}

#[test]
fn a_template_makes_a_service_for_each_instance() {
    let machine = machine("worker.instances = ['1', 'blue']\n");
    assert_eq!(names(&machine), ["worker@1", "worker@blue"]);
    let blue = service(&machine, "worker@blue");
    assert_eq!(
        blue.command,
        ["/bin/worker", "--name=blue", "--queue=q-blue"]
    );
    assert_eq!(blue.env["QUEUE"].value, "q-blue");
}

#[test]
fn the_file_can_name_them_and_the_site_file_wins() {
    let with = |line: &str, site: &str| {
        let mut machine = Machine::new();
        machine
            .shipped("worker@", &format!("{line}\n{WORKER}"))
            .site(site);
        names(&machine)
    };
    assert_eq!(with("instances = ['a']", ""), ["worker@a"]);
    assert_eq!(
        with("instances = ['a']", "worker.instances = 2\n"),
        ["worker@1", "worker@2"]
    );
    assert_eq!(
        with("instances = ['a']", "worker.instances = [7]\n"),
        ["worker@7"]
    );
    assert!(with("instances = ['a']", "worker.instances = []\n").is_empty());
}

#[test]
fn settings_are_shared_and_one_instance_can_differ() {
    let machine = machine(
        "worker.instances = 2\nworker.queue = 'all'\n\"worker@2\".queue = 'own'\n\
         worker.env = { A = 'all', B = 'all' }\n\"worker@2\".env = { B = 'own' }\n",
    );
    let plan = machine.plan();
    let env = |name: &str, key: &str| plan.services[name].env[key].value.clone();
    assert_eq!(env("worker@1", "QUEUE"), "all");
    assert_eq!(env("worker@2", "QUEUE"), "own");
    assert_eq!(
        (env("worker@2", "A"), env("worker@2", "B")),
        ("all".into(), "own".into())
    );
    assert_eq!(env("worker@1", "B"), "all");
}

#[test]
fn a_secret_is_made_once_for_all() {
    let missing = machine("worker.instances = 3\n").plan().missing_secrets;
    let [one] = missing.as_slice() else {
        panic!("{missing:?}");
    };
    assert_eq!(
        (one.service.as_str(), one.key.as_str()),
        ("worker", "token")
    );
    let mut machine = machine("worker.instances = 3\n");
    machine.secrets("worker.token = 'abcd'\n");
    let plan = machine.plan();
    assert!(plan.missing_secrets.is_empty());
    assert_eq!(plan.services["worker@3"].env["TOKEN"].value, "abcd");
}

#[test]
fn one_or_all_can_be_switched_off() {
    let enabled = |site: &str| -> Vec<String> {
        let plan = machine(&format!("worker.instances = 2\n{site}")).plan();
        let on = plan.services.into_values().filter(|it| it.enabled);
        on.map(|it| it.name).collect()
    };
    assert_eq!(enabled("worker.enable = false\n"), [""; 0]);
    assert_eq!(enabled("\"worker@1\".enable = false\n"), ["worker@2"]);
    assert_eq!(
        enabled("worker.enable = false\n\"worker@1\".enable = true\n"),
        ["worker@1"]
    );
    let machine = machine("worker.instances = 1\nworker.enable = false\n");
    assert_eq!(
        service(&machine, "worker@1").enable_hint,
        "set worker.enable = true in /etc/mattervisor/mattervisor.toml"
    );
}

#[test]
fn dependencies_name_one_or_all_of_them() {
    let mut machine = machine("worker.instances = 2\n");
    machine
        .shipped("one", "command = ['/bin/a']\nrequires = ['worker@2']\n")
        .shipped("all", "command = ['/bin/a']\nwants = ['worker@']\n")
        .shipped("db@", "command = ['/bin/db']\ninstances = ['1', '2']\n")
        .own("worker@", "requires = ['db@{{ instance }}']\n");
    let plan = machine.plan();
    let set = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(plan.services["one"].requires, set(&["worker@2"]));
    assert_eq!(plan.services["all"].wants, set(&["worker@1", "worker@2"]));
    assert_eq!(plan.services["worker@2"].requires, set(&["db@2"]));
}

#[test]
fn a_template_without_instances_is_checked_and_runs_nothing() {
    let mut machine = machine("");
    assert!(names(&machine).is_empty());
    assert_snapshot!(machine.remarks(), @r#"/cat/services.d/worker@.toml: note: `worker@` has no instances, so nothing of it runs: worker.instances names them"#);
    machine.shipped(
        "worker@",
        "command = ['/bin/w', '{{ instnce }}']\nusr = 'x'\n",
    );
    assert_snapshot!(machine.errors(), @r#"
    /cat/services.d/worker@.toml:1: error: command: there is no `instnce`
    /cat/services.d/worker@.toml:2: error: usr: unknown key
      hint: did you mean `user`?
    "#);
}

#[test]
fn wrong_uses() {
    let errors = |site: &str| machine(site).errors();
    assert_snapshot!(errors("worker.instances = ['a b']\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: worker.instances: `a b` cannot be the name of an instance
      hint: use letters, digits, `-` and `_`
    "#);
    assert_snapshot!(errors("worker.instances = ['a-b', 'a_b']\n"), @r#"/etc/mattervisor/mattervisor.toml:1: error: worker.instances: `a_b` is there twice, or differs by `-` and `_` alone"#);
    assert_snapshot!(errors("worker.instances = 'a'\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: worker.instances: must be a list of names, or a number up to 1000
      hint: write instances = ["1", "2"], or instances = 2
    "#);
    assert_snapshot!(errors("worker.instances = ['1']\n\"worker@2\".queue = 'x'\n"), @r#"
    /etc/mattervisor/mattervisor.toml:2: error: worker@2: there is no service, section or group of this name
      hint: did you mean `worker@1`?
    "#);
    assert_snapshot!(errors("worker.instnces = ['1']\n"), @r#"
    /etc/mattervisor/mattervisor.toml:1: error: worker.instnces: `worker` has no setting `instnces`
      hint: did you mean `instances`?
    "#);
    let file = |name: &str, content: &str| {
        let mut machine = machine("worker.instances = 1\n");
        machine.own(name, content).errors()
    };
    assert_snapshot!(file("worker@1", "user = 'x'\n"), @r#"
    /etc/mattervisor/services.d/worker@1.toml: error: `worker@1` cannot be the name of a service
      hint: an instance has no file of its own: add "1" to `instances` of worker@.toml, and set what is its own alone by "worker@1".KEY in the site file
    "#);
    assert_snapshot!(file("worker", "command = ['/a']\n"), @r#"
    /cat/services.d/worker@.toml: error: worker: the name cannot be told from `worker`
      hint: rename one of the two files
    /etc/mattervisor/mattervisor.toml:1: error: worker.instances: `worker` has no setting `instances`
      hint: its settings are listed in /etc/mattervisor/services.d/worker.toml
    "#);
    assert_snapshot!(file("other", "command = ['/a']\ninstances = ['1']\n"), @r#"
    /etc/mattervisor/services.d/other.toml:2: error: instances: only a template can have instances
      hint: rename the file to other@.toml
    "#);
    assert_snapshot!(file("other", "command = ['/a', '{{ instance }}']\n"), @r#"
    /etc/mattervisor/services.d/other.toml:1: error: command: there is no `instance`
      hint: `instance` is there in templates, NAME@.toml, only
    "#);
    assert_snapshot!(file("other", "command = ['/a']\nafter = ['worker', 'wroker@', 'worker@3']\n"), @r#"
    /etc/mattervisor/services.d/other.toml:2: error: after: there is no service `worker`
      hint: `worker@` means all instances
    /etc/mattervisor/services.d/other.toml:2: error: after: there is no template `wroker@`
      hint: did you mean `worker@`?
    /etc/mattervisor/services.d/other.toml:2: error: after: there is no service `worker@3`
      hint: did you mean `worker@1`?
    "#);
}
