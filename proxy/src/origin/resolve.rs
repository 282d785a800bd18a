//! Which addresses has this name?
//!
//! Lives here: lookups of A and AAAA at the configured servers, their cache and their time limit. Does not live here:
//! whether the answers may be dialled (`origin::guard`) and in which order (`origin::connect`).
//! Invariant: the name is looked up as it stands. No search domain, no hosts file, no second spelling.
//!
//! Runs on the runtime that calls it; connections to servers are tasks of the runtime that first needed them, so a
//! resolver shared between runtimes must not outlive the first of them. One for each worker is the plain choice.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as Semantic, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::http::authority::DnsName;

/// Addresses of one family that are kept of an answer: more than that helps no client and is ours to dial.
const MAX_ADDRESSES: usize = 16;

/// All addresses of a name, in the order of the answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// At most 16.
    pub v4: Vec<Ipv4Addr>,
    /// At most 16.
    pub v6: Vec<Ipv6Addr>,
}

/// Why a name has no addresses for us.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DnsError {
    /// No server answered in time.
    #[error("dns lookup timed out")]
    Timeout,
    /// The name does not exist (NXDOMAIN).
    #[error("name does not exist")]
    NotFound,
    /// Every server answered with an error.
    #[error("dns server answered with response code {0}")]
    Failure(u16),
    /// No server could be asked.
    #[error("dns servers cannot be asked")]
    Transport(#[source] NetError),
}

impl DnsError {
    /// A bounded label for counters and logs.
    pub fn as_label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotFound => "not_found",
            Self::Failure(_) => "failure",
            Self::Transport(_) => "transport",
        }
    }

    /// The DNS response code, for the `rcode` parameter of Proxy-Status (RFC 9209 §2.3.2).
    pub fn rcode(&self) -> Option<u16> {
        match self {
            Self::NotFound => Some(ResponseCode::NXDomain.into()),
            Self::Failure(code) => Some(*code),
            Self::Timeout | Self::Transport(_) => None,
        }
    }
}

impl From<NetError> for DnsError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Timeout => Self::Timeout,
            NetError::Dns(Semantic::ResponseCode(code)) => Self::Failure(code.into()),
            NetError::Dns(Semantic::NoRecordsFound(none)) if none.response_code == ResponseCode::NXDomain => {
                Self::NotFound
            }
            NetError::Dns(Semantic::NoRecordsFound(none)) => Self::Failure(none.response_code.into()),
            other => Self::Transport(other),
        }
    }
}

/// The resolver could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// No server was given.
    #[error("no dns server")]
    NoServer,
    /// The resolver refused its settings.
    #[error("dns resolver cannot be built")]
    Build(#[source] NetError),
}

/// Asks the configured servers, over UDP and, where that fails or truncates, over TCP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Resolver {
    inner: TokioResolver,
    timeout: Duration,
}

impl Resolver {
    /// A resolver with an empty cache.
    ///
    /// Shape:   `cache_entries` counts answers (one for each name and family); TTLs are respected.
    /// Errors:  [`ResolverError`] - refuse the configuration.
    pub fn new(servers: &[SocketAddr], cache_entries: u64, timeout: Duration) -> Result<Self, ResolverError> {
        if servers.is_empty() {
            return Err(ResolverError::NoServer);
        }
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.cache_size = cache_entries;
        options.use_hosts_file = ResolveHosts::Never;
        options.try_tcp_on_error = true;
        // Two rounds fit into the time limit, which `limited` enforces over everything.
        options.timeout = timeout / 2;
        options.attempts = 1;
        let inner = builder.build().map_err(ResolverError::Build)?;
        Ok(Self { inner, timeout })
    }

