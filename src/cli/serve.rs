//! `annals serve`: serves the history over REST and as pages.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::process::{Resource, Rlimit};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use warp::Filter;

use super::Common;
use super::import::{self, ImportError};
use super::output::say;
use crate::config::{ConfigError, FrontendConfig, FrontendUrl};
use crate::domain::account::Account;
use crate::formats::file::Options;
use crate::http::auth::{Authenticator, AuthenticatorError};
use crate::http::server::{self, Tls, TlsError};
use crate::http::{self, AppState, Metrics, ResponseCache};
use crate::ingest::follow::follow;
use crate::ingest::frontend::collect;
use crate::ingest::{Pipeline, retain};
use crate::store::{OpenError, Store, WriteError};
use crate::web::{self, Live};

/// Where annals listens unless told otherwise.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8130));

/// How long answers in flight may take to finish once annals is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long the writer waits for another process that writes to the same file, before it refuses what
/// clients push. Those that can wait try again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serve the history over the REST interface of a Doris frontend
///
/// Takes in first what --import names, then serves until SIGINT or SIGTERM. Try it:
/// curl http://127.0.0.1:8130/rest/v1/session
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    common: Common,
    /// The address to listen on; port 0 takes any that is free [default: 127.0.0.1:8130]
    #[arg(long, env = "ANNALS_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Files and folders to take in first, as `annals import` does
    #[arg(long, value_name = "PATH", num_args = 1..)]
    import: Vec<PathBuf>,
    /// Audit logs to follow as they grow; names, or patterns with * and ?. What was rolled is read
    /// first; a file that is not there yet is waited for
    #[arg(long, env = "ANNALS_FOLLOW", value_name = "PATH", num_args = 1.., value_delimiter = ',')]
    follow: Vec<String>,
    /// A frontend to collect from, http://user@host:8030; may be given again. Its password is in
    /// ANNALS_FRONTEND_PASSWORD, or in the file that ANNALS_FRONTEND_PASSWORD_FILE names
    #[arg(long, env = "ANNALS_FRONTEND", value_name = "URL", value_delimiter = ',')]
    frontend: Vec<FrontendUrl>,
    /// Serve with TLS: the certificate, with those that vouch for it, as PEM. Read again on SIGHUP
    #[arg(long, env = "ANNALS_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, env = "ANNALS_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Listen beyond this machine though there are no users: whoever reaches the address reads all SQL
    /// and all profiles, and adds to them
    #[arg(long)]
    insecure_no_auth: bool,
    /// Say whether the configuration can be used, and end
    #[arg(long)]
    check_config: bool,
}

