//! nginx as a real origin.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::netns::Namespace;
use crate::stream;

/// A running nginx that serves files of known content.
///
/// Shape: `/N` holds the first N bytes of the stream, for every N asked for at the start.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    directory: PathBuf,
    port: u16,
}

impl Nginx {
    /// Starts nginx on `port` of every address in `ns`, with one file for each of `sizes`; it ends with the calling
    /// thread at the latest.
    pub fn start(ns: &Namespace, port: u16, sizes: &[u64]) -> Result<Self> {
        let directory = crate::proxy::private_directory("nginx")?;
        let files = directory.join("files");
        fs::create_dir_all(&files).context("cannot make nginx's files")?;
        for &size in sizes {
            let mut file = fs::File::create(files.join(size.to_string())).context("cannot make a file")?;
            super::send_stream(&mut file, size).context("cannot fill a file")?;
        }
        let config = directory.join("nginx.conf");
        fs::write(&config, configuration(&directory, port)).context("cannot write nginx's configuration")?;
        let child = ns
            .bound_command("nginx")
            .args(["-e", "/dev/null", "-c"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start nginx")?;
        let this = Self { child, directory, port };
        let end = Instant::now() + Duration::from_secs(5);
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        while ns.run(|| TcpStream::connect(address))?.is_err() {
            if Instant::now() > end {
                bail!("nginx does not answer on port {port}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(this)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file of `size` bytes as it lies on disk.
    pub fn file(&self, size: u64) -> PathBuf {
        self.directory.join("files").join(size.to_string())
    }

    /// Whether `bytes` are what the file of `size` bytes holds.
    pub fn matches(size: u64, bytes: &[u8]) -> bool {
        let mut checker = stream::Checker::default();
        checker.push(bytes);
        checker.intact(size)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killing and reaping fail only when it is gone; a directory left behind in the temporary place is harmless.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn configuration(directory: &Path, port: u16) -> String {
    let d = directory.display();
    // One process, so that killing the child ends all of it; root, for in a user namespace there may be nobody else.
    format!(
        "user root; daemon off; master_process off; worker_processes 1; pid {d}/pid; error_log /dev/null;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; sendfile on; default_type application/octet-stream; keepalive_timeout 60;\n\
         client_body_temp_path {d}/t1; proxy_temp_path {d}/t2; fastcgi_temp_path {d}/t3; uwsgi_temp_path {d}/t4; \
         scgi_temp_path {d}/t5;\n\
         server {{ listen {port} backlog=4096; listen [::]:{port} backlog=4096; root {d}/files; }} }}\n"
    )
}
