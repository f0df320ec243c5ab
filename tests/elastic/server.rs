//! A real Elasticsearch or OpenSearch that ends with its test, and requests to it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// One server at a time: each takes almost a gigabyte.
static TURN: Mutex<()> = Mutex::new(());

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Product {
    Elasticsearch,
    OpenSearch,
}

impl Product {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch",
            Self::OpenSearch => "opensearch",
        }
    }
}

pub(crate) struct Server {
    pub(crate) product: Product,
    address: String,
    /// A script that stops the server at the end of its input. That comes when this process is gone, however it went.
    script: Child,
    _turn: MutexGuard<'static, ()>,
}

impl Server {
    /// Starts one, and waits until it is healthy.
    pub(crate) fn start(product: Product) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let script = format!("tests/components/{}.sh", product.name());
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.log", product.name()));
        let mut child = Command::new("bash")
            .args([&script, "run"])
            .current_dir(ROOT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        assert!(
            !address.is_empty(),
            "{} did not start; it is installed with: bash {script}\n{}",
            product.name(),
            fs::read_to_string(&log).unwrap()
        );
        Self {
            product,
            address: address.trim_end().to_owned(),
            script: child,
            _turn: turn,
        }
    }

    /// Runs the script that users run, with what can be had here: the servers have no plugin for lifecycles, and this
    /// Elasticsearch neither data streams nor the processor that the pipeline needs.
    pub(crate) fn apply_templates(&self) -> String {
        let switches: &[_] = match self.product {
            Product::Elasticsearch => &[("DATA_STREAM", "no"), ("PIPELINE", "no")],
            Product::OpenSearch => &[("LIFECYCLE", "no")],
        };
        self.apply(switches).unwrap_or_else(|said| panic!("{said}"))
    }

    /// Runs the script with these switches: what it said, and an error where it failed.
    pub(crate) fn apply(&self, switches: &[(&str, &str)]) -> Result<String, String> {
        let mut command = Command::new("bash");
        for switch in ["LIFECYCLE", "DATA_STREAM", "PIPELINE"] {
            command.env_remove(switch);
        }
        let output = command
            .args(["config/siem/elastic/apply.sh", self.product.name()])
            .arg(&self.address)
            .current_dir(ROOT)
            .envs(switches.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(said + &String::from_utf8_lossy(&output.stderr))
        }
    }

    /// A request whose answer must be JSON; any status will do.
    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Value {
        // A file, and not a pipe: curl may answer before it has read all of it.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(body).unwrap();
        let mut data = std::ffi::OsString::from("@");
        data.push(file.path());
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "120", "--request", method])
            .args(["--header", "Content-Type: application/json", "--data-binary"])
            .arg(data)
            .arg(format!("{}/{path}", self.address))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| {
                panic!("curl did not start ({error}); it is installed with: bash tests/components/packages.sh test")
            });
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{method} {path}: {error}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// Sends documents with their keys as ids, and gives the status of each with what is wrong about it.
    pub(crate) fn bulk(
        &self,
        index: &str,
        action: &str,
        documents: &[(String, Vec<u8>)],
    ) -> Vec<(u64, String)> {
        let mut body = Vec::new();
        for (id, document) in documents {
            writeln!(body, "{}", json!({action: {"_id": id}})).unwrap();
            body.extend_from_slice(document);
            body.push(b'\n');
        }
        let answer = self.request("POST", &format!("{index}/_bulk?refresh=true"), &body);
        let items = answer["items"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(items.len(), documents.len());
        items
            .iter()
            .map(|item| {
                let item = &item[action];
                (item["status"].as_u64().unwrap(), item["error"].to_string())
            })
            .collect()
    }

    /// How many documents a query finds.
    pub(crate) fn count(&self, index: &str, query: &Value) -> u64 {
        let answer = self.request(
            "POST",
            &format!("{index}/_count"),
            json!({"query": query}).to_string().as_bytes(),
        );
        answer["count"]
            .as_u64()
            .unwrap_or_else(|| panic!("{query}: {answer}"))
    }

    /// The index that comes of the templates: its settings and mappings.
    pub(crate) fn template(&self, index: &str) -> Value {
        let path = format!("_index_template/_simulate_index/{index}");
        self.request("POST", &path, b"")["template"].clone()
    }

    /// How the one index behind a name maps its fields now.
    pub(crate) fn mappings(&self, index: &str) -> Value {
        let answer = self.request("GET", &format!("{index}/_mapping"), b"");
        let indices: Vec<&Value> = answer.as_object().unwrap().values().collect();
        assert_eq!(indices.len(), 1, "{answer}");
        indices[0]["mappings"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        let _ = self.script.wait();
    }
}

/// A file of the repository's configuration for SIEMs.
pub(crate) fn siem(name: &str) -> String {
    let path: PathBuf = Path::new(ROOT).join("config/siem").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
