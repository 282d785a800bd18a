//! The binary as a child process, with its directory, its log and its control socket.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{PATIENCE, eventually};

/// The binary built from this tree: made up to date once a run, so that no test judges an old one.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().expect("a running process has a path");
        let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "anabranch", "--bin", "anabranch"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
        assert!(built.success(), "the binary cannot be built");
        profile.join("anabranch")
    })
}

/// A directory that is gone with the test.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ab-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory in the temporary one");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file in our own directory");
    }

    /// Puts a file in the place of another, as editors and package managers do.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let new = format!("{name}.new");
        self.write(&new, text);
        std::fs::rename(self.path(&new), self.path(name)).expect("a rename in our own directory");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// How the process ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    pub(crate) out: String,
}

impl Exit {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

/// How to start it.
pub(crate) struct Start {
    pub(crate) dir: Arc<Scratch>,
    command: Command,
}

impl Start {
    /// `sections` complete a file that allows origins on loopback and has its control socket in the directory.
    pub(crate) fn new(sections: &str) -> Self {
        Self::within(Arc::new(Scratch::new()), sections)
    }

    pub(crate) fn within(dir: Arc<Scratch>, sections: &str) -> Self {
        dir.write("anabranch.toml", &complete(sections));
        let command = Command::new(binary());
        Self { dir, command }.arguments()
    }

    /// The binary behind another program that sets something up and then becomes it.
    pub(crate) fn behind(sections: &str, program: &str, arguments: &[&str]) -> Self {
        let dir = Arc::new(Scratch::new());
        dir.write("anabranch.toml", &complete(sections));
        let mut command = Command::new(program);
        command.args(arguments).arg(binary());
        Self { dir, command }.arguments()
    }

    fn arguments(mut self) -> Self {
        self.command.arg("run").arg("--config").arg(self.dir.path("anabranch.toml"));
        self.command.env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS").env_remove("LISTEN_PID");
        self
    }

    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts and waits until it serves.
    pub(crate) fn run(self) -> Proxy {
        let mut proxy = self.launch();
        eventually("the process serves", || {
            if proxy.child.try_wait().expect("our own child").is_some() {
                panic!("ended at start:\n{}", proxy.log());
            }
            {
                let log = proxy.log();
                log.contains(" ready\n") || log.contains("\"ready\"")
            }
        });
        proxy
    }

    /// Starts and waits for its end: for starts that must fail.
    pub(crate) fn fail(self) -> Exit {
        self.launch().wait()
    }

    fn launch(mut self) -> Proxy {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the binary starts");
        let log = Lines::collect_errors(child.stderr.take().expect("piped above"));
        let out = Lines::collect_output(child.stdout.take().expect("piped above"));
        Proxy { dir: self.dir, child, log, out }
    }
}

fn complete(sections: &str) -> String {
    let mut file = String::from("[control]\nsocket = \"control.sock\"\n");
    for (section, text) in [("[origin]", "allow = [\"127.0.0.0/8\"]"), ("[process]", "workers = 2")] {
        if !sections.contains(section) {
            file.push_str(&format!("{section}\n{text}\n"));
        }
    }
    file.push_str(sections);
    file
}

/// What a stream of the child has said so far.
#[derive(Clone)]
struct Lines(Arc<Mutex<String>>, Arc<Mutex<Option<std::thread::JoinHandle<()>>>>);

impl Lines {
    fn collect_errors(stream: ChildStderr) -> Self {
        Self::collect(stream)
    }

    fn collect_output(stream: ChildStdout) -> Self {
        Self::collect(stream)
    }

    fn collect(stream: impl std::io::Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let kept = text.clone();
        let thread = std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                kept.lock().expect("no panic under this lock").push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self(text, Arc::new(Mutex::new(Some(thread))))
    }

    fn read(&self) -> String {
        self.0.lock().expect("no panic under this lock").clone()
    }

