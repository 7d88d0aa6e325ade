//! Starts real nodes, talks to them as a client would, and waits on conditions.

use farthing::testkit::Random;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a condition may take to become true: generous, because machines are shared.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How a node is started. Everything has a default; see [`Start::node`].
#[derive(Clone, Debug)]
pub struct Start {
    network: &'static str,
    port: u16,
    flags: Vec<String>,
    variables: Vec<(&'static str, String)>,
    is_bare: bool,
}

impl Default for Start {
    fn default() -> Self {
        Self { network: "dev", port: 0, flags: Vec::new(), variables: Vec::new(), is_bare: false }
    }
}

impl Start {
    /// A node of this network, `dev` unless said otherwise.
    pub fn network(mut self, network: &'static str) -> Self {
        self.network = network;
        self
    }

    /// A node on this port, a free one unless said otherwise.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// One more word on the command line.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// One more variable of its environment.
    pub fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Nothing on the command line but the flags that are given.
    pub fn bare(mut self) -> Self {
        self.is_bare = true;
        self
    }

    /// Starts a node in a new directory and waits until it answers.
    pub fn node(self) -> Node {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().to_owned();
        let mut node = self.node_in(&path);
        node.dir = Some(dir);
        node
    }

    /// Starts a node in `dir`, which outlives it, and waits until it answers.
    pub fn node_in(self, dir: &Path) -> Node {
        let mut child = self.command(dir).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        match address_from(stdout, dir, DEADLINE) {
            Some(port) => Node { child, port, dir: None, path: dir.to_owned(), start: self },
            None => {
                let status = child.wait().expect("the program ends");
                panic!("the node did not start ({status}); its log: {}", log_of(dir));
            }
        }
    }

    /// Starts the program where it is expected to end by itself; returns its status and all that
    /// it wrote to standard error.
    pub fn fails_in(self, dir: &Path) -> (ExitStatus, String) {
        let mut command = self.command(dir);
        let output = command.stderr(Stdio::piped()).output().expect("the program starts");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn command(&self, dir: &Path) -> Command {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("stderr.log"))
            .expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_farthing"));
        if !self.is_bare {
            command
                .args(["--port", &self.port.to_string(), "--network", self.network])
                .args(["--data-dir".as_ref(), dir.as_os_str()]);
        }
        command
            .args(&self.flags)
            .envs(self.variables.iter().cloned())
            .current_dir(dir)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        command
    }
}

/// The port in the first line that names the wallet page; `None` if there is none in time, or the
/// program ends without one. What the program says is kept beside its log in `dir`.
fn address_from(stdout: ChildStdout, dir: &Path, deadline: Duration) -> Option<u16> {
    let (found, port) = mpsc::channel();
    let mut said = File::options()
        .create(true)
        .append(true)
        .open(dir.join("stdout.log"))
        .expect("a file for what the program says");
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The directory may be gone with the test by now.
            let _ = writeln!(said, "{line}");
            if let Some((_, rest)) = line.split_once("http://") {
                let address = rest.split('/').next().unwrap_or_default();
                let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
                // The receiver has what it waited for once the first address is sent.
                let _ = found.send(port);
            }
        }
    });
    port.recv_timeout(deadline).ok().flatten()
}

fn log_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("stderr.log")).unwrap_or_default()
}

/// A running node; killed when dropped.
pub struct Node {
    child: Child,
    /// The port it listens on.
    pub port: u16,
    dir: Option<TempDir>,
    path: PathBuf,
    start: Start,
}

impl Node {
    /// A node of the `dev` network in a new directory.
    pub fn dev() -> Self {
        Start::default().node()
    }

    /// `127.0.0.1:port`, as peers name it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// One of its files, such as `blockchain`.
    pub fn file(&self, what: &str) -> PathBuf {
        self.path.join(format!("{what}-{}.txt", self.port))
    }

