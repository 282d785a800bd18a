//! The floor: the smallest relay that does the proxy's job at all.
//!
//! What lives here: one thread per direction, blocking reads and writes, no policy, no log. It tells what the kernel
//! and the machine cost, measured in the same run as the proxy; it is nothing to deploy.
//! What does not: anything a proxy owes its operator. Called by experiments.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::Protocol;
use crate::http::Head;
use crate::netns::Namespace;
use crate::origin::CHUNK;

/// A running floor relay, in this process, in another namespace.
#[derive(Debug)]
pub struct Floor {
    ns: Namespace,
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Floor {
    /// Starts relaying on `port` of `ns`.
    pub fn start(ns: &Namespace, port: u16) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let listener = ns.run(|| Protocol::Mptcp.listen(port))?.context("the floor cannot listen")?;
        // The accepting thread is started inside, for the threads it starts dial out from where they are.
        let accept = move || {
            for client in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                // A session that fails ends alone.
                let serve = move || drop(relay(client));
                if std::thread::Builder::new().name("floor".into()).stack_size(1 << 20).spawn(serve).is_err() {
                    break;
                }
            }
        };
        ns.run(move || std::thread::Builder::new().name("floor".into()).spawn(accept))?
            .context("cannot start the floor's thread")?;
        Ok(Self { ns: ns.clone(), port, stop })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // One more connection wakes the accepting thread; if it cannot be made, the thread is gone already.
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), self.port);
        drop(self.ns.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(1))));
    }
}

/// Serves one connection: a CONNECT, or one absolute-form request and whatever follows it to the same origin.
fn relay(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let Some(head) = Head::read(&mut client, Vec::new())? else { return Ok(()) };
    let words: Vec<_> = head.words().collect();
    let &[method, target, _] = &words[..] else { return Err(io::ErrorKind::InvalidData.into()) };
    let authority = target.strip_prefix("http://").map_or(target, |rest| rest.split('/').next().unwrap_or(rest));
    let mut origin = TcpStream::connect(authority)?;
    origin.set_nodelay(true)?;
    if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else {
        let text = head.text.replacen(&format!("http://{authority}"), "", 1);
        origin.write_all(format!("{text}\r\n\r\n").as_bytes())?;
    }
    origin.write_all(&head.rest)?;
    std::thread::scope(|scope| {
        scope.spawn(|| copy(&client, &origin));
        copy(&origin, &client)
    })
}

/// Copies until the end, and passes the end on.
fn copy(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let got = from.read(&mut buffer)?;
        if got == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&buffer[..got])?;
    }
}
