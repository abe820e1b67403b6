//! State of the stand-in: applications, codes, tokens, sessions.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::PathBuf,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

/// How long a code may be redeemed, as with GitLab.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// A user of the instance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    /// `username` of the API.
    pub(crate) name: &'static str,
    /// `id` of the API, which Mattermost keeps as the account's auth data.
    pub(crate) id: u64,
    /// Whether the user may use the API of applications.
    pub(crate) admin: bool,
}

/// The users of the instance.
pub(crate) const USERS: [User; 2] = [
    User {
        name: "root",
        id: 1,
        admin: true,
    },
    User {
        name: "alice",
        id: 2,
        admin: false,
    },
];

/// An OAuth application.
#[derive(Clone)]
pub(crate) struct Application {
    /// Number, for the API's paths.
    pub(crate) id: u64,
    /// `application_id`, the client's id.
    pub(crate) uid: String,
    /// Name of the application.
    pub(crate) name: String,
    /// The client's secret.
    pub(crate) secret: String,
    /// Redirect URIs, separated by white space.
    pub(crate) redirect_uri: String,
    /// Scopes, separated by spaces.
    pub(crate) scopes: String,
    /// Whether the client can keep a secret.
    pub(crate) confidential: bool,
}

impl Application {
    /// Whether the URI is one of the list, letter by letter.
    pub(crate) fn redirects_to(&self, uri: &str) -> bool {
        self.redirect_uri.split_whitespace().any(|own| own == uri)
    }

    /// The application as lists show it: without the secret.
    pub(crate) fn shown(&self) -> Value {
        json!({
            "id": self.id, "application_id": self.uid, "application_name": self.name,
            "callback_url": self.redirect_uri, "confidential": self.confidential,
        })
    }

    /// The application as its creation and a renewal show it: with the secret.
    pub(crate) fn shown_with_secret(&self) -> Value {
        let mut shown = self.shown();
        shown["secret"] = self.secret.clone().into();
        shown
    }

    fn kept(&self) -> Value {
        let mut kept = self.shown_with_secret();
        kept["scopes"] = self.scopes.clone().into();
        kept
    }

    fn from_kept(kept: &Value) -> Option<Self> {
        let text = |key: &str| Some(kept.get(key)?.as_str()?.to_owned());
        Some(Self {
            id: kept.get("id")?.as_u64()?,
            uid: text("application_id")?,
            name: text("application_name")?,
            secret: text("secret")?,
            redirect_uri: text("callback_url")?,
            scopes: text("scopes")?,
            confidential: kept.get("confidential")?.as_bool()?,
        })
    }
}

/// The grant that a code stands for until it is redeemed.
pub(crate) struct Grant {
    /// The application's uid.
    pub(crate) client: String,
    /// Redirect URI to which the code went; the client repeats this URI.
    pub(crate) redirect_uri: String,
    /// Scopes that the user has allowed.
    pub(crate) scope: String,
    /// The user who has allowed them.
    pub(crate) user: User,
    made: Instant,
}

/// The meaning of an access token.
#[derive(Clone)]
pub(crate) struct Access {
    /// Owner of the token.
    pub(crate) user: User,
    /// Scopes, separated by spaces.
    pub(crate) scopes: String,
}

/// A browser's session.
#[derive(Default, Clone)]
pub(crate) struct Session {
    /// CSRF token of the forms.
    pub(crate) csrf: String,
    /// The signed-in user.
    pub(crate) user: Option<User>,
    /// Where to go after signing in.
    pub(crate) return_to: Option<String>,
}

/// All state that changes.
#[derive(Default)]
pub(crate) struct Known {
    next: u64,
    /// Applications by number.
    pub(crate) applications: BTreeMap<u64, Application>,
    /// Grants by code.
    grants: BTreeMap<String, Grant>,
    /// Accesses by token.
    pub(crate) tokens: BTreeMap<String, Access>,
    /// Sessions by cookie.
    pub(crate) sessions: BTreeMap<String, Session>,
}

impl Known {
    /// Adds a new application and gives it number, id and secret.
    pub(crate) fn add(&mut self, mut application: Application) -> Application {
        self.next += 1;
        application.id = self.next;
        application.uid = random_hex(32);
        application.secret = new_secret();
        self.applications
            .insert(application.id, application.clone());
        application
    }

    /// The application with that client id.
    pub(crate) fn client(&self, uid: &str) -> Option<&Application> {
        self.applications
            .values()
            .find(|application| application.uid == uid)
    }

