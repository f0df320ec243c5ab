//! The steps as they leave, run in an account that answers: moto stands in for AWS's API, and the real AWS CLI, bash and
//! boto3 run what an analyst would paste. What came of it is asserted in `account.py`, scenario by scenario; here each
//! scenario is a test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::events::events;
use crate::shell::program;
use crate::{pipeline, tagged};

/// The folder that `tests/components/moto.sh` fills.
fn moto() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let components = std::env::var_os("TRAILTAG_COMPONENTS")
        .map_or_else(|| root.join(".components"), PathBuf::from);
    // The version that the script installs.
    let folder = components.join("moto-5.2.5");
    assert!(
        folder.is_dir(),
        "this test needs moto in {}; install it with: bash tests/components/moto.sh",
        folder.display()
    );
    folder
}

/// The items of every event, as its document carries them, with the names that the scenarios stage.
fn documents() -> Value {
    let pipeline = pipeline();
    let mut events = events();
    let mut comma = events["user"].clone();
    comma["requestParameters"]["instanceProfileName"] = json!("web,prod");
    events.insert("a comma", comma);
    let documents = events.into_iter().map(|(name, event)| {
        let mut text = event.to_string();
        for (from, to) in [
            ("arn:aws-cn:", "arn:aws:"),
            ("cn-north-1", "us-east-1"),
            ("benign-profile", "web-prod"),
            ("benign-role", "web-prod-role"),
            ("benign-swapped-in", "admin"),
            ("benign-user", "eve"),
            ("benign-acting", "deployer"),
        ] {
            text = text.replace(from, to);
        }
        let event = serde_json::from_str(&text).unwrap();
        (name, tagged(&pipeline, &event)["remediation"].clone())
    });
    json!(documents.collect::<BTreeMap<_, _>>())
}

/// What did not come of the steps, by scenario.
static FAULTS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/remediation/account.py");
    let mut child = Command::new(program("python3"))
        .arg("-B")
        .args([script, moto()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!({"documents": documents()}).to_string();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "account.py: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
});

macro_rules! scenarios {
    ($($name:ident)*) => {
        const SCENARIOS: &[&str] = &[$(stringify!($name)),*];

        $(
            #[test]
            fn $name() {
                let faults = &FAULTS[stringify!($name)];
                assert!(faults.is_empty(), "{}", faults.join("\n"));
            }
        )*
    };
}

scenarios! {
    a_comma_in_a_name_does_no_harm
    a_deleted_role_and_profile_come_back
    a_key_is_switched_off_and_kept
    a_namesake_of_another_accounts_principal_is_left_alone
    a_swapped_role_goes_before_the_right_one_comes
    a_trail_records_and_can_be_read
    a_user_is_shut_out
    an_identity_center_user_is_shut_out_each_time
    an_instance_is_isolated_and_kept
    every_step_is_run
    look_ups_find_whole_names
    only_named_roles_change_profiles
    passwords_are_strong_and_changed
    running_instances_get_their_profile_back
    sessions_of_a_role_end
    the_next_attempt_is_heard_of
    unused_keys_are_switched_off_and_deleted_only_when_named
    users_without_mfa_are_found_and_get_it
    what_is_wrong_is_found
    what_only_reads_runs
}

#[test]
fn every_scenario_is_a_test() {
    let ran: BTreeSet<&str> = FAULTS.keys().map(String::as_str).collect();
    assert_eq!(ran, SCENARIOS.iter().copied().collect());
}
