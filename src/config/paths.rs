//! Paths in a configuration file are relative to its folder, so that a file means the same wherever a command is run.
//!
//! A merged [`Config`] goes in, and where each of its settings was set; its paths come out as they are opened. A variable
//! is set where a command is run, and its path is relative to that folder, as is that of a configuration built in code.
//! Whether a path leads anywhere is for `check.rs`, but for one that leads somewhere from the working directory alone,
//! as all paths did once: that is a fault of its own, which says what to write.

use std::path::{Component, Path, PathBuf};

use super::Config;
use crate::model::fault::{Fault, Place};

/// librdkafka properties that name a file; those of its own certificates have settings here.
const PROPERTIES: [&str; 4] = [
    "ssl.keystore.location",
    "ssl.crl.location",
    "sasl.kerberos.keytab",
    "https.ca.location",
];

/// Settles the paths of a file's settings. Errs with those that were meant from the working directory, which are settled so.
pub(super) fn settle(config: &mut Config, place_of: impl Fn(&str) -> Place) -> Vec<Fault> {
    let mut faults = Vec::new();
    each(config, &mut |key, path| {
        let place = place_of(key);
        let Place::File { path: file, .. } = &place else {
            return;
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        let is_settled = path.as_os_str().is_empty() || path.is_absolute();
        if is_settled || folder.as_os_str().is_empty() || is_of_process(folder) {
            return;
        }
        let below = folder.join(&*path);
        if !below.exists() && path.exists() {
            faults.push(from_working_directory(key, path, folder).at(place));
        } else {
            *path = below;
        }
    });
    faults
}

/// Whether a folder holds what a process has open, as in `--config /dev/stdin`: such a file comes from nowhere.
fn is_of_process(folder: &Path) -> bool {
    ["/dev", "/proc"].iter().any(|of| folder.starts_with(of))
}

fn from_working_directory(key: &str, path: &Path, folder: &Path) -> Fault {
    let message = format!(
        "{} does not exist: a path in this file is relative to its folder, {}. {} exists in the working directory, which \
         does not count",
        folder.join(path).display(),
        folder.display(),
        path.display()
    );
    let hint = match path.strip_prefix(folder) {
        Ok(rest) if rest.as_os_str().is_empty() => "write `.`".to_owned(),
        Ok(rest) => format!("write `{}`", rest.display()),
        Err(_) => format!("write `{}`", from_folder(path, folder).display()),
    };
    Fault::new(key, message, hint)
}

/// The way from a folder to a path that both start at the working directory.
fn from_folder(path: &Path, folder: &Path) -> PathBuf {
    let is_below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if folder.components().all(is_below) {
        let levels = folder
            .components()
            .filter(|part| matches!(part, Component::Normal(_)));
        let mut way: PathBuf = levels.map(|_| Component::ParentDir).collect();
        way.push(path);
        return way;
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Every setting that names a file or a folder, with its key.
fn each(config: &mut Config, take: &mut dyn FnMut(&str, &mut PathBuf)) {
    let detection = &mut config.detection;
    let security = &mut config.kafka.security;
    for (key, path) in [
        ("detection.severity_file", &mut detection.severity_file),
        (
            "detection.profiles_in_use_file",
            &mut detection.profiles_in_use_file,
        ),
        (
            "detection.aws_networks_file",
            &mut detection.aws_networks_file,
        ),
        ("remediation.file", &mut config.remediation.file),
        ("http.token_file", &mut config.http.token_file),
        ("http.tls.cert_file", &mut config.http.tls.cert_file),
        ("http.tls.key_file", &mut config.http.tls.key_file),
        (
            "kafka.security.sasl.password_file",
            &mut security.sasl.password_file,
        ),
        ("kafka.security.tls.ca_file", &mut security.tls.ca_file),
        ("kafka.security.tls.cert_file", &mut security.tls.cert_file),
        ("kafka.security.tls.key_file", &mut security.tls.key_file),
    ] {
        take(key, path);
    }
    for (list, paths) in [
        ("rules", &mut detection.rules),
        (
            "threat_networks_files",
            &mut detection.threat_networks_files,
        ),
    ] {
        for (index, path) in paths.iter_mut().enumerate() {
            take(&format!("detection.{list}[{index}]"), path);
        }
    }
    let kafka = &mut config.kafka;
    for (map, properties) in [
        ("client", &mut kafka.client),
        ("consumer", &mut kafka.consumer),
        ("producer", &mut kafka.producer),
    ] {
        for name in PROPERTIES {
            // `probe` looks in known places.
            let Some(value) = properties.get_mut(name).filter(|value| *value != "probe") else {
                continue;
            };
            let mut path = PathBuf::from(&*value);
            take(&format!("kafka.{map}.{name}"), &mut path);
            if let Some(path) = path.to_str() {
                path.clone_into(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::schema;
    use crate::config::settings_list::settings;

    #[test]
    fn every_setting_that_names_a_file_is_settled() {
        let mut config = Config::default();
        config.detection.rules = vec![PathBuf::new()];
        config.detection.threat_networks_files = vec![PathBuf::new()];
        let mut known = Vec::new();
        each(&mut config, &mut |key, _| {
            known.push(key.replace("[0]", ""));
        });
        known.sort();
        let schema = schema();
        let mut named: Vec<String> = settings(&schema)
            .into_iter()
            .map(|setting| setting.key)
            .filter(|key| {
                let name = key.rsplit('.').next().unwrap();
                name == "file"
                    || name == "rules"
                    || name.ends_with("_file")
                    || name.ends_with("_files")
            })
            .collect();
        named.sort();
        assert_eq!(known, named);
    }

    #[test]
    fn a_file_that_comes_from_standard_input_has_no_folder() {
        for (file, want) in [
            ("/dev/stdin", "rules"),
            ("/dev/fd/3", "rules"),
            ("/proc/self/fd/0", "rules"),
            ("trailtag.yaml", "rules"),
            ("/etc/trailtag.yaml", "/etc/rules"),
            ("etc/trailtag.yaml", "etc/rules"),
        ] {
            let mut config = Config::default();
            config.detection.rules = vec!["rules".into()];
            let place = |_: &str| Place::File {
                path: Path::new(file).into(),
                line: Some(1),
            };
            assert_eq!(settle(&mut config, place), []);
            assert_eq!(config.detection.rules, [PathBuf::from(want)], "{file}");
        }
    }

    #[test]
    fn what_to_write_leads_from_the_folder_of_the_file() {
        let hint = |path: &str, folder: &str| {
            from_working_directory("k", Path::new(path), Path::new(folder)).hint
        };
        assert_eq!(hint("sigma/nested", "sigma"), "write `nested`");
        assert_eq!(hint("rules", "etc/trailtag"), "write `../../rules`");
        assert_eq!(hint("rules", "./etc"), "write `../rules`");
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            hint("rules", "/etc"),
            format!("write `{}`", here.join("rules").display())
        );
        assert_eq!(
            hint("rules", "../etc"),
            format!("write `{}`", here.join("rules").display())
        );
    }
}
