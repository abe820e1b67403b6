//! A stand-in for mmctl, Mattermost's own client, beside the stand-in for its server: the commands
//! that an administrator begins with, their words and exit codes, over the local-mode socket.
//!
//! `auth login` keeps its credentials where the real mmctl does; nobody signs in with them.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

/// Where the server's socket is by default.
const SOCKET: &str = "/var/tmp/mattermost_local.socket";

#[derive(Parser)]
#[command(name = "mmctl", about = "A stand-in for mmctl")]
struct Arguments {
    /// Through the server's unix socket, without a login.
    #[arg(long, global = true)]
    local: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Work on users.
    User {
        #[command(subcommand)]
        command: User,
    },
    /// Work on plugins.
    Plugin {
        #[command(subcommand)]
        command: Plugin,
    },
    /// About the server.
    System {
        #[command(subcommand)]
        command: System,
    },
    /// Credentials.
    Auth {
        #[command(subcommand)]
        command: Auth,
    },
    /// Print the version of mmctl.
    Version,
}

#[derive(Subcommand)]
enum User {
    /// List them.
    List,
    /// Make one.
    Create(NewUser),
}

#[derive(Subcommand)]
enum Plugin {
    /// List them.
    List,
    /// Turn them on.
    Enable {
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Args)]
struct NewUser {
    #[arg(long)]
    email: String,
    #[arg(long)]
    username: String,
    #[arg(long)]
    password: String,
    #[arg(long)]
    system_admin: bool,
}

#[derive(Subcommand)]
enum System {
    /// The server's version.
    Version,
    /// Whether it is well.
    Status,
}

#[derive(Subcommand)]
enum Auth {
    /// Keep credentials.
    Login {
        url: String,
        #[arg(long)]
        name: String,
        #[arg(long)]
        username: String,
        #[arg(long)]
        password_file: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match run(arguments) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("Error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<String, String> {
    match arguments.command {
        Command::Version => Ok("mmctl:\nVersion: standin\n".to_owned()),
        Command::Auth {
            command:
                Auth::Login {
                    url,
                    name,
                    username,
                    password_file,
                },
        } => login(&url, &name, &username, &password_file),
        _ if !arguments.local => Err(
            "cannot read user credentials, maybe you need to use login first. If you want to use mmctl \
             from a local instance, use the --local flag"
                .to_owned(),
        ),
        Command::User { command } => users(command),
        Command::Plugin { command } => plugins(command),
        Command::System { command } => system(&command),
    }
}

fn users(command: User) -> Result<String, String> {
    match command {
        User::List => {
            let users = ask("GET", "/api/v4/users", None)?.body;
            let users = users.as_array().cloned().unwrap_or_default();
            let mut text = String::new();
            for user in &users {
                let word = |key: &str| user[key].as_str().unwrap_or_default();
                let (id, name, email) = (word("id"), word("username"), word("email"));
                let _ = writeln!(text, "{id}: {name} ({email})");
            }
            let _ = writeln!(text, "There are {} users on local instance", users.len());
            Ok(text)
        }
        User::Create(user) => {
            let roles = if user.system_admin {
                "system_user system_admin"
            } else {
                "system_user"
            };
            let body = json!({
                "email": user.email, "username": user.username, "password": user.password,
                "roles": roles,
            });
            ask("POST", "/api/v4/users", Some(&body))
                .map_err(|why| format!("Failed to create user. Error: {why}"))?;
            Ok(format!("Created user {}\n", user.username))
        }
    }
}

fn plugins(command: Plugin) -> Result<String, String> {
    let mut text = String::new();
    match command {
        Plugin::List => {
            let all = ask("GET", "/api/v4/plugins", None)?.body;
            for (heading, which) in [("enabled", "active"), ("disabled", "inactive")] {
                let _ = writeln!(text, "Listing {heading} plugins");
                for plugin in all[which].as_array().into_iter().flatten() {
                    let word = |key: &str| plugin[key].as_str().unwrap_or_default();
                    let (id, name, version) = (word("id"), word("name"), word("version"));
                    let _ = writeln!(text, "{id}: {name}, Version: {version}");
                }
            }
        }
        Plugin::Enable { ids } => {
            for id in ids {
                ask("POST", &format!("/api/v4/plugins/{id}/enable"), None)
                    .map_err(|why| format!("Unable to enable plugin: {id}. Error: {why}"))?;
                let _ = writeln!(text, "Enabled plugin: {id}");
            }
        }
    }
    Ok(text)
}

fn system(command: &System) -> Result<String, String> {
    let pong = ask("GET", "/api/v4/system/ping?get_server_status=true", None)?;
    Ok(match command {
        System::Version => format!("Server version {}\n", pong.version),
        System::Status => {
            let word = |key: &str| pong.body[key].as_str().unwrap_or_default().to_owned();
            format!(
                "Server status: {}\nDatabase Status: {}\nFilestore Status: {}\n",
                word("status"),
                word("database_status"),
                word("filestore_status")
            )
        }
    })
}

/// A successful answer of the server.
struct Answer {
    version: String,
    body: Value,
}

fn ask(method: &str, path: &str, body: Option<&Value>) -> Result<Answer, String> {
    let socket = std::env::var("MMCTL_LOCAL_SOCKET_PATH").unwrap_or_else(|_| SOCKET.to_owned());
    let text = exchange(Path::new(&socket), method, path, body).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            return format!(
                "socket file {socket:?} doesn't exists, please check the server configuration for local mode"
            );
        }
        format!("could not connect to {socket}: {error}")
    })?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let status = status.split(' ').nth(1).unwrap_or_default();
    let version = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("x-version-id"))
        .map_or("", |(_, version)| version)
        .to_owned();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    if status.starts_with('2') {
        return Ok(Answer { version, body });
    }
    Err(format!(": {}", body["message"].as_str().unwrap_or(status)))
}

fn exchange(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Stores who signs in where, as `auth login` does.
fn login(url: &str, name: &str, username: &str, password_file: &Path) -> Result<String, String> {
    fs::read(password_file)
        .map_err(|error| format!("unable to read the password file: {error}"))?;
    let home = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
    let place = home.ok_or("no home")?.join("mmctl/config");
    let known = json!({ name: { "username": username, "instanceUrl": url } }).to_string();
    place
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&place, known))
        .map_err(|error| format!("cannot keep the credentials: {error}"))?;
    Ok(format!(
        "\n  credentials for {name:?}: \"{username}@{url}\" stored\n\n"
    ))
}
