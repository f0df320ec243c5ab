//! An HTTP Event Collector by other hands, VictoriaLogs, which a test starts and asks what arrived.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/components/victorialogs.sh"
);

/// The receiver; it ends with this.
pub(crate) struct Receiver {
    address: String,
    folder: tempfile::TempDir,
}

fn script(verb: &str, folder: &Path) -> std::process::Output {
    Command::new(SCRIPT)
        .arg(verb)
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

impl Receiver {
    /// Starts it on a free port. A receiver that is not there fails the test, with the command that installs it.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let started = script("start", folder.path());
        let said = String::from_utf8_lossy(&started.stderr).into_owned();
        assert!(started.status.success(), "{said}");
        let address = String::from_utf8(started.stdout).unwrap();
        Self {
            address: address.trim().to_owned(),
            folder,
        }
    }

    /// Sends an event as a collector's client does, and gives the answer's status and body.
    pub(crate) fn send(&self, event: &str) -> (u16, String) {
        self.post(
            "/insert/splunk/services/collector/event",
            "application/json",
            event,
        )
    }

    /// Waits until there are as many events, and gives their fields.
    pub(crate) fn events(&self, count: usize) -> Vec<BTreeMap<String, String>> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let (status, body) = self.post(
                "/select/logsql/query",
                "application/x-www-form-urlencoded",
                &format!("query=*&limit={}", count + 1),
            );
            assert_eq!(status, 200, "{body}");
            let events: Vec<_> = body
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert!(events.len() <= count, "more events than were sent");
            if events.len() == count {
                return events;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} events arrived",
                events.len()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// HTTP 1.0: the answer ends where the connection does.
    fn post(&self, path: &str, kind: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: Splunk 00000000-0000-0000-0000-000000000000\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        script("stop", self.folder.path());
    }
}
