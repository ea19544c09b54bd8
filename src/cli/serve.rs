//! `annals serve`: serves the history over HTTP, and runs the sources that fill it.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use rustix::process::{Resource, Rlimit};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use warp::Filter;

use super::CLOSING;
use super::args::{ConfigArgs, FileName};
use super::import;
use super::output::{print, write_bytes};
use crate::config::{Config, EMPTY_PATH, FrontendConfig, FrontendUrl, parse_listen};
use crate::domain::account::Account;
use crate::domain::cluster::ClusterName;
use crate::domain::time::{Zone, now_ms};
use crate::formats::file::Options;
use crate::formats::frontend::Frontend;
use crate::http::auth::Authenticator;
use crate::http::tls::Tls;
use crate::http::{self, AppState, panics, server};
use crate::ingest::audit_table::{AuditTableSource, collect_audit_table};
use crate::ingest::follow::follow;
use crate::ingest::frontend::poll_frontend;
use crate::ingest::{Pipeline, note_token_uses, read_plans, run_retention, sum_hours};
use crate::store::{OpenError, Store, StoreError, is_address};
use crate::web::{self, LiveUpdates};

/// Where annals listens by default.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8130));

/// How long responses in flight may take after annals is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long the writer waits for another process that writes to the same file, before a push is rejected. Sources that
/// can wait try again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Serve the history over the HTTP interface of a Doris frontend, and as web pages
///
/// Imports what --import names, then serves until SIGINT or SIGTERM. Try it:
/// curl http://127.0.0.1:8130/rest/v1/session
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The address to listen on. Port 0 is any free port [default: 127.0.0.1:8130]
    #[arg(long, env = "ANNALS_LISTEN", value_name = "ADDR", value_parser = parse_listen)]
    listen: Option<SocketAddr>,
    /// Files and folders to import first, as `annals import` does
    #[arg(long, value_name = "PATH", num_args = 1.., value_parser = FileName)]
    import: Vec<PathBuf>,
    /// Audit logs to follow as they grow: names, or patterns with * and ?. The files that a log was rolled to are read
    /// first. A file may be missing until it is made
    #[arg(long, env = "ANNALS_FOLLOW", value_name = "PATH", num_args = 1.., value_delimiter = ',')]
    follow: Vec<String>,
    /// A frontend to poll, like http://user@host:8030. May be given again. The password is in
    /// ANNALS_FRONTEND_PASSWORD, or in the file that ANNALS_FRONTEND_PASSWORD_FILE names
    #[arg(long, env = "ANNALS_FRONTEND", value_name = "URL", value_delimiter = ',')]
    frontend: Vec<FrontendUrl>,
    /// An audit table to collect from, like mysql://user@host:9030, with more frontends of the cluster behind commas. May
    /// be given again; the variable takes several, with spaces between them. The password is in
    /// ANNALS_AUDIT_TABLE_PASSWORD, or in the file that ANNALS_AUDIT_TABLE_PASSWORD_FILE names
    #[arg(
        long,
        env = "ANNALS_AUDIT_TABLE",
        value_name = "URL",
        value_delimiter = ' ',
        hide_env_values = true
    )]
    audit_table: Vec<String>,
    /// The cluster of the sources of which the configuration names none, of pushes that name none in the header
    /// X-Annals-Cluster, and of what --import reads
    #[arg(long, env = "ANNALS_CLUSTER", value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// Serve with TLS: the certificate with its chain, in PEM form. SIGHUP reads it again
    #[arg(long, env = "ANNALS_TLS_CERT", value_name = "FILE", value_parser = FileName)]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM form
    #[arg(long, env = "ANNALS_TLS_KEY", value_name = "FILE", value_parser = FileName)]
    tls_key: Option<PathBuf>,
    /// Listen beyond this machine without users: everybody who reaches the address can read all SQL and all profiles,
    /// and push
    #[arg(long)]
    insecure_no_auth: bool,
    /// Check the configuration, and exit
    #[arg(long)]
    check_config: bool,
}

