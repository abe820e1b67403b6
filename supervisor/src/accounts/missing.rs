//! Which accounts have to be made, by which commands, and what stands against it.
//!
//! All clashes are found before anything is made: an account that is there with another number, a
//! number that is another's, services that do not agree.

use std::{collections::BTreeMap, path::PathBuf};

use plan::{Plan, Service};

use super::{Database, System};
use crate::programs::{self, PATH};

/// Accounts and groups that the plan's services need and the host lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Accounts {
    /// Commands that make the missing ones, in this order.
    pub(crate) commands: Vec<MakeCommand>,
    /// Why a service cannot have its account, by service.
    pub(crate) clashes: BTreeMap<String, String>,
}

/// A command that makes what services need of the machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MakeCommand {
    /// Services that want it, at least one.
    pub(crate) services: Vec<String>,
    /// The thing that the command makes, in words: `user www`, `file /etc/x`.
    pub(crate) what: String,
    /// `useradd …`, `groupadd …` or another, absolute.
    pub(crate) argv: Vec<String>,
}

/// Looks at the accounts that enabled services name. Only root can make any, and only if the
/// administrator lets it.
pub(crate) fn look(plan: &Plan) -> Accounts {
    if !plan.manage_accounts || !nix::unistd::geteuid().is_root() {
        return Accounts::default();
    }
    compare(plan, &System)
}

/// Combined needs of all services for one account name.
#[derive(Debug, Default)]
struct Want {
    services: Vec<String>,
    /// Numbers that were given, each with the first service that gave it.
    ids: Vec<(u32, String)>,
    home: Option<PathBuf>,
    /// Primary group, of a user.
    group: String,
}

impl Want {
    fn add(&mut self, service: &str, id: Option<u32>) {
        if !self.services.iter().any(|known| known == service) {
            self.services.push(service.to_owned());
        }
        if let Some(id) = id
            && !self.ids.iter().any(|(known, _)| *known == id)
        {
            self.ids.push((id, service.to_owned()));
        }
    }
}

/// Users or groups.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    User,
    Group,
}

impl Kind {
    /// The names of the kind and of its number, and the tool that changes that number.
    const fn words(self) -> [&'static str; 3] {
        match self {
            Self::User => ["user", "uid", "usermod --uid"],
            Self::Group => ["group", "gid", "groupmod --gid"],
        }
    }
}

pub(super) fn compare(plan: &Plan, database: &dyn Database) -> Accounts {
    let mut work = Work {
        database,
        accounts: Accounts::default(),
        users: BTreeMap::new(),
        groups: BTreeMap::new(),
    };
    for service in plan.services.values().filter(|service| service.enabled) {
        for named in named(service) {
            if let Err(error) = work.want(service, named) {
                let why = format!("cannot look up its accounts: {error}");
                work.accounts.clashes.insert(service.name.clone(), why);
            }
        }
    }
    work.finish()
}

/// An account that a service names, with the numbers that it gives.
#[derive(Clone, Copy, Debug, Default)]
struct Named<'s> {
    user: Option<&'s str>,
    group: Option<&'s str>,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Accounts that a service names: its own, and those of its directories and files. Its `uid` and
/// `gid` are those of its own, or of the first other one when it runs as the supervisor does.
fn named(service: &Service) -> Vec<Named<'_>> {
    let directories = service
        .directories
        .iter()
        .map(|it| (it.user.as_deref(), it.group.as_deref()));
    let files = service
        .files
        .iter()
        .map(|it| (it.user.as_deref(), it.group.as_deref()));
    let all = std::iter::once((service.user.as_deref(), service.group.as_deref()))
        .chain(directories)
        .chain(files);
    let mut named: Vec<Named<'_>> = Vec::new();
    for (user, group) in all {
        let (user, group) = (as_name(user), as_name(group));
        if user.is_some() || group.is_some() {
            named.push(Named {
                user,
                group,
                ..Named::default()
            });
        }
    }
    if let Some(first) = named.first_mut() {
        first.uid = service.uid;
        first.gid = service.gid;
    }
    named
}

/// A number is no name, and nothing can be made of it.
fn as_name(name: Option<&str>) -> Option<&str> {
    name.filter(|it| it.parse::<u32>().is_err())
}

struct Work<'d> {
    database: &'d dyn Database,
    accounts: Accounts,
    users: BTreeMap<String, Want>,
    groups: BTreeMap<String, Want>,
}

