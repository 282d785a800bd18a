//! Chromium: finds the proxy by its auto-configuration, by name and by WPAD, and a page of it measures a download.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::machine::Machine;
use crate::experiment::fallback::{WHOLE, name};
use crate::origin::Nginx;
use crate::proxy::{Proxy, ProxyConfig};

/// Debian's name of it.
const PROGRAM: &str = "chromium";
/// Without a screen, without a sandbox (root has none), and without talking to anybody of its own accord.
const ALONE: &str = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking \
                     --disable-component-update --disable-sync --no-first-run --timeout=60000";
/// Fetches without a copy on the disk, then hashes what came (FNV-1a): only the transfer is timed.
const PAGE: &str = "<!doctype html><body><script>
const request = new XMLHttpRequest();
request.open('GET', '/SIZE', false);
request.overrideMimeType('text/plain; charset=x-user-defined');
const before = performance.now();
request.send();
const took = performance.now() - before;
const text = request.responseText;
let hash = 0x811c9dc5;
for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ (text.charCodeAt(at) & 255), 0x01000193);
document.body.textContent = ['got', text.length, hash >>> 0, took].join(' ');
</script></body>
";

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

    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    fn fetch(&self, found: &str, size: u64) -> Result<f64> {
        let file = self.nginx.file(size);
        let page = file.with_file_name("page.html");
        std::fs::write(page, PAGE.replace("SIZE", &size.to_string())).context("cannot write the page")?;
        let hash = fnv1a(&std::fs::read(file)?);
        let before = self.proxy.access_log().len();
        let profile = self.machine.place("chromium");
        let url = format!("http://{}/page.html", self.machine.origin(self.nginx.port()));
        let line = format!(
            "exec {}{PROGRAM} {ALONE} --user-data-dir={} {found} --dump-dom {url}",
            self.how,
            profile.display()
        );
        let mut command = self.machine.topology.client.bound_command("timeout");
        command.args(["60", "sh", "-c", &line]).env("HOME", &profile).stdin(Stdio::null());
        let output = command.output().context("cannot start chromium")?;
        // What it leaves of itself is no file of the set-up's.
        drop(std::fs::remove_dir_all(&profile));
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = || format!("{}: {page:?} {}", output.status, String::from_utf8_lossy(&output.stderr));
        let (_, got) = page.split_once("got ").with_context(said)?;
        let got: Vec<f64> = got.split([' ', '<']).map_while(|word| word.trim().parse().ok()).collect();
        let [length, sum, took] = got[..] else { bail!("{}", said()) };
        ensure!((length, sum) == (size as f64, f64::from(hash)), "not what the origin sent: {page:?}");

        // The proxy carried it, and over MPTCP.
        let log = self.proxy.wait_access_log(before + 2, Duration::from_secs(5));
        let whole = |entry: &&Value| entry["bytes_to_client"].as_u64().is_some_and(|bytes| bytes >= size);
        let entry = log.iter().skip(before).find(whole).with_context(|| format!("not by the proxy: {log:?}"))?;
        ensure!(name(entry) == WHOLE, "not over MPTCP: {entry}");
        Ok(size as f64 * 8.0 / (took / 1000.0))
    }
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