/// What to serve, and how.
struct Settings {
    config: Config,
    zone: Zone,
    listen: SocketAddr,
    import: Vec<PathBuf>,
    frontends: Vec<(Frontend, Duration)>,
    audit_tables: Vec<AuditTableSource>,
    tls: Option<Arc<Tls>>,
    users: Vec<Account>,
    insecure_no_auth: bool,
}

impl Settings {
    /// Returns the configuration with the command line over it. Fails if it cannot be used.
    fn new(args: ServeArgs) -> anyhow::Result<Settings> {
        let mut config = args.config.read()?;
        config.cluster = args.cluster.or(config.cluster);
        if !args.follow.is_empty() {
            config.follow = args.follow.into_iter().map(Into::into).collect();
        }
        if !args.frontend.is_empty() {
            config.frontend = args.frontend.into_iter().map(FrontendConfig::of_url).collect();
        }
        if config.follow.iter().any(|follow| follow.path.trim().is_empty()) {
            bail!(EMPTY_PATH);
        }
        if config.follow.iter().any(|follow| is_address(follow.path.as_ref())) {
            bail!("follow takes the names of files, and was given an address");
        }
        let zone = config.zone();
        let frontends = config
            .frontend
            .iter()
            .map(|frontend| Ok((frontend.frontend(&config)?, frontend.poll_interval())))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let audit_tables = config.audit_tables(&args.audit_table)?;
        let tls = tls(args.tls_cert, args.tls_key, &config)?;
        let settings = Settings {
            zone,
            listen: args.listen.or(config.listen).unwrap_or(DEFAULT_LISTEN),
            import: args.import,
            frontends,
            audit_tables,
            tls,
            users: config.user.iter().map(|user| user.0.clone()).collect(),
            insecure_no_auth: args.insecure_no_auth || config.insecure_no_auth.unwrap_or(false),
            config,
        };
        settings.config.db().check_bound(settings.config.retention.max_size)?;
        // A history that does not exist yet has no users and no tokens.
        if !settings.config.db().may_exist() {
            let has_users = !settings.users.is_empty() || settings.config.proxy_login.is_some();
            settings.check_exposure(has_users)?;
        }
        Ok(settings)
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    fn is_reachable(&self) -> bool {
        !self.listen.ip().is_loopback()
    }

    /// Fails as [`Settings::check_exposure`] does, with the users and tokens of the history.
    async fn check_stored_users(&self) -> anyhow::Result<()> {
        let db = self.config.db();
        if !self.is_reachable() || self.insecure_no_auth || !db.may_exist() {
            return Ok(());
        }
        let has_users = match Store::open_to_read(&db).await {
            Ok(store) => {
                let (users, proxy_login) = (self.users.clone(), self.config.proxy_login.clone());
                Authenticator::new(store, users, proxy_login).await?.is_enabled()
            }
            Err(OpenError::Empty(_)) => !self.users.is_empty() || self.config.proxy_login.is_some(),
            // Only annals serve changes the file, and finds its users then.
            Err(OpenError::Older(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.check_exposure(has_users)
    }

    /// Fails if other machines could read everything without a password.
    fn check_exposure(&self, has_users: bool) -> anyhow::Result<()> {
        if self.is_reachable() && !self.insecure_no_auth && !has_users {
            bail!(
                "{} can be reached from other machines, and annals has no users; add users with `annals user add`, \
                 listen on 127.0.0.1, or give --insecure-no-auth if everybody may read all SQL and all profiles",
                self.listen
            );
        }
        Ok(())
    }
}

/// Returns the certificate and its key, as the command line or the configuration names them; none if neither does.
fn tls(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    config: &Config,
) -> anyhow::Result<Option<Arc<Tls>>> {
    let (of_file, key_of_file) = (config.tls_cert.as_ref(), config.tls_key.as_ref());
    let of_file = of_file.filter(|_| certificate.is_none());
    let key_of_file = key_of_file.filter(|_| key.is_none());
    let certificate = certificate.or(of_file.map(|name| name.get_ref().clone()));
    let key = key.or(key_of_file.map(|name| name.get_ref().clone()));
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let tls = Tls::load(certificate, key).map_err(|error| {
                let setting = if error.is_of_key() { key_of_file } else { of_file };
                match setting {
                    Some(setting) => config.at(setting, error.into()),
                    None => error.into(),
                }
            });
            Ok(Some(Arc::new(tls?)))
        }
        (None, None) => Ok(None),
        _ => bail!("TLS needs both --tls-cert and --tls-key"),
    }
}

/// Prepares a thread that serves for a system clock that is set to before 1970 meanwhile.
pub fn prepare_thread() {
    http::date::prepare_thread();
}

/// Runs the command.
pub async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let is_check = args.check_config;
    let settings = Settings::new(args)?;
    if is_check {
        settings.config.db().check_writable()?;
        settings.check_stored_users().await?;
        print("the configuration is valid");
        return Ok(ExitCode::SUCCESS);
    }
    import::check_paths(&settings.import)?;
    if now_ms() < 0 {
        bail!("the system clock is before 1970; set it, then start annals");
    }
    panics::log_without_payload();
    raise_open_files();
    let mut stopped = Box::pin(stop_signal().context(SIGNALS)?);
    let (listener, address) = listen(settings.listen).await?;
    let store = Store::open(&settings.config.db()).await?;
    super::report_reparsed(&store);
    let (users, proxy_login) = (settings.users.clone(), settings.config.proxy_login.clone());
    let authenticator = Authenticator::new(store.clone(), users, proxy_login).await?;
    settings.check_exposure(authenticator.is_enabled())?;
    if !settings.import.is_empty() {
        tokio::select! {
            imported = import_first(&settings, &store) => imported?,
            // The thread that reads would go on. What is committed stays, and the next start imports the rest.
            () = &mut stopped => std::process::exit(0),
        }
    }
    let retention = settings.config.retention.clone();
    let writer = store.writer(BUSY_TIMEOUT, retention.max_size).await?;
    let exclusions = settings.config.exclude.clone();
    let defaults = (settings.zone, settings.config.cluster.clone());
    let pipeline = Arc::new(Pipeline::new(store.clone(), writer, exclusions, retention, defaults));
    let mut tasks = start_sources(&settings, &store, &pipeline);
    tasks.spawn(note_token_uses(pipeline.clone(), authenticator.token_uses()));
    let state = app_state(&settings, &store, &pipeline, authenticator)?;
    let (scheme, db) = (settings.scheme(), settings.config.db());
    write_bytes(format!("annals listens on {scheme}://{address} and serves {}\n", db).as_bytes())?;

    if let Some(tls) = &settings.tls {
        let hangup = signal(SignalKind::hangup()).context(SIGNALS)?;
        tasks.spawn(reload_certificate(tls.clone(), hangup));
    }
    notify_systemd(NotifyState::Ready);
    if let Some(timeout) = sd_notify::watchdog_enabled() {
        tasks.spawn(feed_watchdog(store.clone(), pipeline.clone(), timeout / 3));
    }
    let live = Arc::new(LiveUpdates::new(store.watch()?));
    tasks.spawn(live.clone().watch_store());
    let routes = web::routes(state.clone(), live.clone()).or(http::routes(state.clone()));
    // The streams of live pages have no end of their own.
    let stopped = async move {
        stopped.await;
        live.close();
    };
    server::serve(state, routes.boxed(), listener, settings.tls, stopped, GRACE).await;
    notify_systemd(NotifyState::Stopping);
    // What the sources have not sent yet, they read again after the next start.
    tasks.shutdown().await;
    pipeline.finish().await?;
    store.close().await.context(CLOSING)?;
    Ok(ExitCode::SUCCESS)
}

/// What failed if signals cannot be received.
const SIGNALS: &str = "cannot wait for signals";

/// Binds the address. Returns the listener with the address it has, whose port may be a free one.
async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let failed = || {
        format!(
            "cannot listen on {address}; is another program there? choose another address with --listen"
        )
    };
    let listener = TcpListener::bind(address).await.with_context(failed)?;
    let address = listener.local_addr().with_context(failed)?;
    Ok((listener, address))
}

