//! The program under test: its configuration, its process, its HTTP port, its metrics.

use std::fs;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::broker::Broker;
use super::secure::SecureBroker;
use super::wait::{PATIENCE, free_port, unique, wait_until};

/// The configuration of one trailtag: what a test does not [`set`](Settings::set) has the program's default.
#[derive(Clone)]
pub(crate) struct Settings(Value);

impl Settings {
    /// Reads `input` as `group`, writes findings to `output` and dead letters to `dead_letters`, with one worker. The
    /// transactional id is derived from the group, so that processes of one group that live at the same time must each
    /// set another `/delivery/transactional_id_prefix`.
    pub(crate) fn new(
        broker: &Broker,
        group: &str,
        input: &str,
        output: &str,
        dead_letters: &str,
    ) -> Self {
        let bootstrap: Vec<&str> = broker.bootstrap().split(',').collect();
        Self(json!({
            "kafka": {"bootstrap_servers": bootstrap, "group_id": group, "topics": [input]},
            "delivery": {"transactional_id_prefix": format!("{group}-t")},
            "workers": 1,
            "routes": [{"name": "findings", "topic": output}],
            "dead_letter": {"topic": dead_letters},
            // Only tests of sequences have a topic for their steps.
            "sequences": {"topic": ""},
        }))
    }

    /// Sets what `pointer` names: keys with a slash before each, such as `/delivery/linger`. Numbers are places in a list.
    pub(crate) fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut place = &mut self.0;
        for key in pointer.split('/').skip(1) {
            place = match (place, key.parse::<usize>()) {
                (Value::Array(list), Ok(index)) => &mut list[index],
                (place, _) => &mut place[key],
            };
        }
        *place = value.into();
        self
    }

    /// Logs in to a [`SecureBroker`].
    pub(crate) fn login(self, broker: &SecureBroker, user: &str, password: &str) -> Self {
        let sasl = json!({"mechanism": "scram-sha-512", "username": user, "password": password});
        let tls = json!({"ca_file": broker.ca_file()});
        self.set(
            "/kafka/security",
            json!({"protocol": "sasl_ssl", "sasl": sasl, "tls": tls}),
        )
    }

    /// Writes the file into a folder, and gives its path.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join(unique("trailtag") + ".yaml");
        fs::write(&file, self.yaml()).unwrap();
        file
    }

    /// The file's text: JSON, which is YAML.
    pub(crate) fn yaml(&self) -> String {
        serde_json::to_string_pretty(&self.0).unwrap()
    }
}

/// A running `trailtag run`. It is killed when dropped.
pub(crate) struct Trailtag {
    process: Process,
    address: SocketAddr,
    /// Holds the configuration file, where it is ours.
    _files: Option<TempDir>,
}

