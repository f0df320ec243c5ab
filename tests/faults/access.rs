//! Users, passwords, rights, quotas and certificates of a row's processes.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::campaign::What;
use super::cluster::{BROKERS, Cluster};
use super::run::Run;
use super::support::wait_until;

const ACCESS_LISTS: &str = "org.apache.kafka.tools.AclCommand";
const SETTINGS: &str = "kafka.admin.ConfigCommand";

/// Makes the row's user, named as its group, who may do what docs/security.md says it must.
pub(crate) fn create(run: &Run<'_>) {
    set_password(run);
    write_password(run);
    for what in [
        What::Input,
        What::Output,
        What::DeadLetters,
        What::Group,
        What::TransactionalId,
    ] {
        change(run, what, true);
    }
}

/// `kafka.security`, for the row's user.
pub(crate) fn login(run: &Run<'_>) -> Value {
    json!({
        "protocol": "sasl_ssl",
        "sasl": {"mechanism": "scram-sha-512", "username": run.group, "password_file": password_file(run)},
        "tls": {"ca_file": run.cluster.certificates.authority()},
    })
}

fn password_file(run: &Run<'_>) -> PathBuf {
    run.files.path().join("password")
}

/// The brokers want the row's password from now on.
pub(crate) fn set_password(run: &Run<'_>) {
    let password = format!("SCRAM-SHA-512=[password={}]", run.password);
    let user = ["--entity-type", "users", "--entity-name", &run.group];
    let alter = ["--alter", "--add-config", &password];
    run.cluster.tool(SETTINGS, &[&user[..], &alter].concat());
}

/// The processes have the row's password when they read its file the next time.
pub(crate) fn write_password(run: &Run<'_>) {
    std::fs::write(password_file(run), &run.password).unwrap();
}

/// Gives or withdraws a right, and waits until the brokers know.
pub(crate) fn change(run: &Run<'_>, what: What, granted: bool) {
    let prefix = format!("{}-t", run.group);
    let (option, name, pattern, operations): (_, _, _, &[&str]) = match what {
        What::Input => (
            "--topic",
            run.input.as_str(),
            "literal",
            &["Read", "Describe"],
        ),
        What::Output => (
            "--topic",
            run.output.as_str(),
            "literal",
            &["Write", "Describe"],
        ),
        What::DeadLetters => (
            "--topic",
            run.dead_letters.as_str(),
            "literal",
            &["Write", "Describe"],
        ),
        What::Group => ("--group", run.group.as_str(), "literal", &["Read"]),
        What::TransactionalId => (
            "--transactional-id",
            prefix.as_str(),
            "prefixed",
            &["Write", "Describe"],
        ),
    };
    let user = format!("User:{}", run.group);
    let on = [option, name, "--resource-pattern-type", pattern];
    let mut args = if granted {
        vec!["--add"]
    } else {
        vec!["--remove", "--force"]
    };
    args.extend(["--allow-principal", &user]);
    args.extend(on);
    for operation in operations {
        args.extend(["--operation", operation]);
    }
    run.cluster.tool(ACCESS_LISTS, &args);
    let list = [&["--list", "--principal", &user][..], &on].concat();
    wait_until(
        Duration::from_mins(1),
        "the right is as it should be",
        || {
            let listed = run.cluster.tool(ACCESS_LISTS, &list);
            if listed.contains("permissionType=ALLOW") == granted {
                Ok(())
            } else {
                Err(listed)
            }
        },
    );
}

/// The brokers show a new certificate to whoever connects from now on.
pub(crate) fn new_certificate(cluster: &Cluster, expires: Option<Duration>) {
    let store = cluster.certificates.issue(expires);
    let location = format!(
        "listener.name.secure.ssl.keystore.location={}",
        store.display()
    );
    for number in 1..=BROKERS {
        let number = number.to_string();
        let broker = ["--entity-type", "brokers", "--entity-name", &number];
        let alter = ["--alter", "--add-config", &location];
        cluster.tool(SETTINGS, &[&broker[..], &alter].concat());
    }
}

/// How many bytes a second clients with an id may read and write; none is as many as they like.
pub(crate) fn quota(cluster: &Cluster, client: &str, bytes: Option<u64>) {
    let entity = ["--entity-type", "clients", "--entity-name", client];
    let rates = ["consumer_byte_rate", "producer_byte_rate"];
    let change = match bytes {
        Some(bytes) => rates.map(|rate| format!("{rate}={bytes}")).join(","),
        None => rates.join(","),
    };
    let option = if bytes.is_some() {
        "--add-config"
    } else {
        "--delete-config"
    };
    cluster.tool(
        SETTINGS,
        &[&entity[..], &["--alter", option, &change]].concat(),
    );
}
