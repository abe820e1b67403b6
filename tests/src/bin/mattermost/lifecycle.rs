//! The life of the server from exec to exit: load, wait for the database, migrate, listen, be
//! ready, stop.

use std::{
    fs::Permissions,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::net::{TcpListener, UnixListener};

use crate::{
    batching::{self, Batches},
    config::{Config, LoadError},
    database::Database,
    http::{self, Server},
    log::Log,
    mail,
    moods::Moods,
    notify,
    oauth::States,
    release, schema,
    signals::{self, Stop},
};

/// A server that has been up for less than this may take up to the rest of this time to stop.
const RESTLESS: Duration = Duration::from_secs(15);
/// Shortest time to stop, in which the server answers open requests.
const DRAIN: Duration = Duration::from_millis(40);

/// `mattermost server`.
pub(crate) fn serve(config: Option<PathBuf>) -> ExitCode {
    run(config, true)
}

/// `mattermost db migrate`.
pub(crate) fn migrate(config: Option<PathBuf>) -> ExitCode {
    run(config, false)
}

fn run(config: Option<PathBuf>, server: bool) -> ExitCode {
    let moods = Moods::from_environment();
    if let Some(code) = moods.crash_at_start {
        eprintln!("panic: told to crash at the start");
        return ExitCode::from(code);
    }
    if let Err(error) = signals::at_start(moods.ignore_term) {
        eprintln!("Error: cannot take signals: {error}");
        return ExitCode::FAILURE;
    }
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(LoadError::Plain(message)) => {
            eprintln!("Error: {message}");
            return ExitCode::FAILURE;
        }
        Err(LoadError::Panic(message)) => {
            eprintln!("{message}\n\ngoroutine 1 [running]:\nmain.main()");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = release::check_archive() {
        eprintln!("Error: {error}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(live(config, moods, server));
            // Websockets and database tasks do not hold up the exit.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("Error: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn live(config: Config, moods: Moods, serve: bool) -> ExitCode {
    let started = Instant::now();
    let log = Log::new(&config);
    if let Some(after) = moods.crash_after {
        tokio::spawn(crash(after));
    }
    log.info(
        "Server is initializing...",
        &[("go_version", "none"), ("standin", "true")],
    );
    let database = Database::new(config.text("SqlSettings", "DataSource"));
    if let Err(error) = open_store(&config, &database, &moods, &log, serve).await {
        log.error("Failed to create store", &[("error", &error)]);
        eprintln!("Error: {error}");
        return ExitCode::from(moods.db_exit);
    }
    if !serve {
        log.info("Database schema migrated successfully", &[]);
        return ExitCode::SUCCESS;
    }
    if moods.hang {
        log.info("Told to hang", &[]);
        std::future::pending::<()>().await;
    }
    let server = Arc::new(Server {
        config,
        database,
        moods,
        log,
        states: States::default(),
        batches: Batches::default(),
    });
    let tested = Arc::clone(&server);
    tokio::spawn(async move { mail::test(&tested).await });
    tokio::spawn(batching::run(Arc::clone(&server)));
    answer(server, started).await
}

async fn open_store(
    config: &Config,
    database: &Database,
    moods: &Moods,
    log: &Log,
    note: bool,
) -> Result<(), String> {
    database.wait(moods, log, "master").await?;
    for (number, source) in config
        .list("SqlSettings", "DataSourceReplicas")
        .iter()
        .enumerate()
    {
        // An empty replica is pinged like any other, and never answers.
        let name = format!("replica-{number}");
        Database::new(source).wait(moods, log, &name).await?;
    }
    database.prepare(moods, log, note).await
}

/// Listens, reports readiness, and stops when asked.
async fn answer(server: Arc<Server>, started: Instant) -> ExitCode {
    let log = &server.log;
    log.info("Starting Server...", &[]);
    let address = server
        .config
        .text("ServiceSettings", "ListenAddress")
        .to_owned();
    let listener = match bind(&address).await {
        Ok(listener) => listener,
        Err(error) => {
            log.error(
                &format!("Error starting server, err:listen tcp {address}: bind: {error}"),
                &[],
            );
            tokio::time::sleep(server.moods.bind_fail).await;
            return ExitCode::FAILURE;
        }
    };
    let local = server
        .config
        .flag("ServiceSettings", "EnableLocalMode")
        .then(|| {
            PathBuf::from(
                server
                    .config
                    .text("ServiceSettings", "LocalModeSocketLocation"),
            )
        });
    let stop = Stop::default();
    if !server.moods.ignore_term
        && let Err(error) = stop.listen()
    {
        log.error("Cannot take signals", &[("error", &error.to_string())]);
        return ExitCode::FAILURE;
    }
    let tcp = tokio::spawn(axum::serve(listener, http::public(Arc::clone(&server))).into_future());
    let unix = local
        .as_ref()
        .and_then(|path| serve_locally(path, &server, log));
    log.info(
        &format!("Server is listening on {address}"),
        &[("address", &address)],
    );
    if let Err(error) = notify::ready() {
        log.error(
            "Unable to notify systemd, proceeding",
            &[("error", &error.to_string())],
        );
    }
    // The real server's jobs watcher sleeps for a time like this at the start, and a stop waits for
    // it.
    let nap = RESTLESS.mul_f64(f64::from(schema::random_bytes(1)[0]) / 255.0);
    stop.asked().await;
    log.info("Stopping Server...", &[]);
    let asked = Instant::now();
    // Both ports are closed at once; open requests get a moment, websockets never end by
    // themselves.
    tcp.abort();
    if let Some(unix) = unix {
        unix.abort();
    }
    let time = match server.moods.stop {
        Some(time) => time,
        None => nap.saturating_sub(started.elapsed()),
    };
    tokio::time::sleep(time.max(DRAIN)).await;
    if let Some(path) = local {
        let _ = std::fs::remove_file(path);
    }
    let took = format!("{} ms", asked.elapsed().as_millis());
    log.info("Server stopped", &[("took", &took)]);
    ExitCode::SUCCESS
}

/// Binds an address; `:8065` is every address of both families.
async fn bind(address: &str) -> std::io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address).await;
    };
    let port: u16 = port.parse().map_err(std::io::Error::other)?;
    match TcpListener::bind(SocketAddr::from(([0_u16; 8], port))).await {
        Err(error)
            if error.kind() == std::io::ErrorKind::Unsupported
                || error.raw_os_error() == Some(97) =>
        {
            TcpListener::bind(SocketAddr::from(([0_u8; 4], port))).await
        }
        result => result,
    }
}

/// Serves the local-mode socket. A stale socket is replaced; a failure does not stop the server.
fn serve_locally(
    path: &PathBuf,
    server: &Arc<Server>,
    log: &Log,
) -> Option<tokio::task::JoinHandle<()>> {
    let _ = std::fs::remove_file(path);
    let bound = UnixListener::bind(path).and_then(|listener| {
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map(|()| listener)
    });
    match bound {
        Ok(listener) => {
            log.info(
                "Starting local mode server",
                &[("socket", &path.display().to_string())],
            );
            let routes = http::local(Arc::clone(server));
            Some(tokio::spawn(async move {
                let _ = axum::serve(listener, routes).await;
            }))
        }
        Err(error) => {
            log.error(
                "Error starting local mode server",
                &[("error", &error.to_string())],
            );
            None
        }
    }
}

async fn crash(after: Duration) {
    tokio::time::sleep(after).await;
    eprintln!("panic: told to crash\n\ngoroutine 1 [running]:\nmain.main()");
    std::process::exit(2);
}
