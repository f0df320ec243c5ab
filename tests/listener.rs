//! The program's own pages under clients that are slow, silent or many, over TLS and behind a token: on the real binary.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)] // helpers of tests, which may panic

use std::fmt::Debug;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

/// How long a test waits for what normally takes moments: long enough for a machine that is busy with a build.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long a probe may wait for its answer. The kubelet waits for 2 s or 5 s as the chart sets it; this is a bound for a
/// machine that does other work, where the answer would otherwise never come.
const PROBE: Duration = Duration::from_secs(5);

fn wait_until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if start.elapsed() > PATIENCE => panic!("waited until {what}; saw: {seen}"),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The program, with a number of descriptors, serving its pages. It is killed when dropped.
struct Program {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<u8>>>,
    files: TempDir,
}

impl Program {
    /// The demo, which needs no Kafka.
    fn demo(descriptors: u64) -> Self {
        Self::start(descriptors, |address, _| {
            format!("demo --records 0 --listen {address}")
        })
    }

    /// The service, whose brokers are away: its pages are served all the same. `settings` is what stands under `http`;
    /// in it `FILES` is a folder, which `prepare` fills.
    fn run(settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::start(1024, |address, files| {
            prepare(files);
            format!("run --config {}", config(address, settings, files))
        })
    }

    fn start(descriptors: u64, arguments: impl FnOnce(SocketAddr, &Path) -> String) -> Self {
        let files = tempfile::tempdir().unwrap();
        // Taken and given back: nobody else is given it for a while.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let arguments = arguments(address, files.path());
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -n {descriptors}; exec \"$0\" {arguments}"))
            .arg(env!("CARGO_BIN_EXE_trailtag"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        without_settings(&mut command);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut from) = (Arc::clone(&log), child.stderr.take().unwrap());
        thread::spawn(move || {
            let mut part = [0; 8192];
            while let Ok(length @ 1..) = from.read(&mut part) {
                kept.lock()
                    .unwrap()
                    .extend_from_slice(part.get(..length).unwrap());
            }
        });
        let mut program = Self {
            child,
            address,
            log,
            files,
        };
        wait_until("it listens", || {
            if let Some(status) = program.child.try_wait().unwrap() {
                panic!("it ended: {status}");
            }
            TcpStream::connect(address)
                .map(drop)
                .map_err(|error| error.to_string())
        });
        program
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().unwrap()).into_owned()
    }

    fn wait_logged(&self, text: &str) {
        wait_until(&format!("it logs {text}"), || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(log) }
        });
    }

    /// A connection that has sent this, if the kernel took it.
    fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // One that the program has closed again already is as good.
        let _ = stream.write_all(text.as_bytes());
        stream
    }

    /// A page, as a probe asks for it, who waits for so long.
    fn get(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, PROBE)?;
        stream.set_read_timeout(Some(PROBE))?;
        ask(&mut stream, path, "")
    }

    fn assert_probed(&self) {
        assert_status(&self.get("/livez"), 200);
        // Whether it is ready is not the question, but that it says so.
        let ready = self.get("/readyz");
        assert!(
            status(&ready) == Some(200) || status(&ready) == Some(503),
            "{ready:?}"
        );
    }

    fn id(&self) -> String {
        self.child.id().to_string()
    }

    fn signal(&mut self, name: &str) {
        assert!(self.child.try_wait().unwrap().is_none(), "it has ended");
        done(Command::new("kill").arg(format!("-{name}")).arg(self.id()));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- its log ---\n{}", self.log());
        }
    }
}

fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRAILTAG_") {
            command.env_remove(name);
        }
    }
}