/// Why annals does not serve.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ServeError {
    #[error(
        "{0} can be reached from other machines, and annals asks nobody who they are; add users with \
         `annals user add`, listen on 127.0.0.1, or say --insecure-no-auth if everybody may read all \
         SQL and all profiles"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on {0}; is another program there? choose another address with --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("TLS needs both --tls-cert and --tls-key")]
    HalfTls,
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Authenticator(#[from] AuthenticatorError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    #[error("the history could not be closed")]
    Close(#[source] crate::store::StoreError),
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

/// Runs the command.
pub async fn run(args: ServeArgs) -> Result<ExitCode, ServeError> {
    let mut config = args.common.configured()?;
    if !args.follow.is_empty() {
        config.follow = args.follow;
    }
    if !args.frontend.is_empty() {
        config.frontend = args.frontend.into_iter().map(FrontendConfig::of_url).collect();
    }
    let zone = config.zone();
    let frontends = config
        .frontend
        .iter()
        .map(|frontend| Ok((frontend.settings(zone)?, frontend.every())))
        .collect::<Result<Vec<_>, ConfigError>>()?;
    let listen = args.listen.or(config.listen).unwrap_or(DEFAULT_LISTEN);
    let open_to_all = args.insecure_no_auth || config.insecure_no_auth.unwrap_or(false);
    let tls = match (
        args.tls_cert.or(config.tls_cert.clone()),
        args.tls_key.or(config.tls_key.clone()),
    ) {
        (Some(certificate), Some(key)) => Some(Arc::new(Tls::read(certificate, key)?)),
        (None, None) => None,
        _ => return Err(ServeError::HalfTls),
    };
    let asks_nobody = !listen.ip().is_loopback() && !open_to_all;
    let users: Vec<Account> = config.user.iter().map(|user| user.0.clone()).collect();
    // A new history has no users; one that is there may.
    if asks_nobody && users.is_empty() && !config.db().exists() {
        return Err(ServeError::NotLoopback(listen));
    }
    if args.check_config {
        say("the configuration can be used");
        return Ok(ExitCode::SUCCESS);
    }
    import::check_paths(&args.import)?;
    raise_open_files();
    let stopped = stop_signal().map_err(ServeError::Signals)?;
    let cannot_listen = |error| ServeError::Listen(listen, error);
    let listener = TcpListener::bind(listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let store = Store::open(&config.db()).await?;
    super::report_healed(&store);
    let authenticator = Authenticator::new(store.clone(), users).await?;
    if asks_nobody && !authenticator.is_enabled() {
        return Err(ServeError::NotLoopback(listen));
    }
    let mut output = std::io::stdout();
    if !args.import.is_empty() {
        let options = Options { zone, encoding: None };
        let report = import::import(&store, args.import, options, config.exclude.clone()).await?;
        write!(output, "{report}").map_err(ServeError::Output)?;
    }
    let writer = store.writer(PATIENCE, config.retention.max_size).await?;
    let (filter, retention) = (config.exclude.clone(), config.retention.clone());
    let pipeline = Arc::new(Pipeline::new(writer, filter, retention, zone));
    let mut sources = JoinSet::new();
    if !config.follow.is_empty() {
        sources.spawn(follow(pipeline.clone(), store.clone(), config.follow.clone()));
    }
    if config.retention.is_bounded() {
        sources.spawn(retain(pipeline.clone(), store.clone()));
    }
    for (frontend, every) in frontends {
        sources.spawn(collect(pipeline.clone(), store.clone(), frontend, every));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let history = Arc::new(AppState {
        store: store.clone(),
        zone,
        pipeline: pipeline.clone(),
        scheme,
        authenticator,
        open_to_all,
        metrics: Arc::new(Metrics::default()),
        response_cache: ResponseCache::new(store.watch()?),
    });
    let db = config.db();
    let file = db.display();
    writeln!(output, "annals listens on {scheme}://{address} and serves {file}")
        .and_then(|()| output.flush())
        .map_err(ServeError::Output)?;

    if let Some(tls) = &tls {
        sources.spawn(read_again_on_hangup(
            tls.clone(),
            signal(SignalKind::hangup()).map_err(ServeError::Signals)?,
        ));
    }
    tell_systemd(NotifyState::Ready);
    if let Some(within) = sd_notify::watchdog_enabled() {
        sources.spawn(watch(store.clone(), pipeline.clone(), within / 3));
    }
    let live = Arc::new(Live::new(store.watch()?));
    sources.spawn(live.clone().look());
    let routes = web::routes(history.clone(), live.clone()).or(http::routes(history.clone()));
    // Those who listen would be waited for.
    let stopped = async move {
        stopped.await;
        live.end();
    };
    server::serve(history, routes.boxed(), listener, tls, stopped, GRACE).await;
    tell_systemd(NotifyState::Stopping);
    // What they had not sent yet, they read again the next time.
    sources.shutdown().await;
    pipeline.finish().await?;
    store.close().await.map_err(ServeError::Close)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the certificate again on each SIGHUP, as those send it who renew certificates.
async fn read_again_on_hangup(tls: Arc<Tls>, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        match tokio::task::block_in_place(|| tls.read_again()) {
            Ok(()) => tracing::warn!("the certificate was read again"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the certificate stays what it was"
            ),
        }
    }
}

/// Tells systemd, where it started annals and wants to know.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(error = &error as &dyn std::error::Error, "systemd cannot be told");
    }
}

/// Tells systemd that annals lives, as long as the history can be read and the writer takes what is sent. If
/// it is told nothing for long, it starts annals anew.
async fn watch(store: Store, pipeline: Arc<Pipeline>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match store.accounts().await {
            Ok(_) if pipeline.is_open() => tell_systemd(NotifyState::Watchdog),
            Ok(_) => tracing::error!("the writer has ended"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the history cannot be read");
            }
        }
    }
}

/// Each connection takes a file; most systems allow a process more than it has by default.
fn raise_open_files() {
    let allowed = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: allowed.maximum, maximum: allowed.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::debug!(error = &error as &dyn std::error::Error, "the open files stay limited");
    }
}

/// Waits for SIGINT or SIGTERM. A second one ends the process as it is, which loses nothing.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => std::process::exit(130),
                _ = terminate.recv() => std::process::exit(143),
            }
        });
    })
}
