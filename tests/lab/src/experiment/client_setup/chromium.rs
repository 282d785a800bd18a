//! Chromium: finds the proxy by its auto-configuration, by name and by WPAD, and saves a file.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};

use super::machine::Machine;
use crate::experiment::fallback::{WHOLE, name};
use crate::origin::Nginx;
use crate::proxy::{Proxy, ProxyConfig};

/// Debian's name of it.
const PROGRAM: &str = "chromium";
/// Without a screen, without a sandbox (root has none), and without talking to anybody of its own accord.
const ALONE: &str = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking \
                     --disable-component-update --disable-sync --no-first-run";
/// How long a download may take, beginning with the program's start.
const PATIENCE: Duration = Duration::from_secs(60);

/// The proxy's configuration, with a second listener where browsers look for `wpad`.
pub(super) fn configuration() -> ProxyConfig {
    let clients = ProxyConfig::default().networks.iter().map(|net| format!("{net:?}")).collect::<Vec<_>>().join(", ");
    let extra = format!("[[listener]]\nname = \"wpad\"\naddress = \"[::]:80\"\nclients = [{clients}]\n");
    ProxyConfig { extra, ..ProxyConfig::default() }
}

/// Whether it is here.
pub(super) fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(PROGRAM).is_file())
}

/// A download by it.
pub(super) struct Download<'a> {
    pub(super) machine: &'a Machine,
    pub(super) proxy: &'a Proxy,
    pub(super) nginx: &'a Nginx,
    /// What stands before the program's name.
    pub(super) how: &'a str,
}

impl Download<'_> {
    /// What it brings of a file of `size` bytes, each round through the auto-configuration by its URL; before, a small one by WPAD.
    ///
    /// Units: bit/s.
    pub(super) fn measure(&self, small: u64, size: u64, rounds: usize) -> Result<Vec<f64>> {
        let edge: SocketAddr = self.machine.proxy().parse().context("the proxy's address")?;
        let wpad = format!("--proxy-auto-detect --host-resolver-rules='MAP wpad {}'", edge.ip());
        let named = format!("--proxy-pac-url=http://{edge}/proxy.pac");
        self.fetch(&wpad, small).context("by WPAD")?;
        (0..rounds).map(|_| self.fetch(&named, size)).collect()
    }

    fn fetch(&self, found: &str, size: u64) -> Result<f64> {
        let before = self.proxy.access_log().len();
        let home = self.machine.place("chromium");
        let got = self.download(&home, found, size);
        // What it leaves of itself is no file of the set-up's.
        drop(std::fs::remove_dir_all(&home));
        let end = got?;
        // The proxy carried it, and over MPTCP; from when it was asked until the last byte was on the disk.
        let log = self.proxy.wait_access_log(before + 2, Duration::from_secs(5));
        let whole = |entry: &&Value| entry["bytes_to_client"].as_u64().is_some_and(|bytes| bytes >= size);
        let entry = log.iter().skip(before).find(whole).with_context(|| format!("not by the proxy: {log:?}"))?;
        ensure!(name(entry) == WHOLE, "not over MPTCP: {entry}");
        let began = entry["time"].as_str().and_then(of_day).with_context(|| format!("no time: {entry}"))?;
        #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        Ok(size as f64 * 8.0 / (end - began).rem_euclid(DAY))
    }

    /// Starts it on the file's address, which it saves; when that was done.
    ///
    /// Units: s of the day.
    fn download(&self, home: &Path, found: &str, size: u64) -> Result<f64> {
        let [files, orders, said] = ["files", "orders", "said"].map(|name| home.join(name));
        std::fs::create_dir_all(&files).context("cannot make a place for downloads")?;
        mkfifo(&orders, Mode::S_IRWXU).context("cannot make a pipe")?;
        let url = format!("http://{}/{size}", self.machine.origin(self.nginx.port()));
        let line = format!(
            "exec {}{PROGRAM} {ALONE} --user-data-dir={} {found} --remote-debugging-pipe 3<{} 4>/dev/null",
            self.how,
            home.join("profile").display(),
            orders.display()
        );
        let mut command = self.machine.topology.client.bound_command("sh");
        command.args(["-c", &line]).env("HOME", home).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(std::fs::File::create(&said)?).spawn().context("cannot start chromium")?;
        // Without a screen it saves nothing by itself. It ends when the pipe does.
        let mut pipe = OpenOptions::new().write(true).open(&orders).context("cannot open the pipe")?;
        for (method, parameters) in [
            ("Browser.setDownloadBehavior", json!({"behavior": "allow", "downloadPath": files})),
            ("Target.createTarget", json!({"url": url})),
        ] {
            write!(pipe, "{}\0", json!({"id": 1, "method": method, "params": parameters})).context("cannot order")?;
        }
        let file = files.join(size.to_string());
        let end = Instant::now() + PATIENCE;
        // It has the name when it is whole.
        while !file.is_file() && Instant::now() < end && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(pipe);
        kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM).ok();
        child.wait()?;
        ensure!(file.is_file(), "saved nothing: {}", std::fs::read_to_string(&said)?);
        ensure!(std::fs::read(&file)? == std::fs::read(self.nginx.file(size))?, "not what the origin sent");
        let written = std::fs::metadata(&file)?.modified()?.duration_since(std::time::UNIX_EPOCH)?;
        Ok(written.as_secs_f64().rem_euclid(DAY))
    }
}

const DAY: f64 = 86_400.0;

/// The time of day in a time as RFC 3339 has it.
fn of_day(time: &str) -> Option<f64> {
    let (_, clock) = time.trim_end_matches('Z').split_once('T')?;
    clock.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}