fn config(address: SocketAddr, settings: &str, files: &Path) -> String {
    let file = files.join("trailtag.yaml");
    let settings = settings.replace("FILES", &files.display().to_string());
    let text = format!(
        "kafka: {{bootstrap_servers: [\"127.0.0.1:1\"]}}\nworkers: 1\nhttp: {{listen: \"{address}\", {settings}}}\n"
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn check(settings: &str, files: &Path) -> Output {
    let config = config(SocketAddr::from(([127, 0, 0, 1], 0)), settings, files);
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailtag"));
    without_settings(&mut command);
    command
        .args(["check", "--config", &config])
        .output()
        .unwrap()
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// The whole answer, head and body.
fn ask(stream: &mut (impl Read + Write), path: &str, header: &str) -> io::Result<String> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: trailtag\r\nConnection: close\r\n{header}\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn status<E>(answer: &Result<String, E>) -> Option<u16> {
    answer.as_ref().ok()?.split(' ').nth(1)?.parse().ok()
}

fn assert_status<E: Debug>(answer: &Result<String, E>, expected: u16) {
    assert_eq!(status(answer), Some(expected), "{answer:?}");
}

const HALF: &str = "GET /metrics HTTP/1.1\r\nHost: trailtag\r\nX-Slow: ";

#[test]
fn half_sent_requests_beyond_the_descriptors_do_not_keep_a_probe_out() {
    let program = Program::demo(256);
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(program.connect(HALF));
    }
    for _ in 0..5 {
        program.assert_probed();
        assert_status(&program.get("/metrics"), 200);
    }
    program.wait_logged("more connections to http.listen than are allowed at once");
    // Most of the descriptors are left for Kafka.
    let open = fs::read_dir(format!("/proc/{}/fd", program.id()))
        .unwrap()
        .count();
    assert!(open < 200, "{open} descriptors are open");
}

#[test]
fn five_thousand_slow_clients_do_not_keep_a_probe_out() {
    const CLIENTS: usize = 5_000;
    let limits = getrlimit(Resource::Nofile);
    let wanted = limits.maximum.map_or(16_384, |most| most.min(16_384));
    let raised = Rlimit {
        current: Some(wanted.max(limits.current.unwrap_or(u64::MAX).min(wanted))),
        ..limits
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    assert!(
        wanted > CLIENTS as u64 + 500,
        "{CLIENTS} clients need more than {wanted} descriptors: raise the hard limit (ulimit -Hn)"
    );

    let program = Program::demo(1024);
    let (stop, connected) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // Each client sends half a request and then a byte now and again; one that is closed comes back at once.
        let crowd = || {
            let connect = || {
                let stream = program.connect(HALF);
                stream.set_nonblocking(true).unwrap();
                stream
            };
            let mut clients = Vec::new();
            while clients.len() < CLIENTS / 4 && !stop.load(Ordering::Relaxed) {
                clients.push(connect());
                connected.fetch_add(1, Ordering::Relaxed);
            }
            while !stop.load(Ordering::Relaxed) {
                for client in &mut clients {
                    match client.write(b"x") {
                        Err(error) if error.kind() != ErrorKind::WouldBlock => *client = connect(),
                        _ => {}
                    }
                }
            }
        };
        for _ in 0..4 {
            scope.spawn(crowd);
        }
        let watched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("all are connected", || {
                program.assert_probed();
                let connected = connected.load(Ordering::Relaxed);
                let all = connected == CLIENTS;
                all.then_some(())
                    .ok_or(format!("{connected} are connected"))
            });
            for _ in 0..50 {
                program.assert_probed();
            }
            assert_status(&program.get("/metrics"), 200);
        }));
        stop.store(true, Ordering::Relaxed);
        watched.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn a_request_that_does_not_end_is_given_up() {
    let program = Program::demo(1024);
    let mut silent = program.connect("");
    let mut half = program.connect(HALF);
    for client in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        // The read fails after two minutes where nobody closes the connection.
        match client.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "{rest:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn a_stop_does_not_wait_for_slow_clients() {
    let mut program = Program::run("", |_| {});
    let _clients: Vec<_> = (0..20).map(|_| program.connect(HALF)).collect();
    program.assert_probed();
    program.signal("TERM");
    let status = wait_until("it has ended", || {
        program.child.try_wait().unwrap().ok_or_else(String::new)
    });
    assert!(status.success(), "{status}");
}

#[test]
fn without_any_descriptor_left_the_program_waits_and_goes_on() {
    let program = Program::demo(1024);
    program.assert_probed();
    let allow = |descriptors: usize| {
        let limit = format!("--nofile={descriptors}:1024");
        done(Command::new("prlimit").args(["--pid", &program.id(), &limit]));
    };
    let first = program.connect(HALF);
    program.assert_probed();
    // Every descriptor below the highest in use counts, so that from now on nothing can be opened.
    let open = fs::read_dir(format!("/proc/{}/fd", program.id())).unwrap();
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<usize>().ok());
    let highest = numbers.max().unwrap();
    allow(3);
    let waiting: Vec<_> = (0..20).map(|_| program.connect(HALF)).collect();
    program.wait_logged("a connection to http.listen cannot be accepted");
    allow(highest + 100);
    wait_until("probes are answered again", || {
        program.get("/livez").map_err(|error| error.to_string())
    });
    program.assert_probed();
    // It did not try thousands of times meanwhile, each with its line.
    assert!(program.log().matches("cannot be accepted").count() < 3);
    drop((first, waiting));
}

/// A certificate that signs itself, for `localhost`, and its key: PEM.
fn certificate() -> (Vec<u8>, Vec<u8>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, "localhost")
        .unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    builder
        .set_not_after(&Asn1Time::days_from_now(2).unwrap())
        .unwrap();
    builder.set_pubkey(&key).unwrap();
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (
        builder.build().to_pem().unwrap(),
        key.private_key_to_pem_pkcs8().unwrap(),
    )
}

/// A page over TLS, where the certificate is `trusted` and for `localhost`.
fn https(program: &Program, trusted: &[u8], path: &str, header: &str) -> Result<String, String> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::PEER);
    builder
        .cert_store_mut()
        .add_cert(X509::from_pem(trusted).unwrap())
        .unwrap();
    let stream = TcpStream::connect(program.address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = builder
        .build()
        .connect("localhost", stream)
        .map_err(|error| error.to_string())?;
    assert_eq!(stream.ssl().version_str(), "TLSv1.3");
    ask(&mut stream, path, header).map_err(|error| error.to_string())
}

