//! The proxy under test, a child process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::PATIENCE;

/// A running proxy; it is killed when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where its first listener listens.
    pub address: SocketAddr,
    child: Child,
    log: Arc<Mutex<String>>,
    directory: PathBuf,
}

impl Proxy {
    /// Starts `program` with a configuration file of this text, and waits until it listens.
    ///
    /// Shape:   `$DIR` in the text becomes a directory of its own, in which `files` are written first.
    /// Panics:  when it does not listen; its log is in the message.
    #[must_use]
    pub fn start(program: &str, config: &str, files: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("anabranch-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
        for (name, text) in files {
            std::fs::write(directory.join(name), text).expect("a new directory can be written");
        }
        let file = directory.join("anabranch.toml");
        let config = config.replace("$DIR", &directory.to_string_lossy());
        std::fs::write(&file, config).expect("a new directory can be written");
        let mut child = Command::new(program)
            .args(["run", "--config"])
            .arg(&file)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program under test was built with the tests");
        let log = Arc::new(Mutex::new(String::new()));
        let (listening, address) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if line.contains(" listening ")
                    && let Some(address) = line.split(" address=").nth(1).and_then(|rest| rest.split(' ').next())
                    && let Ok(address) = address.parse()
                {
                    // Only the first listener is waited for.
                    listening.send(address).unwrap_or_default();
                }
                let mut lines = lines.lock().expect("no holder panics");
                lines.push_str(&line);
                lines.push('\n');
            }
        });
        let address = address.recv_timeout(PATIENCE);
        let address = address.unwrap_or_else(|_| {
            panic!("the proxy does not listen:\n{}", log.lock().expect("no holder panics"));
        });
        Self { address, child, log, directory }
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("no holder panics").clone()
    }

    /// The most memory it has ever used.
    ///
    /// Units:   KiB
    /// Source:  proc_pid_status(5), `VmHWM`
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("proc_pid_status(5)");
        line.trim().trim_end_matches(" kB").parse().expect("proc_pid_status(5)")
    }

    /// Checks that it still runs and that nothing in it panicked.
    ///
    /// Panics:  when it does not or something did; its log is in the message.
    pub fn assert_healthy(&mut self) {
        let ended = self.child.try_wait().expect("our own child");
        let log = self.log();
        assert!(ended.is_none(), "the proxy ended: {ended:?}\n{log}");
        assert!(!log.contains("panicked"), "the proxy panicked:\n{log}");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Gone already, or killed now: either way nothing is left to do about an error.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