/// Imports what --import names.
async fn import_first(settings: &Settings, store: &Store) -> anyhow::Result<()> {
    let options = Options { zone: settings.zone, encoding: None };
    let batch = import::batch(&settings.config);
    let report = import::import(store, settings.import.clone(), options, batch).await?;
    write_bytes(report.to_string().as_bytes())
}

/// Starts the tasks that fill the history, keep it within its bounds, and read what is stored.
fn start_sources(settings: &Settings, store: &Store, pipeline: &Arc<Pipeline>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let logs = settings.config.followed_logs();
    if !logs.is_empty() {
        tasks.spawn(follow(pipeline.clone(), store.clone(), logs));
    }
    for (frontend, interval) in settings.frontends.clone() {
        tasks.spawn(poll_frontend(pipeline.clone(), store.clone(), frontend, interval));
    }
    for table in settings.audit_tables.clone() {
        tasks.spawn(collect_audit_table(pipeline.clone(), store.clone(), table));
    }
    tasks.spawn(log_outages(store.clone()));
    // Without a bound, old labels go all the same.
    tasks.spawn(run_retention(pipeline.clone(), store.clone()));
    tasks.spawn(read_plans(pipeline.clone(), store.clone()));
    tasks.spawn(sum_hours(pipeline.clone(), store.clone()));
    tasks
}