const TLS: &str = "tls: {cert_file: FILES/cert, key_file: FILES/key}, token_file: FILES/token";

#[test]
fn over_tls_the_probes_stay_open_and_the_metrics_ask_for_the_token() {
    let (cert, key) = certificate();
    let program = Program::run(TLS, |files| {
        fs::write(files.join("cert"), &cert).unwrap();
        fs::write(files.join("key"), &key).unwrap();
        fs::write(files.join("token"), "s3cret-of-the-test\n").unwrap();
    });
    let get = |path: &str, header: &str| https(&program, &cert, path, header);
    assert_status(&get("/livez", ""), 200);
    assert_status(&get("/readyz", ""), 503);
    for header in [
        "",
        "Authorization: Bearer s3cret-of-the-tes\r\n",
        "Authorization: Basic eDp5\r\n",
    ] {
        let answer = get("/metrics", header);
        assert_status(&answer, 401);
        let answer = answer.unwrap().to_lowercase();
        assert!(
            answer.contains("\r\nwww-authenticate: bearer\r\n"),
            "{answer}"
        );
        assert!(!answer.contains("trailtag_"), "{answer}");
    }
    let answer = get("/metrics", "Authorization: Bearer s3cret-of-the-test\r\n");
    assert_status(&answer, 200);
    assert!(answer.unwrap().contains("trailtag_build_info"));
    // A page that does not exist tells no more than one that asks for the token.
    assert_status(&get("/nothing", ""), 401);

    // Whoever does not speak TLS gets nothing.
    let plain = program.get("/livez");
    assert!(status(&plain).is_none(), "{plain:?}");
    assert!(!program.log().contains("s3cret"), "the token is in the log");
}

#[test]
fn certificate_and_token_are_read_again_and_broken_ones_change_nothing() {
    let (cert, key) = certificate();
    let (next_cert, next_key) = certificate();
    let program = Program::run(TLS, |files| {
        fs::write(files.join("cert"), &cert).unwrap();
        fs::write(files.join("key"), &key).unwrap();
        fs::write(files.join("token"), "one").unwrap();
    });
    let write =
        |name: &str, bytes: &[u8]| fs::write(program.files.path().join(name), bytes).unwrap();
    let get = |cert: &[u8], token: &str| {
        let answer = https(
            &program,
            cert,
            "/metrics",
            &format!("Authorization: Bearer {token}\r\n"),
        );
        status(&answer)
    };
    assert_eq!(get(&cert, "one"), Some(200));

    // A new certificate with the old key, as where one file is written before the other; and a token that is none.
    write("cert", &next_cert);
    write("token", b"two words");
    program.wait_logged("http.tls.key_file: is not the key of the first certificate in http.tls.cert_file; the old one stays in use");
    program.wait_logged("http.token_file: the token has a character that a bearer token cannot have; the old one stays in use");
    assert!(program.log().contains("WARN"), "{}", program.log());
    assert_eq!(get(&cert, "one"), Some(200));
    assert_eq!(
        get(&next_cert, "one"),
        None,
        "the new certificate is not shown"
    );

    write("key", &next_key);
    write("token", b"two\n");
    wait_until("the new certificate and the new token count", || {
        let seen = (get(&next_cert, "two"), get(&next_cert, "one"));
        if seen == (Some(200), Some(401)) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    assert_eq!(get(&cert, "two"), None, "the old certificate is not shown");
    assert!(!program.log().contains("two words"));
}

#[test]
fn check_reads_certificate_key_and_token() {
    let files = tempfile::tempdir().unwrap();
    let told = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.replace(&files.path().display().to_string(), "…")
    };
    let output = check(TLS, files.path());
    assert_eq!(output.status.code(), Some(64));
    let text = told(&output);
    assert!(
        text.contains("http.tls.cert_file: …/cert cannot be read: No such file"),
        "{text}"
    );
    assert!(
        text.contains("http.token_file: …/token cannot be read: No such file"),
        "{text}"
    );

    let ((cert, _), (_, other_key)) = (certificate(), certificate());
    fs::write(files.path().join("cert"), &cert).unwrap();
    fs::write(files.path().join("key"), &other_key).unwrap();
    fs::write(files.path().join("token"), "hunter 2").unwrap();
    let output = check(TLS, files.path());
    let text = told(&output);
    assert!(
        text.contains("http.tls.key_file: is not the key of the first certificate"),
        "{text}"
    );
    assert!(
        text.contains("http.token_file: the token has a character"),
        "{text}"
    );
    assert!(!text.contains("hunter"), "{text}");

    let (cert, key) = certificate();
    fs::write(files.path().join("cert"), &cert).unwrap();
    fs::write(files.path().join("key"), &key).unwrap();
    fs::write(files.path().join("token"), "hunter2").unwrap();
    let output = check(TLS, files.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text.contains("https://127.0.0.1:0/metrics with a bearer token\n"),
        "{text}"
    );
    assert!(!text.contains("note") && !text.contains("hunter"), "{text}");

    let output = check("token_file: FILES/token", files.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text.contains("note          http.token_file: without http.tls the token crosses the network in the clear\n"), "{text}");
}
