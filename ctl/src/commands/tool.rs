//! `ctl NAME ARGUMENT…` for a tool of a service: executes the tool in the place of ctl, so that the
//! terminal, signals and the exit code are the tool's own.
//!
//! Invariant: root executes only a file that nobody else can change. A tool that its service's
//! account may change has a `user`, and root becomes that user. As with `su -c`, the terminal stays
//! the caller's.

use std::{
    ffi::OsString,
    io,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

use api::{Tool, ToolAssert};
use client::{
    Context, Error, Kind,
    accounts::{Account, Accounts},
    render::{YELLOW, shown, styled},
};

use super::tools;
use crate::parse_args;

/// Mode bit of a file to which others may write.
const OTHERS_WRITE: u32 = 0o002;

/// Executes the tool that the first word names; returns only if that fails, with the reason.
pub(super) async fn run(context: &Context, words: &[OsString]) -> Result<u8, Error> {
    let Some((name, arguments)) = words.split_first() else {
        return Err(Error::new(Kind::Usage, "there is no command"));
    };
    let name = name.to_string_lossy();
    let tools = tools::known(context).await;
    let found = tools.iter().flatten().find(|tool| tool.name == name);
    let Some(tool) = found else {
        return Err(parse_args::no_such_command(words, tools));
    };
    if !tool.enabled {
        return Err(not_enabled(tool));
    }
    let caller = Caller {
        uid: nix::unistd::geteuid().as_raw(),
        accounts: Accounts::read(),
    };
    for assert in &tool.asserts {
        match broken(assert, arguments, &caller) {
            Some(_) if assert.warning => context.output.borrow_mut().note(&warning(assert)),
            Some(kind) => return Err(refused(tool, assert, kind)),
            None => {}
        }
    }
    Err(execute(tool, arguments, &caller))
}

/// The user who runs ctl, and the accounts of this host.
struct Caller {
    uid: u32,
    accounts: Accounts,
}

impl Caller {
    fn is(&self, account: &str) -> bool {
        let known = || self.accounts.account(account);
        (account == "root" && self.uid == 0) || known().is_some_and(|it| it.uid == self.uid)
    }
}

fn not_enabled(tool: &Tool) -> Error {
    let Tool { name, service, .. } = tool;
    let message = format!("`ctl {name}` is of {service}, which is not enabled on this host");
    let error = Error::new(Kind::Failed, message);
    if tool.disabled_hint.is_empty() {
        return error.hint(format!("ctl check-config says how {service} is enabled"));
    }
    error.hint(&tool.disabled_hint)
}

/// The kind of failure, if the assertion does not hold for these arguments and this caller.
fn broken(assert: &ToolAssert, arguments: &[OsString], caller: &Caller) -> Option<Kind> {
    if let Some(with) = &assert.with {
        given(with, arguments).then_some(())?;
    }
    if !assert.holds {
        return Some(Kind::Failed);
    }
    let closed = !assert.accounts.is_empty() && !assert.accounts.iter().any(|it| caller.is(it));
    closed.then_some(Kind::NotAllowed)
}

/// Whether an option is given: `--local`, or `--local=…` with any value but `false`.
fn given(wanted: &str, arguments: &[OsString]) -> bool {
    let options = arguments.iter().take_while(|it| *it != "--");
    options
        .filter_map(|it| it.to_str()?.strip_prefix(wanted))
        .any(|rest| rest.is_empty() || rest.strip_prefix('=').is_some_and(|it| it != "false"))
}

fn warning(assert: &ToolAssert) -> String {
    let message = shown(&assert.message);
    format!("{} {message}", styled(YELLOW.bold(), "warning:"))
}

fn refused(tool: &Tool, assert: &ToolAssert, kind: Kind) -> Error {
    let message = format!("cannot run `ctl {}`: {}", tool.name, assert.message);
    let error = Error::new(kind, message);
    if assert.hint.is_empty() {
        return error;
    }
    error.hint(&assert.hint)
}

/// Replaces this process with the tool; returns only if that fails.
fn execute(tool: &Tool, arguments: &[OsString], caller: &Caller) -> Error {
    let Some((program, first)) = tool.command.split_first() else {
        return failed(tool, "it has no command");
    };
    let path = Path::new(program);
    let mut command = Command::new(path);
    command.args(first).args(arguments);
    for name in &tool.unset_env {
        command.env_remove(name);
    }
    let becomes = match (&tool.user, caller.uid) {
        (Some(user), 0) => match caller.accounts.account(user) {
            Some(account) => Some(account),
            None => return no_account(tool, user),
        },
        _ => None,
    };
    match &becomes {
        Some(account) => become_account(&mut command, account),
        None if caller.uid == 0 => {
            if let Err(error) = roots_own(path) {
                return untrusted(tool, path, &error);
            }
        }
        None => {}
    }
    command.envs(&tool.env);
    let error = command.exec();
    let what = format!("cannot execute {}: {error}", path.display());
    let failed = failed(tool, &what);
    if error.kind() == io::ErrorKind::NotFound && !tool.command_hint.is_empty() {
        return failed.hint(&tool.command_hint);
    }
    failed
}

fn failed(tool: &Tool, why: &str) -> Error {
    Error::new(
        Kind::Failed,
        format!("cannot run `ctl {}`: {why}", tool.name),
    )
}

/// Sets uid, gid, home and name of the account, as `su` does.
fn become_account(command: &mut Command, account: &Account) {
    command.uid(account.uid).gid(account.gid);
    command.env("HOME", &account.home);
    command
        .env("USER", &account.name)
        .env("LOGNAME", &account.name);
}

fn no_account(tool: &Tool, user: &str) -> Error {
    failed(
        tool,
        &format!("there is no account `{user}` in /etc/passwd"),
    )
    .hint("the supervisor makes it when it starts; ctl accounts for no other directory of users")
}

/// Fails if anybody but root can change the file at the path. A missing file passes: exec
/// reports it.
fn roots_own(path: &Path) -> io::Result<()> {
    let file = match safe_path::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let meta = file.metadata()?;
    if meta.uid() == 0 && meta.mode() & OTHERS_WRITE == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "uid {} owns it, mode {:04o}",
        meta.uid(),
        meta.mode() & 0o7777
    )))
}