/// Logs that the database does not answer, and that it answers again.
async fn log_outages(store: Store) {
    loop {
        let fault = store.until_away().await;
        tracing::error!("{fault}");
        store.until_back().await;
        tracing::warn!("the database answers again");
    }
}

/// Returns what the HTTP handlers share.
fn app_state(
    settings: &Settings,
    store: &Store,
    pipeline: &Arc<Pipeline>,
    authenticator: Authenticator,
) -> anyhow::Result<Arc<AppState>> {
    let state = AppState::new(
        store.clone(),
        pipeline.clone(),
        authenticator,
        settings.scheme(),
        settings.insecure_no_auth,
    )?;
    Ok(Arc::new(state))
}

/// Reads the certificate again on each SIGHUP, which programs that renew certificates send.
async fn reload_certificate(tls: Arc<Tls>, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        match tokio::task::block_in_place(|| tls.reload()) {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the certificate cannot be read again; annals keeps the one it has"
            ),
        }
    }
}

/// Notifies systemd if it started annals.
fn notify_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(error = &error as &dyn std::error::Error, "sd_notify failed");
    }
}

/// Notifies systemd's watchdog while the history can be read and the writer runs. Without notifications, systemd
/// restarts annals, which helps nobody while a database does not answer.
async fn feed_watchdog(store: Store, pipeline: Arc<Pipeline>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        match store.unless_away(store.accounts()).await {
            Ok(_) if pipeline.is_open() => notify_systemd(NotifyState::Watchdog),
            Err(StoreError::Unreachable(_)) if pipeline.is_open() => {
                notify_systemd(NotifyState::Watchdog);
            }
            _ if !pipeline.is_open() => tracing::error!("the writer has ended"),
            Ok(_) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "the history cannot be read");
            }
        }
    }
}

/// Raises the limit of open files to what the system allows: each connection takes one.
fn raise_open_files() {
    let allowed = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: allowed.maximum, maximum: allowed.maximum };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::debug!(error = &error as &dyn std::error::Error, "the open files stay limited");
    }
}

/// Waits for SIGINT or SIGTERM. A second signal ends the process at once, which loses nothing.
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