    /// Makes a code for what a user has allowed.
    pub(crate) fn grant(&mut self, client: &str, uri: &str, scope: &str, user: User) -> String {
        let code = random_hex(32);
        let grant = Grant {
            client: client.to_owned(),
            redirect_uri: uri.to_owned(),
            scope: scope.to_owned(),
            user,
            made: Instant::now(),
        };
        self.grants.insert(code.clone(), grant);
        code
    }

    /// Redeems a code, which works only once.
    pub(crate) fn redeem(&mut self, code: &str) -> Option<Grant> {
        let grant = self.grants.remove(code)?;
        (grant.made.elapsed() < CODE_LIFE).then_some(grant)
    }
}

/// Settings and state of the server.
pub(crate) struct Gitlab {
    known: Mutex<Known>,
    data: Option<PathBuf>,
    /// Password of the users in the browser.
    pub(crate) password: String,
    /// Rows of a page; `None` for all.
    pub(crate) page: Option<usize>,
    /// Whether `renew-secret` is missing, as in older releases.
    pub(crate) old: bool,
}

impl Gitlab {
    /// Reads environment and kept state.
    pub(crate) fn from_environment() -> io::Result<Self> {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let mut known = Known::default();
        let root = text("GITLAB_STANDIN_ROOT_TOKEN")
            .ok_or_else(|| io::Error::other("GITLAB_STANDIN_ROOT_TOKEN is not set"))?;
        let given = [
            (Some(root), USERS[0], "api"),
            (text("GITLAB_STANDIN_USER_TOKEN"), USERS[1], "api"),
            (text("GITLAB_STANDIN_READ_TOKEN"), USERS[0], "read_api"),
        ];
        let data = text("GITLAB_STANDIN_DATA").map(PathBuf::from);
        if let Some(kept) = data.as_ref().map(|data| data.join("state.json"))
            && kept.exists()
        {
            read_state(&mut known, &std::fs::read_to_string(kept)?)?;
        }
        for (token, user, scopes) in given {
            if let Some(token) = token {
                let scopes = scopes.to_owned();
                known.tokens.insert(token, Access { user, scopes });
            }
        }
        Ok(Self {
            known: Mutex::new(known),
            data,
            password: text("GITLAB_STANDIN_PASSWORD")
                .unwrap_or_else(|| "stand-in-password".to_owned()),
            page: text("GITLAB_STANDIN_PAGE").and_then(|page| page.parse().ok()),
            old: text("GITLAB_STANDIN_OLD").is_some(),
        })
    }

    /// Locks the state.
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known
            .lock()
            .expect("nothing panics while it holds this")
    }

    /// Writes applications and tokens, if a directory is given.
    pub(crate) fn keep(&self, known: &Known) {
        let Some(data) = &self.data else { return };
        let applications: Vec<Value> = known.applications.values().map(Application::kept).collect();
        let mut tokens = Map::new();
        for (token, access) in &known.tokens {
            tokens.insert(
                token.clone(),
                json!({"user": access.user.name, "scopes": access.scopes}),
            );
        }
        let state = json!({"next": known.next, "applications": applications, "tokens": tokens});
        let new = data.join("state.json.new");
        let written = std::fs::create_dir_all(data)
            .and_then(|()| std::fs::write(&new, state.to_string()))
            .and_then(|()| std::fs::rename(&new, data.join("state.json")));
        if let Err(error) = written {
            eprintln!("gitlab: state is not kept: {error}");
        }
    }
}

fn read_state(known: &mut Known, text: &str) -> io::Result<()> {
    let state: Value = serde_json::from_str(text)?;
    known.next = state["next"].as_u64().unwrap_or_default();
    for kept in state["applications"].as_array().into_iter().flatten() {
        let application = Application::from_kept(kept)
            .ok_or_else(|| io::Error::other("state.json: an application cannot be read"))?;
        known.applications.insert(application.id, application);
    }
    for (token, access) in state["tokens"].as_object().into_iter().flatten() {
        let user = USERS.iter().find(|user| access["user"] == user.name);
        if let (Some(user), Some(scopes)) = (user, access["scopes"].as_str()) {
            let scopes = scopes.to_owned();
            known.tokens.insert(
                token.clone(),
                Access {
                    user: *user,
                    scopes,
                },
            );
        }
    }
    Ok(())
}

/// A secret in the form that GitLab has used since 16.
pub(crate) fn new_secret() -> String {
    format!("gloas-{}", random_hex(32))
}

/// Random bytes, as hex.
pub(crate) fn random_hex(bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut buffer))
        .expect("there are random bytes");
    buffer.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