    /// What it has told its user, across all starts in its directory.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.path.join("stdout.log")).unwrap_or_default()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        log_of(&self.path)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// Ends it as Ctrl-C does and returns its status.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::INT);
        self.wait_for_end()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// Waits until the process has ended.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait("the process to end", || self.child.try_wait().expect("it can be waited for"))
    }

    /// Starts it again after it was killed or stopped: same directory, same port.
    pub fn restart(&mut self) {
        let start = Start { port: self.port, ..self.start.clone() };
        let mut again = start.node_in(&self.path);
        again.dir = self.dir.take();
        *self = again;
    }

    /// Starts it again after it was killed, and kills it once more after `moment`, whatever it is
    /// doing then. True if that was before it had begun to answer.
    pub fn die_starting(&mut self, moment: Duration) -> bool {
        let start = Start { port: self.port, ..self.start.clone() };
        self.child = start.command(&self.path).spawn().expect("the program starts");
        let stdout = self.child.stdout.take().expect("stdout is piped");
        let has_answered = address_from(stdout, &self.path, moment).is_some();
        self.kill();
        !has_answered
    }

    /// A way to it for threads of the test.
    pub fn client(&self) -> Client {
        Client::new(self.port)
    }

    /// Kills it and starts it again.
    pub fn restart_after_kill(&mut self) {
        self.kill();
        self.restart();
    }

    /// A request without a body.
    pub fn call(&self, method: &str, path: &str) -> Answer {
        self.request(method, path, None)
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, None)
    }

    /// `POST path` with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, Some(body.to_string()))
    }

    /// Any request; a body is sent as JSON.
    pub fn request(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        self.client().request(method, path, body).unwrap_or_else(|error| {
            panic!("{method} {path} failed: {error}; the node's log: {}", self.log())
        })
    }

    /// Creates a wallet and returns its address.
    pub fn create_wallet(&self) -> String {
        let answer = self.call("POST", "/wallet").expect(201);
        answer["public_key"].as_str().expect("an address").to_owned()
    }

    /// Creates a wallet, mines one block for it and returns its address.
    pub fn mine_for_a_wallet(&self) -> String {
        let address = self.create_wallet();
        self.mine();
        address
    }

    /// Mines one block and returns it.
    pub fn mine(&self) -> Value {
        self.call("POST", "/mine").expect(201)["block"].clone()
    }

    /// Pays `amount` coins (a JSON number) to `recipient`.
    pub fn send(&self, recipient: &str, amount: Value) -> Value {
        self.post("/transaction", &json!({"recipient": recipient, "amount": amount})).expect(201)
    }

    /// Adds a peer.
    pub fn add_peer(&self, peer: &Node) {
        self.post("/node", &json!({"node": peer.address()})).expect(201);
    }

    /// What the wallet can spend, in coins.
    pub fn funds(&self) -> f64 {
        self.get("/balance").expect(200)["funds"].as_f64().expect("a number")
    }

    /// `GET /status`.
    pub fn status(&self) -> Value {
        self.get("/status").expect(200)
    }

    /// The hash of its tip.
    pub fn tip(&self) -> String {
        self.status()["tip"].as_str().expect("a hash").to_owned()
    }

    /// The height of its tip.
    pub fn height(&self) -> u64 {
        self.status()["height"].as_u64().expect("a number")
    }

    /// The ids of its open transactions.
    pub fn open_transactions(&self) -> Vec<String> {
        let list = self.get("/transactions").expect(200);
        let ids = list.as_array().expect("an array").iter();
        ids.map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A way to a node that may be killed meanwhile.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
}

impl Client {
    /// A way to whatever listens on this port.
    pub fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(DEADLINE * 2))
            .proxy(None);
        Self { agent: config.build().into(), base: format!("http://127.0.0.1:{port}") }
    }

    /// Any request; a body is sent as JSON.
    ///
    /// # Errors
    /// No whole answer came.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Result<Answer, ureq::Error> {
        let url = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder().method(method).uri(url);
        let mut response = match body {
            Some(body) => self.agent.run(
                request.header("content-type", "application/json").body(body).expect("a request"),
            )?,
            None => self.agent.run(request.body(()).expect("a request"))?,
        };
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(1 << 30).read_to_string()?;
        Ok(Answer { status, text })
    }
}

/// Runs `farthing verify` on a block file of the `dev` network.
pub fn verify(file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing"));
    command.args(["verify".as_ref(), file.as_os_str()]).args(["--network", "dev"]);
    let dir = file.parent().expect("a file in a directory");
    command.current_dir(dir).env_remove("RUST_LOG").output().expect("the program starts")
}

/// A status and a text.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON, if the status is the expected one.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The stable code of a failure.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Waits until `condition` gives something.
pub fn wait<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_in_vain(condition).unwrap_or_else(|| panic!("waited {DEADLINE:?} in vain for {what}"))
}

/// Waits until `condition` gives something; `None` if it never does.
pub fn wait_in_vain<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        if let Some(found) = condition() {
            return Some(found);
        }
        // Not for a time that a test needs, only so as not to take the cores from the nodes.
        thread::park_timeout(Duration::from_millis(5));
    }
    None
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait(what, || condition().then_some(()));
}

/// The number in an environment variable, or this one: for runs longer than those of every commit.
pub fn number_from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// Numbers that look random and are the same for the same `FARTHING_SEED`, which is printed.
pub fn random(seed_otherwise: u64) -> Random {
    let seed = number_from_env("FARTHING_SEED", seed_otherwise);
    eprintln!("FARTHING_SEED={seed}");
    Random(seed)
}
