//! Accounts to create and clashes with existing ones, on a machine in memory.

use std::collections::BTreeMap;

use nix::errno::Errno;
use plan::{Options, Paths, Plan, Service};

use super::{Accounts, Database, missing::compare, told_group, told_user};
use crate::unready::Unready;

/// Users with uid and gid, and groups with gid.
struct Machine(
    &'static [(&'static str, u32, u32)],
    &'static [(&'static str, u32)],
);

const MACHINE: Machine = Machine(
    &[("root", 0, 0), ("backup", 34, 34), ("chat", 998, 997)],
    &[("root", 0), ("backup", 34), ("chat", 997)],
);

impl Database for Machine {
    fn user(&self, name: &str) -> nix::Result<Option<(u32, u32)>> {
        let found = self.0.iter().find(|user| user.0 == name);
        Ok(found.map(|user| (user.1, user.2)))
    }
    fn user_of(&self, uid: u32) -> nix::Result<Option<String>> {
        let found = self.0.iter().find(|user| user.1 == uid);
        Ok(found.map(|user| user.0.to_owned()))
    }
    fn group(&self, name: &str) -> nix::Result<Option<u32>> {
        Ok(self.1.iter().find(|it| it.0 == name).map(|it| it.1))
    }
    fn group_of(&self, gid: u32) -> nix::Result<Option<String>> {
        let found = self.1.iter().find(|group| group.1 == gid);
        Ok(found.map(|group| group.0.to_owned()))
    }
}

fn service(name: &str, user: &str, uid: Option<u32>, gid: Option<u32>) -> Service {
    Service {
        name: name.to_owned(),
        enabled: true,
        user: Some(user.to_owned()),
        uid,
        gid,
        ..Service::default()
    }
}

fn compared(services: Vec<Service>) -> Accounts {
    let paths = Paths::new(&Options {
        root: "/".into(),
        catalog: None,
    });
    let mut plan = Plan::empty(paths);
    plan.services = services
        .into_iter()
        .map(|service| (service.name.clone(), Box::new(service)))
        .collect();
    compare(&plan, &MACHINE)
}

/// The commands, each program without its directory.
fn commands(accounts: &Accounts) -> Vec<String> {
    let lines = accounts.commands.iter().map(|it| {
        let tool = it.argv[0].rsplit('/').next().unwrap_or_default();
        format!("{tool} {}", it.argv[1..].join(" "))
    });
    lines.collect()
}

fn clash(services: Vec<Service>) -> String {
    let accounts = compared(services);
    assert!(accounts.commands.is_empty(), "{accounts:#?}");
    let clashes: BTreeMap<_, _> = accounts.clashes;
    let lines = clashes.iter().map(|(name, why)| format!("{name}: {why}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_missing_is_made_with_its_numbers_and_only_once() {
    let mut own = service("app", "app", Some(1234), Some(1234));
    own.home = Some("/srv/app".into());
    let accounts = compared(vec![own, service("helper", "app", None, None)]);
    assert!(accounts.clashes.is_empty(), "{accounts:#?}");
    let made: Vec<_> = accounts
        .commands
        .iter()
        .map(|it| it.services.join(" "))
        .collect();
    assert_eq!(made, ["app helper", "app helper"]);
    let lines: Vec<_> = accounts
        .commands
        .iter()
        .map(|it| it.argv[1..].join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "--system --gid 1234 -- app",
            "--system --no-create-home --gid app --shell /usr/sbin/nologin --home-dir /srv/app --uid 1234 -- app"
        ]
    );
}

#[test]
fn what_is_there_is_left_alone() {
    let all = vec![
        service("a", "chat", None, None),
        service("b", "chat", Some(998), Some(997)),
        service("c", "1234", None, None),
    ];
    assert_eq!(compared(all), Accounts::default());
}

#[test]
fn numbers_of_the_service_are_its_own_accounts_alone() {
    let mut it = service("app", "chat", Some(998), None);
    it.directories = vec![plan::Directory {
        path: "/srv".into(),
        mode: 0o755,
        user: Some("web".to_owned()),
        group: Some("web".to_owned()),
        recursive: false,
    }];
    let accounts = compared(vec![it]);
    assert_eq!(
        commands(&accounts),
        [
            "groupadd --system -- web",
            "useradd --system --no-create-home --gid web --shell /usr/sbin/nologin -- web"
        ]
    );
}

#[test]
fn a_clash_names_who_has_it() {
    assert_eq!(
        clash(vec![service("app", "chat", Some(1234), None)]),
        "app: user chat exists with uid 998, but uid 1234 is wanted: leave the uid out, or change the account: usermod --uid 1234 chat"
    );
    assert_eq!(
        clash(vec![service("app", "new", Some(34), None)]),
        "app: uid 34 belongs to user backup, so user new cannot have it: choose another, or leave the uid out and a free one is taken"
    );
    assert_eq!(
        clash(vec![service("app", "new", None, Some(34))]),
        "app: gid 34 belongs to group backup, so group new cannot have it: choose another, or leave the gid out and a free one is taken"
    );
    assert_eq!(
        clash(vec![service("app", "chat", None, Some(7))]),
        "app: user chat has the group with gid 997, but gid 7 is wanted: leave the gid out, or name the group"
    );
    assert_eq!(
        clash(vec![service("app", "new", Some(0), None)]),
        "app: uid 0 belongs to user root, so user new cannot have it: choose another, or leave the uid out and a free one is taken"
    );
    let mut grouped = service("app", "chat", None, Some(7));
    grouped.group = Some("chat".to_owned());
    assert_eq!(
        clash(vec![grouped]),
        "app: group chat exists with gid 997, but gid 7 is wanted: leave the gid out, or change the account: groupmod --gid 7 chat"
    );
}

#[test]
fn services_that_do_not_agree_are_named() {
    assert_eq!(
        clash(vec![
            service("a", "new", Some(1), None),
            service("b", "new", Some(2), None)
        ]),
        "a: user new is wanted with uid 1 by a and with uid 2 by b: give both the same\n\
         b: user new is wanted with uid 1 by a and with uid 2 by b: give both the same"
    );
    let accounts = compared(vec![
        service("a", "one", Some(7), None),
        service("b", "two", Some(7), None),
    ]);
    assert_eq!(
        accounts.clashes["b"],
        "uid 7 is wanted for user one too, so user two cannot have it: choose another, or leave the uid out and a free one is taken"
    );
    assert_eq!(accounts.commands.len(), 2, "only those of a: {accounts:#?}");
}

#[test]
fn an_account_that_nobody_can_look_up_now_is_asked_for_again() {
    let passes = |why: Unready| why.transient;
    let user = |number, found| told_user("chat", number, found).map_err(passes);
    let group = |found| told_group("chat", found).map_err(passes);
    for error in [Errno::EMFILE, Errno::EIO, Errno::ETIMEDOUT] {
        assert_eq!(user(None, Err(error)), Err(true));
        assert_eq!(user(Some(7), Err(error)), Err(true));
        assert_eq!(group(Err(error)), Err(true));
    }
    assert_eq!(user(None, Ok(None)), Err(false));
    assert_eq!(group(Ok(None)), Err(false));
    assert_eq!(user(Some(7), Ok(None)).unwrap().uid, 7);
}
