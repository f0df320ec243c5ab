//! A configuration: the text of its file, and after a byte of zero, variables, one a line.

use trailtag::config::Config;

use super::{files, laws, memory};

/// The schema and the tree, each several times while they are compared.
const MEMORY: usize = 64 << 20;

const SECRET: &str = "dJ8-never-shown-Q2z";

/// A file and an environment.
pub fn run(data: &[u8]) {
    let at = data
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(data.len());
    let (text, rest) = data.split_at(at);
    let rest = String::from_utf8_lossy(rest).replace('\0', "");
    let mut environment: Vec<(String, String)> = rest
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("TRAILTAG__{name}"), value.to_owned()))
        .collect();
    if data.len() % 2 == 1 {
        let name = "TRAILTAG__KAFKA__SECURITY__SASL__PASSWORD";
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), SECRET.to_owned()));
    }
    let folder = files::Folder::new();
    let path = folder.write("trailtag.yaml", text);
    let loaded = memory::within(MEMORY, || {
        Config::load(Some(&path), environment.into_iter())
    });
    match loaded {
        Ok(config) => {
            assert!(config.check().is_empty(), "{:?}", config.check());
            assert!(!format!("{config:?}").contains(SECRET));
            is_itself(&config, &folder);
        }
        Err(faults) => {
            assert!(faults.iter().next().is_some(), "refused for nothing");
            let told = format!("{faults} {faults:?}");
            assert!(!told.contains(SECRET), "{told}");
            for fault in &faults {
                assert!(!fault.message.is_empty(), "{fault:?}");
                laws::assert_one_line(&fault.to_string());
            }
        }
    }
}

/// A configuration that is written out is the same when it is read again. Its secrets are not written.
fn is_itself(config: &Config, folder: &files::Folder) {
    let written = |config: &Config| serde_json::to_value(config).unwrap_or_default();
    let value = written(config);
    let security = &value["kafka"]["security"];
    let has_secrets = security["protocol"] != "plaintext"
        || ["client", "consumer", "producer"].iter().any(|clients| {
            value["kafka"][clients]
                .as_object()
                .is_some_and(|it| !it.is_empty())
        });
    let path = folder.write("again.yaml", value.to_string());
    match Config::load(Some(&path), std::iter::empty()) {
        Ok(again) => assert_eq!(written(&again), value),
        Err(faults) => assert!(has_secrets, "{faults}\n{value}"),
    }
}