impl Work<'_> {
    /// Notes what one service wants.
    fn want(&mut self, service: &Service, named: Named<'_>) -> nix::Result<()> {
        let present = match named.user {
            Some(user) => self.database.user(user)?,
            None => None,
        };
        // A user that is there has a group already; one that is made gets one of its own name.
        let own = named.user.filter(|_| present.is_none());
        let group = named.group.or(own);
        if let Some(group) = group {
            let want = self.groups.entry(group.to_owned()).or_default();
            want.add(&service.name, named.gid);
        } else if let (Some((_, gid)), Some(wanted), Some(user)) = (present, named.gid, named.user)
            && gid != wanted
        {
            let why = format!(
                "user {user} has the group with gid {gid}, but gid {wanted} is wanted: leave the gid out, or name the group"
            );
            self.accounts.clashes.insert(service.name.clone(), why);
        }
        if let Some(user) = named.user {
            let want = self.users.entry(user.to_owned()).or_default();
            want.add(&service.name, named.uid);
            if want.home.is_none() {
                want.home.clone_from(&service.home);
            }
            if want.group.is_empty() {
                group.unwrap_or(user).clone_into(&mut want.group);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Accounts {
        let (groups, users) = (
            std::mem::take(&mut self.groups),
            std::mem::take(&mut self.users),
        );
        self.settle(Kind::Group, &groups);
        self.settle(Kind::User, &users);
        // An account that cannot be made with all its attributes is not made at all.
        let clashes = &self.accounts.clashes;
        self.accounts
            .commands
            .retain(|command| !command.services.iter().all(|it| clashes.contains_key(it)));
        self.accounts
    }

    fn settle(&mut self, kind: Kind, wants: &BTreeMap<String, Want>) {
        let mut given: BTreeMap<u32, &str> = BTreeMap::new();
        for (name, want) in wants {
            match self.judge(kind, name, want, &given) {
                Ok(None) => {}
                Ok(Some(argv)) => self.accounts.commands.push(MakeCommand {
                    services: want.services.clone(),
                    what: format!("{} {name}", kind.words()[0]),
                    argv,
                }),
                Err(why) => {
                    for service in &want.services {
                        let clashes = &mut self.accounts.clashes;
                        clashes
                            .entry(service.clone())
                            .or_insert_with(|| why.clone());
                    }
                }
            }
            if let [(id, _)] = want.ids.as_slice() {
                given.insert(*id, name);
            }
        }
    }

    /// The command that makes it, if it has to be made, or why it cannot be as wanted.
    fn judge(
        &self,
        what: Kind,
        name: &str,
        want: &Want,
        given: &BTreeMap<u32, &str>,
    ) -> Result<Option<Vec<String>>, String> {
        let [kind, word, change] = what.words();
        if let [(one, by), (other, and), ..] = want.ids.as_slice() {
            return Err(format!(
                "{kind} {name} is wanted with {word} {one} by {by} and with {word} {other} by {and}: give both the same"
            ));
        }
        let id = want.ids.first().map(|(id, _)| *id);
        let failed = |error: nix::Error| format!("cannot look up {kind} {name}: {error}");
        if let Some(now) = self.id_of(what, name).map_err(failed)? {
            return match id {
                Some(id) if id != now => Err(format!(
                    "{kind} {name} exists with {word} {now}, but {word} {id} is wanted: leave the {word} out, or change the account: {change} {id} {name}"
                )),
                _ => Ok(None),
            };
        }
        if let Some(id) = id {
            let advice = format!("choose another, or leave the {word} out and a free one is taken");
            if let Some(owner) = self.name_of(what, id).map_err(failed)? {
                return Err(format!(
                    "{word} {id} belongs to {kind} {owner}, so {kind} {name} cannot have it: {advice}"
                ));
            }
            if id == 0 {
                return Err(format!(
                    "{word} 0 is root's, so {kind} {name} cannot have it: {advice}"
                ));
            }
            if let Some(other) = given.get(&id) {
                return Err(format!(
                    "{word} {id} is wanted for {kind} {other} too, so {kind} {name} cannot have it: {advice}"
                ));
            }
        }
        Ok(Some(match what {
            Kind::User => user_command(name, want, id),
            Kind::Group => group_command(name, id),
        }))
    }

    fn id_of(&self, kind: Kind, name: &str) -> nix::Result<Option<u32>> {
        match kind {
            Kind::User => Ok(self.database.user(name)?.map(|(uid, _)| uid)),
            Kind::Group => self.database.group(name),
        }
    }

    fn name_of(&self, kind: Kind, id: u32) -> nix::Result<Option<String>> {
        match kind {
            Kind::User => self.database.user_of(id),
            Kind::Group => self.database.group_of(id),
        }
    }
}

fn group_command(name: &str, gid: Option<u32>) -> Vec<String> {
    let mut argv = vec![tool("groupadd"), "--system".to_owned()];
    if let Some(gid) = gid {
        argv.extend(["--gid".to_owned(), gid.to_string()]);
    }
    argv.extend(["--".to_owned(), name.to_owned()]);
    argv
}

fn user_command(name: &str, want: &Want, uid: Option<u32>) -> Vec<String> {
    let mut argv = vec![
        tool("useradd"),
        "--system".to_owned(),
        "--no-create-home".to_owned(),
    ];
    argv.extend(["--gid".to_owned(), want.group.clone()]);
    argv.extend(["--shell".to_owned(), "/usr/sbin/nologin".to_owned()]);
    if let Some(home) = &want.home {
        argv.extend(["--home-dir".to_owned(), home.display().to_string()]);
    }
    if let Some(uid) = uid {
        argv.extend(["--uid".to_owned(), uid.to_string()]);
    }
    argv.extend(["--".to_owned(), name.to_owned()]);
    argv
}

fn tool(name: &str) -> String {
    programs::look_up(name, PATH).unwrap_or_else(|_| format!("/usr/sbin/{name}"))
}