impl Trailtag {
    /// A command of the program, which sees none of the settings in the tests' own environment.
    pub(crate) fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trailtag"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TRAILTAG__") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Starts the program, on an HTTP port of its own.
    pub(crate) fn start(settings: &Settings) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let files = tempfile::tempdir().unwrap();
        let config = settings
            .clone()
            .set("/http/listen", address.to_string())
            .write(files.path());
        let mut command = Self::command();
        command.arg("run").arg("--config").arg(config);
        Self {
            process: Process::start(command),
            address,
            _files: Some(files),
        }
    }

    /// Watches a service that a command starts and that serves its pages at `address`.
    pub(crate) fn watch(command: Command, address: SocketAddr) -> Self {
        Self {
            process: Process::start(command),
            address,
            _files: None,
        }
    }

    /// Waits until `/readyz` says yes: the group is joined.
    pub(crate) fn wait_ready(&mut self) {
        wait_until(PATIENCE, "trailtag is ready", || {
            if let Some(status) = self.process.exited() {
                panic!(
                    "trailtag ended ({status}) before it was ready; its log:\n{}",
                    self.process.log()
                );
            }
            match self.try_http("/readyz") {
                Ok((200, _)) => Ok(()),
                seen => Err(format!("{seen:?}; its log:\n{}", self.process.log())),
            }
        });
    }

    /// Waits until `/readyz` says no: with a text that begins so and contains that.
    pub(crate) fn wait_unready(&self, begins: &str, contains: &str) -> String {
        let what = format!("/readyz says `{begins}…{contains}`");
        wait_until(PATIENCE, &what, || match self.try_http("/readyz") {
            Ok((503, text)) if text.starts_with(begins) && text.contains(contains) => Ok(text),
            seen => Err(format!("{seen:?}; its log:\n{}", self.process.log())),
        })
    }

    /// Where its pages are.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gets a page: its status and its text.
    pub(crate) fn http(&self, path: &str) -> (u16, String) {
        self.try_http(path)
            .unwrap_or_else(|error| panic!("GET {path}: {error}; its log:\n{}", self.process.log()))
    }

    /// As [`Trailtag::http`], where the program may not answer.
    pub(crate) fn try_http(&self, path: &str) -> io::Result<(u16, String)> {
        get(self.address, path)
    }

    /// The sum of a metric's series that carry all of `labels`; `None` where there is none.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let (status, text) = self.http("/metrics");
        assert_eq!(status, 200, "{text}");
        sum(&text, name, labels)
    }
}

impl Deref for Trailtag {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Trailtag {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A process whose output is kept. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    /// The most memory that the process has had, in MB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes: u64 = peak
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kilobytes / 1024
    }

    /// Starts a command without input.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        Self {
            output: keep(child.stdout.take().unwrap()),
            log: keep(child.stderr.take().unwrap()),
            child,
        }
    }

    /// What it wrote to standard error so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    /// What it wrote to standard output so far.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Asks it to end, as Kubernetes does.
    pub(crate) fn sigterm(&mut self) {
        self.signal("TERM");
    }

    /// Sends it a signal, if it still runs.
    pub(crate) fn signal(&mut self, name: &str) {
        // A child that was not waited for keeps its id, so this never meets another process.
        if self.exited().is_none() {
            let kill = format!("kill -{name} {}", self.child.id());
            let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
            assert!(sent.success(), "{kill}: {sent}");
        }
    }

    /// Kills it in the middle of whatever it does, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has logged this.
    pub(crate) fn wait_logged(&self, text: &str) {
        wait_until(PATIENCE, &format!("it logs {text}"), || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(log) }
        });
    }

    /// Waits until it ended by itself.
    pub(crate) fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        wait_until(deadline, "the process ended", || {
            self.exited()
                .ok_or_else(|| format!("it runs; its log:\n{}", self.log()))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The test failed: this is what its reader wants next.
        if std::thread::panicking() {
            eprintln!("--- log of process {} ---\n{}", self.id(), self.log());
        }
    }
}

/// Reads to the end on a thread of its own: a full pipe would stop the process.
fn keep(mut from: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&kept);
    std::thread::spawn(move || {
        let mut part = [0; 8192];
        while let Ok(length @ 1..) = from.read(&mut part) {
            to.lock().unwrap().extend_from_slice(&part[..length]);
        }
    });
    kept
}

/// One HTTP GET: status and body.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let limit = Duration::from_secs(10);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    // 1.0: the answer ends with the connection, and comes in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(malformed)?, body.into()))
}

/// The sum of the series of `name` in a page of metrics that carry all of `labels`.
pub(crate) fn sum(page: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let wanted: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    page.lines()
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (series, carried) = series.split_once('{').unwrap_or((series, "}"));
            let carried: Vec<&str> = carried.trim_end_matches('}').split(',').collect();
            let matches =
                series == name && wanted.iter().all(|label| carried.contains(&label.as_str()));
            matches.then(|| value.parse::<f64>().unwrap())
        })
        .reduce(|sum, value| sum + value)
}
