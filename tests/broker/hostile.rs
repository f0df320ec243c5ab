//! Small messages that unfold into much, on the real worker: each ends in dead letters or in findings, within the memory of
//! the chart's smallest pod, and what comes after it is found.
//!
//! Where this user may make control groups, the process has no more memory than that; elsewhere its peak is measured alone.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::records::ours;
use super::stage::Stage;
use super::support::{PATIENCE, Trailtag};

/// The most memory that the process may have had, in MB.
const MEMORY: u64 = 256;

/// A control group for one process, with as much memory.
struct Group(PathBuf);

impl Group {
    /// Puts a process in a group of its own; in version 1 or 2 of the kernel's interface.
    fn of(process: u32) -> io::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let (parent, limit) = if root.join("memory").is_dir() {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            (root.to_owned(), "memory.max")
        };
        let group = Self(parent.join(format!("trailtag-test-{process}")));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join(limit), (MEMORY << 20).to_string())?;
        fs::write(group.0.join("cgroup.procs"), process.to_string())?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It can be removed when its process is gone.
        let _ = fs::remove_dir(&self.0);
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(data).unwrap();
    packer.finish().unwrap()
}

/// An empty frame whose decoder would like 8 MB.
fn empty_lz4() -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max4MB);
    let packer = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    packer.finish().unwrap()
}

/// Small records, all of them ours: `count` of them, one after another.
fn matching(count: usize) -> Vec<u8> {
    br#"{"eventVersion":"1.09","userIdentity":{},"eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile"}"#
        .repeat(count)
}

struct Input {
    name: &'static str,
    message: Vec<u8>,
    /// The bytes of a header that comes with it.
    header: usize,
    findings: usize,
    dead_letters: usize,
}

fn inputs() -> Vec<Input> {
    let input = |name, message, dead_letters| Input {
        name,
        message,
        header: 0,
        findings: 0,
        dead_letters,
    };
    let empty = empty_lz4();
    let size = 66_000_000;
    vec![
        input(
            "33 million `{}` in gzip in gzip",
            gzip(&gzip(&b"{}".repeat(33_000_000))),
            1,
        ),
        Input {
            findings: 10_000,
            ..input(
                "10,000 small matching records in gzip in gzip",
                gzip(&gzip(&matching(10_000))),
                0,
            )
        },
        Input {
            header: 400_000,
            ..input(
                "40,000 `{}` with a header of 400 KB",
                b"{}".repeat(40_000),
                1,
            )
        },
        Input {
            header: 400_000,
            ..input("100 `{}` with a header of 400 KB", b"{}".repeat(100), 100)
        },
        input(
            "66 MB of empty LZ4 frames in gzip in gzip",
            gzip(&gzip(&empty.repeat(size / empty.len()))),
            1,
        ),
        input(
            "66 MB of empty gzip members in gzip in gzip",
            gzip(&gzip(&gzip(b"").repeat(size / 20))),
            1,
        ),
        input(
            "9 MB of empty gzip members in gzip in gzip",
            gzip(&gzip(&gzip(b"").repeat(400_000))),
            0,
        ),
        input(
            "66 MB of open brackets in gzip in gzip",
            gzip(&gzip(&b"[".repeat(size))),
            1,
        ),
        input(
            "66 MB of quotation marks in gzip in gzip",
            gzip(&gzip(&b"\"".repeat(size))),
            1,
        ),
    ]
}

/// Fields of `/proc/PID/stat`: the processor time of a process, in hundredths of a second.
fn cpu(trailtag: &Trailtag) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", trailtag.id())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = |place: usize| {
        fields
            .split(' ')
            .nth(place)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    ticks(11) + ticks(12)
}

/// The table of docs/security.md is what this prints with `--nocapture`.
#[test]
fn small_messages_that_unfold_into_much_are_bounded() {
    println!("\n| input | bytes | peak memory | CPU | what came out |");
    println!("|---|---:|---:|---:|---|");
    for input in inputs() {
        let stage = Stage::new(1);
        let mut trailtag = Trailtag::start(&stage.settings("exactly_once"));
        let group = Group::of(trailtag.id());
        if let Err(error) = &group {
            println!("no control group ({error}): the peak is measured, and not held");
        }
        trailtag.wait_ready();
        let before = cpu(&trailtag);
        let header = "h".repeat(input.header);
        let headers = [("header", header.as_bytes())];
        let headers = &headers[..usize::from(input.header > 0)];
        stage
            .broker
            .produce(&stage.input, 0, None, &input.message, headers);
        stage.broker.produce(&stage.input, 0, None, &ours(7), &[]);
        stage.wait_settled(1);
        let spent = cpu(&trailtag) - before;
        let peak = trailtag.peak_memory();
        trailtag.sigterm();
        assert!(trailtag.wait_exit(PATIENCE).success(), "{}", input.name);
        let findings = stage.read(&stage.output).len();
        let letters = stage.read(&stage.dead_letters).len();
        println!(
            "| {} | {} | {peak} MB | {}.{:02} s | {} findings, {letters} dead letters |",
            input.name,
            input.message.len() + input.header,
            spent / 100,
            spent % 100,
            findings - 1,
        );
        assert_eq!(
            (findings, letters),
            (input.findings + 1, input.dead_letters),
            "{}; its log:\n{}",
            input.name,
            trailtag.log()
        );
        assert!(peak < MEMORY, "{}: {peak} MB", input.name);
    }
}
