//! `annals serve`: serves the history over REST.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::import::{self, ImportError};
use super::{Database, TimeZone};
use crate::rest::{self, History};
use crate::store::{OpenError, Store};

/// How long answers in flight may take to finish once annals is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serve the history over the REST interface of a Doris frontend
///
/// Takes in first what --import names, then serves until SIGINT or SIGTERM. Try it:
/// curl http://127.0.0.1:8130/rest/v1/session
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    database: Database,
    /// The address to listen on; port 0 takes any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8130")]
    listen: SocketAddr,
    /// Files and folders to take in first, as `annals import` does
    #[arg(long, value_name = "PATH", num_args = 1..)]
    import: Vec<PathBuf>,
    #[command(flatten)]
    time_zone: TimeZone,
    /// Listen beyond this machine though annals asks nobody who they are: whoever reaches the address
    /// reads all SQL and all profiles
    #[arg(long)]
    insecure_no_auth: bool,
}

/// Why annals does not serve.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ServeError {
    #[error(
        "{0} can be reached from other machines, and annals asks nobody who they are; listen on \
         127.0.0.1, or say --insecure-no-auth if everybody may read all SQL and all profiles"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on {0}; is another program there? choose another address with --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    #[error("the history could not be closed")]
    Close(#[source] sqlx::Error),
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

/// Runs the command.
pub async fn run(args: ServeArgs) -> Result<ExitCode, ServeError> {
    if !args.listen.ip().is_loopback() && !args.insecure_no_auth {
        return Err(ServeError::NotLoopback(args.listen));
    }
    import::check_paths(&args.import)?;
    let stopped = stop_signal().map_err(ServeError::Signals)?;
    let cannot_listen = |error| ServeError::Listen(args.listen, error);
    let listener = TcpListener::bind(args.listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let store = Store::open(&args.database.db).await?;
    let zone = args.time_zone.zone();
    let mut output = std::io::stdout();
    if !args.import.is_empty() {
        let report = import::import(&store, args.import, zone).await?;
        write!(output, "{report}").map_err(ServeError::Output)?;
    }
    let file = args.database.db.display();
    writeln!(output, "annals listens on http://{address} and serves {file}")
        .and_then(|()| output.flush())
        .map_err(ServeError::Output)?;

    let history = Arc::new(History { store, zone });
    let (stopping, told) = tokio::sync::oneshot::channel();
    let server = warp::serve(rest::routes(history.clone())).incoming(listener).graceful(async {
        stopped.await;
        // Nobody listens only where the server has ended by itself.
        let _ = stopping.send(());
    });
    tokio::select! {
        () = server.run() => {}
        () = async {
            let _ = told.await;
            tokio::time::sleep(GRACE).await;
        } => tracing::warn!("some answers took longer than {} s and were ended", GRACE.as_secs()),
    }
    history.store.close().await.map_err(ServeError::Close)?;
    Ok(ExitCode::SUCCESS)
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
