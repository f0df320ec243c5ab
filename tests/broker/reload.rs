//! Rules are read again while the program runs: between batches, and all or nothing.

use std::fmt::Write;
use std::path::Path;

use super::records::ours;
use super::support::{Broker, PATIENCE, Settings, Trailtag, unique, wait_until};

/// A rule beside the built-in one.
pub(super) const ADDED: &str = "title: Role put into an instance profile
id: 0d2f6a52-6a0a-4ad1-8f0f-3a7a0c6a9b10
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventSource: iam.amazonaws.com, eventName: AddRoleToInstanceProfile}
  condition: selection
level: medium
";

/// A record of the event that only the added rule wants.
fn added(number: usize) -> Vec<u8> {
    let record = String::from_utf8(ours(number)).unwrap();
    record
        .replace("RemoveRoleFromInstanceProfile", "AddRoleToInstanceProfile")
        .into_bytes()
}

/// Replaces what a mounted ConfigMap shows, as Kubernetes does it: a folder of its own, and a link renamed over the old.
fn publish(mount: &Path, version: &str, files: &[(&str, &str)]) {
    let folder = mount.join(version);
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let aside = mount.join("..data_tmp");
    std::os::unix::fs::symlink(version, &aside).unwrap();
    std::fs::rename(&aside, mount.join("..data")).unwrap();
}

fn wait_reloads(trailtag: &Trailtag, result: &str, count: f64) {
    wait_until(PATIENCE, &format!("{count} reloads are {result}"), || {
        let seen = trailtag.metric("trailtag_config_reloads_total", &[("result", result)]);
        if seen >= Some(count) {
            Ok(())
        } else {
            Err(format!("{seen:?}; its log:\n{}", trailtag.log()))
        }
    });
}

