//! A listener as configured now: who may come in, and how they get out. Immutable; a reload makes a new one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anabranch_config::{Config, Listener, Tls};
use parking_lot::Mutex;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::http::authority::Target;
use crate::http::credentials::Credentials;
pub use crate::http::credentials::CredentialsError;
use crate::http::via::Pseudonym;
use crate::origin::connect::{Connector, Sources};
use crate::origin::guard::Guard;
use crate::origin::own::Outgoing;
use crate::origin::pool::Key;
use crate::origin::resolve::{Resolver, ResolverError};

/// A listener's rules, and everything a session needs to follow them.
pub struct Door {
    /// The configuration it was made from.
    pub config: Arc<Config>,
    /// Its own section.
    pub listener: Listener,
    /// Dials its origins.
    pub connector: Connector,
    /// Our name in `Via` and `Proxy-Status`: the configured one, made unique so that a loop is told from a chain.
    pub(crate) pseudonym: Pseudonym,
    /// Counts doors: connections kept under older rules are not used again.
    generation: u64,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) credentials: Option<Arc<Credentials>>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("listener", &self.listener)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// Which kept connections may serve a target here.
    pub(crate) fn key(&self, target: &Target) -> Key {
        Key { listener: self.listener.name.clone(), rules: self.generation, target: target.clone() }
    }
}

/// A door that cannot be made.
#[derive(Debug, Error)]
pub enum DoorError {
    /// The credentials file is missing or wrong.
    #[error("listener {listener}")]
    Credentials {
        /// The listener.
        listener: String,
        /// What is wrong with it.
        #[source]
        source: CredentialsError,
    },
    /// Certificate or key cannot be used.
    #[error("listener {listener}: {what} {}", .path.display())]
    Tls {
        /// The listener.
        listener: String,
        /// What was wanted of the file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The resolver refused its settings.
    #[error("resolver")]
    Resolver(#[source] ResolverError),
}

/// What all doors of one configuration share.
#[derive(Debug)]
pub struct Hinges {
    resolver: Resolver,
    outgoing: Arc<Outgoing>,
    instance: u32,
    credentials: Mutex<HashMap<PathBuf, Arc<Credentials>>>,
}

impl Hinges {
    /// Builds the resolver; its cache lives as long as these. `instance` tells this process from every other of the same pseudonym.
    ///
    /// Errors: [`DoorError::Resolver`].
    pub fn new(config: &Config, outgoing: &Arc<Outgoing>, instance: u32) -> Result<Self, DoorError> {
        let servers = servers(config);
        let resolver = Resolver::new(&servers, config.resolver.cache.into(), config.timeouts.dns);
        Ok(Self {
            resolver: resolver.map_err(DoorError::Resolver)?,
            outgoing: outgoing.clone(),
            instance,
            credentials: Mutex::default(),
        })
    }

    /// The credentials of a file; while it does not change they are the same ones.
    fn credentials(&self, path: &Path) -> Result<Arc<Credentials>, CredentialsError> {
        let mut known = self.credentials.lock();
        let credentials = match known.get(path) {
            Some(former) => Credentials::read_again(former, path)?,
            None => Arc::new(Credentials::read(path)?),
        };
        known.insert(path.to_owned(), credentials.clone());
        Ok(credentials)
    }

    /// Makes the door of every listener. `own` are the addresses of this machine, `generation` is new for every call.
    ///
    /// Errors: the first [`DoorError`]; nothing has changed then.
    pub fn doors(&self, config: &Arc<Config>, own: &[IpAddr], generation: u64) -> Result<Vec<Arc<Door>>, DoorError> {
        let allow = config.origin.allow.iter().map(|allow| (allow.prefix.net(), allow.port)).collect();
        let guard = Arc::new(Guard::new(allow, own.iter().copied()));
        let door = |listener: &Listener| {
            let connector = Connector {
                guard: guard.clone(),
                resolver: self.resolver.clone(),
                outgoing: self.outgoing.clone(),
                sources: Sources { v4: listener.source.v4, v6: listener.source.v6 },
                connect_timeout: config.timeouts.connect,
            };
            let credentials = listener.credentials.as_deref().map(|path| self.credentials(path)).transpose();
            let credentials =
                credentials.map_err(|source| DoorError::Credentials { listener: listener.name.to_string(), source })?;
            let tls = listener.tls.as_ref().map(|tls| acceptor(&listener.name, tls)).transpose()?;
            let pseudonym = Pseudonym::new(format!("{}-{:08x}", config.http.pseudonym, self.instance))
                .expect("the configured name is a token");
            let (config, listener) = (config.clone(), listener.clone());
            Ok(Arc::new(Door { config, listener, connector, pseudonym, generation, tls, credentials }))
        };
        config.listeners.iter().map(door).collect()
    }
}

/// The name servers of a configuration: its own, or the system's.
pub(crate) fn servers(config: &Config) -> Vec<SocketAddr> {
    if config.resolver.servers.is_empty() {
        system_servers(Path::new("/etc/resolv.conf"))
    } else {
        config.resolver.servers.clone()
    }
}

/// The servers of resolv.conf(5); without any, the one on this machine, as resolv.conf(5) has it.
fn system_servers(file: &Path) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let parsed = lines.filter_map(|rest| rest.split('%').next()?.trim().parse::<IpAddr>().ok());
    let servers: Vec<_> = parsed.map(|address| SocketAddr::new(address, 53)).collect();
    if servers.is_empty() { vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))] } else { servers }
}

fn acceptor(listener: &anabranch_config::Name, tls: &Tls) -> Result<TlsAcceptor, DoorError> {
    let fail = |what, path: &Path, source: Box<dyn std::error::Error + Send + Sync>| DoorError::Tls {
        listener: listener.to_string(),
        what,
        path: path.to_owned(),
        source,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&tls.certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| fail("no certificate chain in", &tls.certificate, error.into()))?;
    let key =
        PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| fail("no private key in", &tls.key, error.into()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| fail("no usable pair with key", &tls.key, error.into()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_names_the_servers_and_a_missing_one_means_this_machine() {
        let file = std::env::temp_dir().join(format!("anabranch-resolv-{}", std::process::id()));
        std::fs::write(&file, "# x\nnameserver 192.0.2.53\nsearch example\n nameserver fe80::1%eth0\nnameserver x\n")
            .unwrap();
        let servers = system_servers(&file);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(servers, ["192.0.2.53:53".parse().unwrap(), "[fe80::1]:53".parse().unwrap()]);
        assert_eq!(system_servers(&file), ["127.0.0.1:53".parse().unwrap()]);
    }
}
