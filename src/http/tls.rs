//! The certificate of the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use tokio::sync::watch;

use crate::domain::time::now_ms;

/// A certificate and its key, which can be replaced while connections are open.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: watch::Sender<Arc<ServerConfig>>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{} cannot be read as a certificate in PEM form: {}", .0.display(), .1)]
    Certificate(PathBuf, rustls::pki_types::pem::Error),
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} cannot be read as a private key in PEM form: {}", .0.display(), .1)]
    Key(PathBuf, rustls::pki_types::pem::Error),
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl TlsError {
    /// Returns whether the file of the key is wrong, and not that of the certificate.
    pub(crate) fn is_of_key(&self) -> bool {
        matches!(self, TlsError::Key(..))
    }
}

impl Tls {
    /// Reads a certificate with its chain, and its key, both in PEM form. Errors if they cannot be read, or do not
    /// belong together.
    pub(crate) fn load(certificate: PathBuf, key: PathBuf) -> Result<Tls, TlsError> {
        let (current, _) = watch::channel(config(&certificate, &key)?);
        Ok(Tls { certificate, key, current })
    }

    /// Returns the certificate for a new connection.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.borrow().clone()
    }

    /// Reads both files again, for new connections. Errors as [`Tls::load`] does, and keeps the certificate from before.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        self.current.send_replace(config(&self.certificate, &self.key)?);
        Ok(())
    }
}

/// The system clock. That of rustls panics before 1970.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(now_ms()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |error| TlsError::Certificate(certificate.to_path_buf(), error);
    let chain = CertificateDer::pem_file_iter(certificate).map_err(unreadable)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.to_path_buf()));
    }
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::Key(key.to_path_buf(), error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(Clock))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, secret)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