fn untrusted(tool: &Tool, path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    failed(
        tool,
        &format!("root does not execute {path}, which others can change: {error}"),
    )
    .hint(format!(
        "chown root {path} and the directories above it, or run it yourself as another account"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Fake};

    fn arguments(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn an_argument_counts_as_the_tool_would_take_it() {
        for (line, is) in [
            ("user list --local", true),
            ("--local=true user", true),
            ("--local=false user", false),
            ("--locale user", false),
            ("user -- --local", false),
        ] {
            assert_eq!(given("--local", &arguments(line)), is, "{line}");
        }
    }

    #[test]
    fn what_does_not_hold_is_told_to_whom_it_concerns() {
        let caller = |uid| Caller {
            uid,
            accounts: Accounts::of("root:x:0:0::/:\nmm:x:990:990::/:\n", ""),
        };
        let assert = |holds, accounts: &[&str], with: Option<&str>| ToolAssert {
            with: with.map(str::to_owned),
            holds,
            accounts: accounts.iter().map(|&it| it.to_owned()).collect(),
            ..ToolAssert::default()
        };
        let none = arguments("user");
        let off = assert(false, &[], Some("--local"));
        assert_eq!(broken(&off, &none, &caller(0)), None);
        let local = arguments("--local");
        assert_eq!(broken(&off, &local, &caller(0)), Some(Kind::Failed));
        let closed = assert(true, &["root", "mm", "gone"], None);
        assert_eq!(broken(&closed, &none, &caller(0)), None);
        assert_eq!(broken(&closed, &none, &caller(990)), None);
        assert_eq!(broken(&closed, &none, &caller(7)), Some(Kind::NotAllowed));
    }

    fn ran(tool: &Tool, line: &str) -> crate::testing::Ran {
        let reply = api::ToolsReply {
            tools: vec![tool.clone()],
        };
        let reply = serde_json::to_string(&reply).unwrap();
        Fake::new(vec![Answer::Whole(200, reply)]).ctl(line)
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_what_brings_it() {
        let tool = Tool {
            name: "dbcli".into(),
            service: "db".into(),
            enabled: true,
            command: vec!["/nonexistent/dbcli".into()],
            command_hint: "install the client".into(),
            ..Tool::default()
        };
        let told = ran(&tool, "dbcli --timeout 5 -x");
        assert_eq!(told.code, 1);
        assert_eq!(
            told.err,
            "error: cannot run `ctl dbcli`: cannot execute /nonexistent/dbcli: \
             No such file or directory (os error 2)\nhint: install the client\n"
        );
        let told = ran(&tool, "dbclo");
        assert_eq!((told.code, told.out.as_str()), (2, ""));
        assert!(
            told.err.contains("did you mean: ctl dbcli?"),
            "{}",
            told.err
        );
        let off = Tool {
            enabled: false,
            ..tool
        };
        let told = ran(&off, "dbcli");
        assert_eq!(told.code, 1);
        assert!(
            told.err.contains("db, which is not enabled"),
            "{}",
            told.err
        );
    }
}
