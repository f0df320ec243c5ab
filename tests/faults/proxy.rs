//! Toxiproxy, through which the program under test reaches the brokers: it slows, cuts or swallows what goes through.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{PATIENCE, free_port, wait_until};

/// The program, its arguments, and the port on which it takes orders.
///
/// # Panics
/// Where it cannot be installed.
pub(crate) fn program() -> (PathBuf, Vec<String>, u16) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let components = std::env::var_os("TRAILTAG_COMPONENTS")
        .map_or_else(|| root.join(".components"), PathBuf::from);
    // The version that the script installs.
    let program = components.join("toxiproxy-2.12.0/toxiproxy-server");
    if !program.is_file() {
        let installed = Command::new("bash")
            .arg(root.join("tests/components/toxiproxy.sh"))
            .env("TRAILTAG_COMPONENTS", &components)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(
            installed.is_ok_and(|status| status.success()) && program.is_file(),
            "these tests need {}; install it with: bash tests/components/toxiproxy.sh",
            program.display()
        );
    }
    let port = free_port();
    let arguments = ["-host", "127.0.0.1", "-port", &port.to_string()]
        .map(str::to_owned)
        .into();
    (program, arguments, port)
}

/// What stands before each broker.
pub(crate) struct Proxies {
    orders: SocketAddr,
    /// Each proxy's name, and the port on which it listens.
    proxies: Vec<(String, u16)>,
}

impl Proxies {
    pub(crate) fn new(port: u16) -> Self {
        Self {
            orders: SocketAddr::from(([127, 0, 0, 1], port)),
            proxies: Vec::new(),
        }
    }

    /// Opens proxies: a name, the port that is listened on, the port that is led to.
    pub(crate) fn open(&mut self, proxies: Vec<(String, u16, u16)>) {
        wait_until(PATIENCE, "toxiproxy takes orders", || {
            self.order("GET", "/version", None)
        });
        for (name, from, to) in proxies {
            let proxy = json!({
                "name": name,
                "listen": format!("127.0.0.1:{from}"),
                "upstream": format!("127.0.0.1:{to}"),
                "enabled": true,
            });
            self.must("POST", "/proxies", Some(&proxy));
            self.proxies.push((name, from));
        }
    }

    /// The addresses of those whose name begins so.
    pub(crate) fn listening(&self, name: &str) -> Vec<String> {
        let proxies = self.proxies.iter();
        proxies
            .filter(|(proxy, _)| proxy.starts_with(name))
            .map(|(_, port)| format!("127.0.0.1:{port}"))
            .collect()
    }

    /// Does this to all that goes through from now on, on the way to the brokers or from them.
    pub(crate) fn toxic(&self, kind: &str, stream: &str, attributes: &Value) {
        let toxic = json!({
            "name": format!("{kind}-{stream}"),
            "type": kind,
            "stream": stream,
            "attributes": attributes,
        });
        for (name, _) in &self.proxies {
            self.must("POST", &format!("/proxies/{name}/toxics"), Some(&toxic));
        }
    }

    /// Closes every connection, and refuses new ones.
    pub(crate) fn cut(&self) {
        for (name, _) in &self.proxies {
            let proxy = json!({"enabled": false});
            self.must("POST", &format!("/proxies/{name}"), Some(&proxy));
        }
    }

    /// Lets everything through again.
    pub(crate) fn reset(&self) {
        self.must("POST", "/reset", None);
    }

    fn must(&self, method: &str, path: &str, body: Option<&Value>) {
        self.order(method, path, body)
            .unwrap_or_else(|error| panic!("toxiproxy: {method} {path} {body:?}: {error}"));
    }

    fn order(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(), String> {
        let limit = Duration::from_secs(10);
        let body = body.map(Value::to_string).unwrap_or_default();
        let exchange = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.orders, limit)?;
            stream.set_read_timeout(Some(limit))?;
            write!(
                stream,
                "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| error.to_string())?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if status.starts_with('2') {
            Ok(())
        } else {
            Err(answer)
        }
    }
}