    /// Everything, once the child has ended.
    fn whole(&self) -> String {
        if let Some(thread) = self.1.lock().expect("no panic under this lock").take() {
            thread.join().expect("the collector does not panic");
        }
        self.read()
    }
}

/// A running anabranch; killed with the test.
pub(crate) struct Proxy {
    pub(crate) dir: Arc<Scratch>,
    child: Child,
    log: Lines,
    out: Lines,
}

impl Proxy {
    pub(crate) fn start(sections: &str) -> Self {
        Start::new(sections).run()
    }

    /// Everything on standard error so far: what it says about itself.
    pub(crate) fn log(&self) -> String {
        self.log.read()
    }

    /// Waits until it has said something: what it writes takes a moment to come through the pipe.
    pub(crate) fn says(&self, text: &str) {
        eventually(&format!("it says {text:?}\n{}", self.log()), || self.log().contains(text));
    }

    /// Everything on standard output so far: a line a request.
    pub(crate) fn out(&self) -> String {
        self.out.read()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("our own child");
    }

    /// Where a listener is open now, as `status` says.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.find(listener).unwrap_or_else(|| panic!("no listener {listener}: {}", self.status()))
    }

    pub(crate) fn find(&self, listener: &str) -> Option<SocketAddr> {
        let status = self.status();
        let listeners = status["listeners"].as_array().expect("a list").clone();
        let found = listeners.into_iter().find(|open| open["name"] == listener)?;
        Some(found["address"].as_str().expect("a string").parse().expect("an address"))
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.dir.path("control.sock")
    }

    pub(crate) fn status(&self) -> Value {
        let (status, body) = ask(&self.control(), "GET", "/status");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// A counter by its exposition name; 0 before its first event.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.status()["counters"][name].as_u64().unwrap_or(0)
    }

    pub(crate) fn reloads(&self, result: &str) -> u64 {
        self.counter(&format!("anabranch_reloads_total{{reason=\"{result}\"}}"))
    }

    /// Writes the file anew in one step, as an editor does; the watcher or SIGHUP brings it in.
    pub(crate) fn rewrite(&self, sections: &str) {
        self.dir.replace("anabranch.toml", &complete(sections));
    }

    /// Rewrites the file and reloads; returns once the expected result has been counted.
    ///
    /// The watcher may answer the same change a second time; that one finds nothing new, or refuses again.
    pub(crate) fn reload(&self, sections: &str, expected: &str) {
        self.rewrite(sections);
        self.hang_up(expected);
    }

    pub(crate) fn hang_up(&self, expected: &str) {
        let before = self.reloads(expected);
        self.signal(Signal::SIGHUP);
        eventually(&format!("a reload is {expected}\n{}", self.log()), || self.reloads(expected) > before);
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> Exit {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "still runs:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        Exit { status, log: self.log.whole(), out: self.out.whole() }
    }

    /// Asks it to stop and waits.
    pub(crate) fn stop(self) -> Exit {
        self.signal(Signal::SIGTERM);
        self.wait()
    }
}

impl Proxy {
    /// Ends whoever took over from it: nobody's child, it would outlive a test that fails.
    fn end_successors(&self) {
        let log = self.log();
        let numbers = log.lines().filter_map(|line| line.split_once("has taken over process=")?.1.trim().parse().ok());
        // Already gone is as good.
        numbers.for_each(|number| kill(Pid::from_raw(number), Signal::SIGKILL).unwrap_or_default());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Already gone is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            self.end_successors();
            let out = self.out();
            let tail: Vec<_> = out.lines().rev().take(10).collect();
            eprintln!(
                "--- log of the process\n{}--- end of its access log, last line first\n{}\n---",
                self.log(),
                tail.join("\n")
            );
        }
    }
}

/// One question over a control socket: status and body. An empty answer is status 0.
pub(crate) fn ask(socket: &Path, method: &str, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).expect("the control socket is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it reads the question");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}
