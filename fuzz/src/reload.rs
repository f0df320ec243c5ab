//! Files that change while the service runs: what is loaded is what they say, and a bad state leaves the old in use.
//!
//! The input decides a sequence of changes, with a reload after each, as `service::reload` does it: a pipeline is made from
//! the same configuration and takes the old one's place, or is refused. What is in use must answer as it did before, or else
//! as one that is loaded from the same files elsewhere: nothing of an earlier state may be left.

use std::path::Path;

use arbitrary::{Result, Unstructured};
use trailtag::config::Config;
use trailtag::pipeline::Pipeline;

use super::{files, laws, memory};

const MEMORY: usize = 64 << 20;

/// Files by their names in the folder, with states in which they are good.
const FILES: [(&str, &[&str]); 7] = [
    (
        "rules/a.yml",
        &[
            RULE,
            include_str!("../../config/rules/optional/create_instance_profile.yml"),
        ],
    ),
    ("rules/b.yml", &[FILTER, ""]),
    (
        "severity.yaml",
        &[files::SEVERITY, include_str!("../../config/severity.yaml")],
    ),
    (
        "remediation.yaml",
        &[
            files::REMEDIATION,
            include_str!("../../config/remediation.yaml"),
        ],
    ),
    (
        "networks.txt",
        &["203.0.113.0/24\n", "# none\n198.51.100.9 # tor\n::1\n"],
    ),
    (
        "profiles.csv",
        &[
            "instance_profile,account,running_instances,instance_ids\nweb-prod,111122223333,3,i-0123456789abcdef0\n",
            "instance_profile,account,running_instances\n",
        ],
    ),
    (
        "ip-ranges.json",
        &[
            r#"{"prefixes": [{"ip_prefix": "198.51.100.0/24"}], "ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/32"}]}"#,
            r#"{"prefixes": [{"ip_prefix": "0.0.0.0/0"}], "ipv6_prefixes": [{"ipv6_prefix": "::/0"}]}"#,
        ],
    ),
];

const RULE: &str = "title: objects
id: 7d2c8f0e-6a57-4b0e-9f55-000000000002
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventName|startswith: Get, eventSource: s3.amazonaws.com}
  condition: selection
level: high
";

const FILTER: &str = "title: not bob
id: 7d2c8f0e-6a57-4b0e-9f55-000000000003
logsource: {product: aws, service: cloudtrail}
filter:
  rules: any
  selection: {userIdentity.userName: bob}
  condition: not selection
";

/// Changes, and a reload after each.
pub fn run(data: &[u8]) {
    let (folder, config) = beginning();
    let mut in_use = Pipeline::from_config(&config).ok();
    let mut answers = in_use
        .as_ref()
        .map(|pipeline| laws::answers(pipeline, MEMORY));
    let mut u = Unstructured::new(data);
    for _ in 0..4 {
        if u.is_empty() || change(&mut u, &folder).is_err() {
            break;
        }
        match memory::within(MEMORY, || Pipeline::from_config(&config)) {
            Ok(pipeline) => {
                let now = laws::answers(&pipeline, MEMORY);
                assert_eq!(
                    Some(&now),
                    elsewhere(&folder).as_ref(),
                    "not what the files say"
                );
                (in_use, answers) = (Some(pipeline), Some(now));
            }
            Err(refused) => {
                assert!(!refused.is_empty());
                assert_eq!(
                    elsewhere(&folder),
                    None,
                    "refused here and not there: {refused}"
                );
                let still = in_use
                    .as_ref()
                    .map(|pipeline| laws::answers(pipeline, MEMORY));
                assert_eq!(still, answers, "the one in use is not what it was");
            }
        }
    }
}

/// Whether the first states are taken: else there would be nothing that could stay in use.
#[must_use]
pub fn begins_well() -> bool {
    let (_folder, config) = beginning();
    laws::load(&config, MEMORY).is_some()
}

fn beginning() -> (files::Folder, Config) {
    let folder = files::Folder::new();
    let config = of(&folder);
    for (name, states) in FILES {
        put(&folder.path(name), states[0].as_bytes());
    }
    (folder, config)
}

fn of(folder: &files::Folder) -> Config {
    let mut config = laws::native();
    config.detection.rules = vec![folder.path("rules")];
    config.detection.severity_file = folder.path("severity.yaml");
    config.detection.threat_networks_files = vec![folder.path("networks.txt")];
    config.detection.profiles_in_use_file = folder.path("profiles.csv");
    config.detection.aws_networks_file = folder.path("ip-ranges.json");
    config.remediation.file = folder.path("remediation.yaml");
    config
}

fn put(path: &Path, text: &[u8]) {
    if let Some(parent) = path.parent() {
        let _ = std::fs::create_dir_all(parent);
    }
    // What stands there may be a folder or a link by now, and then it stays.
    let _ = std::fs::write(path, text);
}

fn change(u: &mut Unstructured<'_>, folder: &files::Folder) -> Result<()> {
    let (name, states) = *u.choose(&FILES)?;
    let path = folder.path(name);
    match u.int_in_range(0..=9)? {
        0..=2 => put(&path, u.choose(states)?.as_bytes()),
        3 | 4 => {
            let mut text = u.choose(states)?.as_bytes().to_vec();
            for _ in 0..u.int_in_range(1..=3)? {
                let at = u.int_in_range(0..=text.len())?;
                let piece = u.bytes(u.len().min(3))?;
                let until = (at + u.int_in_range(0..=8)?).min(text.len());
                text.splice(at..until, piece.iter().copied());
            }
            put(&path, &text);
        }
        5 => put(&path, u.bytes(u.len().min(200))?),
        6 => {
            let _ = std::fs::remove_file(&path);
        }
        7 => {
            // As Kubernetes does it: a new link, made aside, is renamed over what was there.
            let aside = folder.path("aside");
            put(&folder.path("..data"), u.choose(states)?.as_bytes());
            let _ = std::fs::remove_file(&aside);
            let _ = std::os::unix::fs::symlink("..data", &aside);
            let _ = std::fs::rename(&aside, &path);
        }
        8 => {
            // Links that lead in a circle, or to nothing.
            let to = *u.choose(&["..", ".", "loop", "nothing"])?;
            let _ = std::os::unix::fs::symlink(to, folder.path("rules/loop"));
        }
        _ => {
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::create_dir(&path);
        }
    }
    Ok(())
}

/// What a pipeline answers that never saw another state of these files.
fn elsewhere(folder: &files::Folder) -> Option<Vec<[u64; 2]>> {
    let copy = files::Folder::new();
    copied(&folder.path(""), &copy.path(""));
    let pipeline = Pipeline::from_config(&of(&copy)).ok()?;
    Some(laws::answers(&pipeline, MEMORY))
}

fn copied(from: &Path, to: &Path) {
    let _ = std::fs::create_dir_all(to);
    for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match std::fs::read_link(&path) {
            Ok(target) => {
                let _ = std::os::unix::fs::symlink(target, &to);
            }
            Err(_) if path.is_dir() => copied(&path, &to),
            Err(_) => {
                let _ = std::fs::copy(&path, &to);
            }
        }
    }
}