#[test]
fn rules_are_swapped_whole_and_bad_ones_leave_the_old_in_use() {
    let broker = Broker::shared();
    let (group, input) = (unique("group"), broker.topic("in", 1));
    let (output, dead_letters) = (broker.topic("out", 1), broker.topic("dead", 1));
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path();
    publish(
        mount,
        "..1",
        &[("add.yml", &ADDED.replace("AddRole", "NoRole"))],
    );
    let settings = Settings::new(broker, &group, &input, &output, &dead_letters).set(
        "/detection",
        serde_json::json!({"rules": [mount.join("..data").to_str().unwrap()]}),
    );
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    let findings = |expected: usize| {
        let end = broker.end_offset(&input, 0);
        wait_until(PATIENCE, "everything is committed", || {
            match broker.committed_offset(&group, &input, 0) {
                Some(offset) if offset == end => Ok(()),
                seen => Err(format!("{seen:?} of {end}")),
            }
        });
        broker.wait_settled(&output);
        let messages = broker.read_committed(&output);
        assert_eq!(messages.len(), expected, "{messages:?}");
    };
    broker.produce(&input, 0, None, &added(0), &[]);
    findings(0);

    publish(mount, "..2", &[("add.yml", ADDED)]);
    wait_reloads(&trailtag, "accepted", 1.0);
    broker.produce(&input, 0, None, &added(1), &[]);
    broker.produce(&input, 0, None, &ours(2), &[]);
    findings(2);

    publish(
        mount,
        "..3",
        &[
            ("add.yml", ADDED),
            (
                "bad.yml",
                "title: no id\nlogsource: {product: aws}\ndetection: {s: {a: b}, condition: s}\n",
            ),
        ],
    );
    wait_reloads(&trailtag, "rejected", 1.0);
    let last = |name: &str| trailtag.metric(&format!("trailtag_config_last_reload_{name}"), &[]);
    assert_eq!(last("successful"), Some(0.0));
    let of_the_good = last("success_timestamp_seconds");
    assert!(
        trailtag.log().contains("bad.yml"),
        "the log names the file:\n{}",
        trailtag.log()
    );
    broker.produce(&input, 0, None, &added(3), &[]);
    findings(3);

    publish(mount, "..4", &[("add.yml", ADDED)]);
    wait_reloads(&trailtag, "accepted", 2.0);
    assert_eq!(last("successful"), Some(1.0));
    assert!(last("success_timestamp_seconds") > of_the_good);
    trailtag.signal("HUP");
    wait_reloads(&trailtag, "accepted", 3.0);
    broker.produce(&input, 0, None, &added(4), &[]);
    findings(4);
    let rejected = trailtag.metric("trailtag_config_reloads_total", &[("result", "rejected")]);
    assert_eq!(rejected, Some(1.0));
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

/// What is made to stop the service at its next look: a billion laughs, a pipe that nobody writes to, links in a circle.
#[test]
fn hostile_rules_are_refused_at_a_reload_and_the_old_stay() {
    let broker = Broker::shared();
    let (group, input) = (unique("group"), broker.topic("in", 1));
    let (output, dead_letters) = (broker.topic("out", 1), broker.topic("dead", 1));
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path();
    publish(mount, "..1", &[("add.yml", ADDED)]);
    let settings = Settings::new(broker, &group, &input, &output, &dead_letters).set(
        "/detection",
        serde_json::json!({"rules": [mount.join("..data").to_str().unwrap()]}),
    );
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    let mut number = 0;
    let mut still_finds = || {
        number += 1;
        broker.produce(&input, 0, None, &added(number), &[]);
        wait_until(PATIENCE, "the added rule is in use", || {
            let found = broker.read_committed(&output).len();
            if found == number {
                Ok(())
            } else {
                Err(format!("{found} of {number} findings"))
            }
        });
    };
    still_finds();

    let mut laughs = "a0: &a0 \"lollollollollollol\"\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{},", level - 1).repeat(10);
        let _ = writeln!(laughs, "a{level}: &a{level} [{before}]");
    }
    publish(mount, "..2", &[("add.yml", ADDED), ("laughs.yml", &laughs)]);
    wait_reloads(&trailtag, "rejected", 1.0);
    still_finds();

    publish(mount, "..3", &[("add.yml", ADDED)]);
    wait_reloads(&trailtag, "accepted", 1.0);
    let rules = mount.join("..3");
    let pipe = rules.join("pipe.yml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    wait_reloads(&trailtag, "rejected", 2.0);
    still_finds();

    std::fs::remove_file(&pipe).unwrap();
    wait_reloads(&trailtag, "accepted", 2.0);
    for name in ["x", "y", "z"] {
        std::os::unix::fs::symlink(&rules, rules.join(name)).unwrap();
    }
    trailtag.signal("HUP");
    wait_reloads(&trailtag, "accepted", 3.0);
    still_finds();
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

/// The ids of the factors and of the items of the finding at a place of a topic, once it is there.
fn ids(
    broker: &Broker,
    output: &str,
    place: usize,
    trailtag: &Trailtag,
) -> (Vec<String>, Vec<String>) {
    wait_until(PATIENCE, "the finding is there", || {
        let messages = broker.read_committed(output);
        let Some(message) = messages.get(place) else {
            return Err(format!(
                "{} findings; its log:\n{}",
                messages.len(),
                trailtag.log()
            ));
        };
        let payload = message.payload.as_deref().unwrap_or_default();
        let document: serde_json::Value = serde_json::from_slice(payload).unwrap();
        let ids = |pointer: &str| {
            let list = document.pointer(pointer).and_then(|list| list.as_array());
            let ids = list.into_iter().flatten().map(|it| it["id"].as_str());
            ids.map(|id| id.unwrap_or_default().to_owned()).collect()
        };
        Ok((
            ids("/trailtag/severity/factors"),
            ids("/trailtag/remediation"),
        ))
    })
}

/// Severity, lists and remediation come from files too, and are swapped with the same care.
#[test]
fn severity_lists_and_remediation_are_swapped_together() {
    let broker = Broker::shared();
    let (group, input) = (unique("group"), broker.topic("in", 1));
    let (output, dead_letters) = (broker.topic("out", 1), broker.topic("dead", 1));
    let folder = tempfile::tempdir().unwrap();
    let mount = folder.path();
    let severity = include_str!("../../config/severity.yaml");
    let catalogue =
        "risks: []\nitems:\n  - {id: call.the.team, kind: investigate, title: Call the team}\n";
    let publish = |version: &str, severity: &str, threats: &str, in_use: &str, catalogue: &str| {
        publish(
            mount,
            version,
            &[
                ("severity.yaml", severity),
                ("threats.txt", threats),
                ("in_use.csv", in_use),
                ("remediation.yaml", catalogue),
            ],
        );
    };
    let in_use = "instance_profile,account,running_instances\n";
    publish("..1", severity, "# nobody\n", in_use, catalogue);
    let path = |name: &str| mount.join("..data").join(name).display().to_string();
    let settings = Settings::new(broker, &group, &input, &output, &dead_letters)
        .set(
            "/detection",
            serde_json::json!({
                "severity_file": path("severity.yaml"),
                "threat_networks_files": [path("threats.txt")],
                "profiles_in_use_file": path("in_use.csv"),
            }),
        )
        .set(
            "/remediation",
            serde_json::json!({"file": path("remediation.yaml")}),
        );
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    let record: serde_json::Value = serde_json::from_slice(&ours(0)).unwrap();
    let address = record["sourceIPAddress"].as_str().unwrap().to_owned();
    let profile = record["requestParameters"]["instanceProfileName"]
        .as_str()
        .unwrap()
        .to_owned();
    let account = record["recipientAccountId"].as_str().unwrap().to_owned();
    let mut number = 0;
    let mut next = || {
        number += 1;
        broker.produce(&input, 0, None, &ours(number), &[]);
        ids(broker, &output, number - 1, &trailtag)
    };
    let (factors, items) = next();
    assert!(
        !factors.iter().any(|id| id == "network.threat_listed"),
        "{factors:?}"
    );
    assert_eq!(items, ["call.the.team"]);

    publish(
        "..2",
        &severity.replace("id: outcome.success", "id: site.success"),
        &format!("{address}\n"),
        &format!("{in_use}{profile},{account},3\n"),
        &catalogue.replace("call.the.team", "call.somebody"),
    );
    wait_reloads(&trailtag, "accepted", 1.0);
    let (factors, items) = next();
    for id in ["site.success", "network.threat_listed", "target.in_use"] {
        assert!(
            factors.iter().any(|factor| factor == id),
            "{id}: {factors:?}"
        );
    }
    assert_eq!(items, ["call.somebody"]);

    // One bad line anywhere, and everything stays as it is.
    publish("..3", severity, "not-an-address\n", in_use, catalogue);
    wait_reloads(&trailtag, "rejected", 1.0);
    assert!(
        trailtag.log().contains("threats.txt:1"),
        "the log names file and line:\n{}",
        trailtag.log()
    );
    let (factors, items) = next();
    assert!(factors.iter().any(|id| id == "site.success"), "{factors:?}");
    assert_eq!(items, ["call.somebody"]);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}