    /// Looks up both families at once and waits for both.
    ///
    /// Errors:  [`DnsError`] - neither family has an address and at least one lookup failed. A name that exists
    ///          without addresses is `Ok` and empty.
    /// Cancel:  safe; what has arrived is cached.
    pub async fn lookup(&self, name: &DnsName) -> Result<Addresses, DnsError> {
        let (v6, v4) = tokio::join!(self.lookup_v6(name), self.lookup_v4(name));
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => Ok(Addresses { v4, v6 }),
            (Ok(v4), Err(_)) if !v4.is_empty() => Ok(Addresses { v4, v6: Vec::new() }),
            (Err(_), Ok(v6)) if !v6.is_empty() => Ok(Addresses { v4: Vec::new(), v6 }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    /// Looks up both families at once and hands out each as it comes (RFC 8305 §3).
    pub fn answers(&self, name: &DnsName) -> Answers {
        let (v6, v4) = ((self.clone(), name.clone()), (self.clone(), name.clone()));
        Answers::new(async move { v6.0.lookup_v6(&v6.1).await }, async move { v4.0.lookup_v4(&v4.1).await })
    }

    /// Looks up A. Empty: the name exists and has no such address.
    ///
    /// Errors:  [`DnsError`].
    pub async fn lookup_v4(&self, name: &DnsName) -> Result<Vec<Ipv4Addr>, DnsError> {
        self.records(name, RecordType::A, |data| if let RData::A(a) = data { Some(a.0) } else { None }).await
    }

    /// Looks up AAAA. Empty: the name exists and has no such address.
    ///
    /// Errors:  [`DnsError`].
    pub async fn lookup_v6(&self, name: &DnsName) -> Result<Vec<Ipv6Addr>, DnsError> {
        self.records(name, RecordType::AAAA, |data| if let RData::AAAA(a) = data { Some(a.0) } else { None }).await
    }

    async fn records<A: PartialEq>(
        &self,
        name: &DnsName,
        kind: RecordType,
        read: fn(&RData) -> Option<A>,
    ) -> Result<Vec<A>, DnsError> {
        // Parsed as ASCII: `DnsName` has done IDNA's refusals already. Fully qualified, so no search list is asked for.
        let mut fqdn = Name::from_ascii(name.as_str()).map_err(|error| DnsError::Transport(error.into()))?;
        fqdn.set_fqdn(true);
        let found = match tokio::time::timeout(self.timeout, self.inner.lookup(fqdn, kind)).await {
            Err(_elapsed) => return Err(DnsError::Timeout),
            Ok(Err(NetError::Dns(Semantic::NoRecordsFound(none)))) if none.response_code == ResponseCode::NoError => {
                return Ok(Vec::new());
            }
            Ok(result) => result?,
        };
        let mut addresses = Vec::new();
        for address in found.answers().iter().filter_map(|record| read(&record.data)) {
            if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }
}

/// What one lookup said.
#[derive(Debug)]
pub enum Answer {
    /// The AAAA lookup.
    V6(Result<Vec<Ipv6Addr>, DnsError>),
    /// The A lookup.
    V4(Result<Vec<Ipv4Addr>, DnsError>),
}

type Pending<A> = Option<Pin<Box<dyn Future<Output = Result<Vec<A>, DnsError>> + Send>>>;

/// Two lookups under way.
pub struct Answers {
    v6: Pending<Ipv6Addr>,
    v4: Pending<Ipv4Addr>,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (v6, v4) = (self.v6.is_some(), self.v4.is_some());
        f.debug_struct("Answers").field("v6_pending", &v6).field("v4_pending", &v4).finish()
    }
}

impl Answers {
    /// Of two lookups.
    pub(crate) fn new(
        v6: impl Future<Output = Result<Vec<Ipv6Addr>, DnsError>> + Send + 'static,
        v4: impl Future<Output = Result<Vec<Ipv4Addr>, DnsError>> + Send + 'static,
    ) -> Self {
        Self { v6: Some(Box::pin(v6)), v4: Some(Box::pin(v4)) }
    }

    /// Whether both have been handed out.
    pub fn is_done(&self) -> bool {
        self.v6.is_none() && self.v4.is_none()
    }

    /// Whether the AAAA lookup is still under way.
    pub fn awaits_v6(&self) -> bool {
        self.v6.is_some()
    }

    /// The next answer, AAAA first where both are there; `None` once both have been handed out.
    ///
    /// Cancel:  safe; the lookups go on with the next call.
    pub async fn next(&mut self) -> Option<Answer> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        if let Some(lookup) = &mut self.v6
            && let Poll::Ready(result) = lookup.as_mut().poll(cx)
        {
            self.v6 = None;
            return Poll::Ready(Some(Answer::V6(result)));
        }
        if let Some(lookup) = &mut self.v4
            && let Poll::Ready(result) = lookup.as_mut().poll(cx)
        {
            self.v4 = None;
            return Poll::Ready(Some(Answer::V4(result)));
        }
        if self.is_done() { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[cfg(test)]
pub(crate) mod tests;
