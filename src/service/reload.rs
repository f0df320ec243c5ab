//! Rules, severity, lists and remediation are read again when their files change, or on SIGHUP.
//!
//! All or nothing: a new pipeline is built aside, and takes the old one's place between two batches; where anything is
//! wrong with it the old one stays, what is wrong is logged once, and a metric says so. Files are looked at by their
//! metadata, through links, every few seconds: that sees the swap of links by which Kubernetes updates a mounted
//! ConfigMap, on any file system, which notifications do not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::Config;
use crate::config::files::Walk;
use crate::detection::files::is_rules;
use crate::model::fault::Notes;
use crate::pipeline::Pipeline;
use crate::telemetry::health;
use crate::telemetry::metrics::Metrics;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// What a file looks like from outside; it differs after every change.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    path: PathBuf,
    /// Where links lead.
    target: Option<PathBuf>,
    modified: Option<SystemTime>,
    length: Option<u64>,
}

/// Reads everything again whenever it changes, until `done`.
pub(super) async fn watch(
    config: Arc<Config>,
    pipelines: watch::Sender<Arc<Pipeline>>,
    metrics: Arc<Metrics>,
    done: CancellationToken,
) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => Some(hangup),
        Err(error) => {
            error!(%error, "cannot listen for SIGHUP; changed files are still reloaded");
            None
        }
    };
    let Some(mut seen) = look_aside(&config).await else {
        return;
    };
    loop {
        let asked = tokio::select! {
            () = done.cancelled() => return,
            () = next(&mut hangup) => true,
            () = tokio::time::sleep(INTERVAL) => false,
        };
        let Some(now) = look_aside(&config).await else {
            return;
        };
        if asked || now != seen {
            seen = now;
            reload(&config, &pipelines, &metrics).await;
        }
    }
}

/// The next SIGHUP; never, where it cannot be listened for.
async fn next(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Does what takes long on a thread of its own: on this one /livez is answered. None where the program ends.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) => {
            error!(%error, "rules, severity, lists and remediation are no longer watched for changes");
            None
        }
    }
}

async fn look_aside(config: &Arc<Config>) -> Option<Vec<Look>> {
    let config = Arc::clone(config);
    aside(move || look(&config)).await
}

async fn reload(config: &Arc<Config>, pipelines: &watch::Sender<Arc<Pipeline>>, metrics: &Metrics) {
    let config = Arc::clone(config);
    let Some(loaded) = aside(move || Pipeline::from_config(&config)).await else {
        return;
    };
    match loaded {
        Ok(pipeline) => {
            let rules = pipeline.rules();
            let notes = pipeline.notes().clone();
            pipelines.send_replace(Arc::new(pipeline));
            let skipped = notes.skipped_rules;
            metrics.reloaded(rules, skipped, health::now());
            info!(
                rules,
                skipped, "rules, severity, lists and remediation reloaded"
            );
            tell(&notes);
        }
        Err(refused) => {
            metrics.reload_refused();
            for fault in &refused {
                error!(
                    fault = fault.to_string(),
                    "not reloaded: the old rules, severity, lists and remediation stay in use"
                );
            }
        }
    }
}

/// Logs what should be known of what is in use.
pub(super) fn tell(notes: &Notes) {
    for fault in &notes.skipped {
        warn!(
            fault = fault.to_string(),
            "a rule is wrong and left out: detection.on_bad_rule is skip"
        );
    }
    for fault in &notes.warnings {
        warn!(
            fault = fault.to_string(),
            "a rule or condition tests a field that CloudTrail does not have"
        );
    }
}

/// Every file that a pipeline is made of, sorted. What cannot be looked at looks like nothing.
fn look(config: &Config) -> Vec<Look> {
    let detection = &config.detection;
    let single = [
        &detection.severity_file,
        &detection.profiles_in_use_file,
        &detection.aws_networks_file,
        &config.remediation.file,
    ];
    let many = detection
        .rules
        .iter()
        .chain(&detection.threat_networks_files);
    let mut looks = Vec::new();
    // The same walk as that of loading, with its bounds: what it cannot walk through looks the same every time.
    let mut walk = Walk::new(&is_rules);
    for path in many.chain(single) {
        if !path.as_os_str().is_empty() {
            walk.through(path);
            looks.push(look_at(path));
        }
    }
    looks.extend(walk.files.iter().map(|path| look_at(path)));
    looks.sort_by(|one, other| one.path.cmp(&other.path));
    looks.dedup_by(|one, other| one.path == other.path);
    looks
}

fn look_at(path: &Path) -> Look {
    let metadata = std::fs::metadata(path).ok();
    Look {
        path: path.to_owned(),
        target: std::fs::canonicalize(path).ok(),
        modified: metadata.as_ref().and_then(|it| it.modified().ok()),
        length: metadata.as_ref().map(std::fs::Metadata::len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnBadRule;

    fn config(rules: &Path) -> Config {
        let mut config = Config::default();
        config.detection.rules = vec![rules.to_owned()];
        config
    }

    #[test]
    fn each_file_that_detection_names_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "one").unwrap();
            path
        };
        let mut config = Config::default();
        let detection = &mut config.detection;
        detection.severity_file = file("severity.yaml");
        detection.threat_networks_files = vec![file("tor.txt")];
        detection.aws_networks_file = file("ip-ranges.json");
        detection.profiles_in_use_file = file("in_use.csv");
        config.remediation.file = file("remediation.yaml");
        for path in std::fs::read_dir(folder.path()).unwrap() {
            let path = path.unwrap().path();
            let before = look(&config);
            std::fs::write(&path, "another").unwrap();
            assert_ne!(before, look(&config), "{}", path.display());
        }
    }

    #[test]
    fn a_change_a_new_file_and_a_swap_of_links_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let mount = folder.path().join("rules");
        let version = |name: &str, text: &str| {
            let version = folder.path().join(name);
            std::fs::create_dir(&version).unwrap();
            std::fs::write(version.join("a.yml"), text).unwrap();
            version
        };
        let (first, second) = (version("..1", "one"), version("..2", "two"));
        std::os::unix::fs::symlink(&first, &mount).unwrap();
        let config = config(&mount);
        let seen = look(&config);
        assert_eq!(seen, look(&config), "nothing changed");

        std::fs::write(first.join("b.yml"), "more").unwrap();
        let more = look(&config);
        assert_ne!(seen, more, "a new file");

        std::fs::write(first.join("b.yml"), "even more").unwrap();
        assert_ne!(more, look(&config), "another length");

        // As Kubernetes does it: a new link is made aside, and renamed over the old one.
        let before = look(&config);
        let aside = folder.path().join("..data_tmp");
        std::os::unix::fs::symlink(&second, &aside).unwrap();
        std::fs::rename(&aside, &mount).unwrap();
        assert_ne!(before, look(&config), "another target");

        std::fs::remove_file(&mount).unwrap();
        assert!(look(&config).iter().all(|look| look.target.is_none()));
    }

    #[tokio::test]
    async fn what_a_reload_leaves_out_is_counted_and_refused_files_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let rule = |id: &str, selection: &str| {
            let text = format!(
                "title: {id}\nid: {id}\nlevel: low\nlogsource: {{product: aws}}\ndetection: {{s: {selection}, condition: s}}\n"
            );
            std::fs::write(folder.path().join(format!("{id}.yml")), text).unwrap();
        };
        rule("good", "{eventName: A}");
        let mut config = config(folder.path());
        let metrics = Metrics::new(&[], "0").unwrap();
        let pipeline = Arc::new(Pipeline::from_config(&config).unwrap());
        let (pipelines, in_use) = watch::channel(pipeline);
        let value = |name: &str| {
            let page = String::from_utf8(metrics.scrape().unwrap()).unwrap();
            let line = page
                .lines()
                .find(|line| line.starts_with(&format!("trailtag_{name} ")));
            line.unwrap().rsplit(' ').next().unwrap().to_owned()
        };

        rule("bad", "{requestParameters: {roleName: x}}");
        reload(&Arc::new(config.clone()), &pipelines, &metrics).await;
        assert_eq!(in_use.borrow().rules(), 2);
        assert_eq!(value("config_last_reload_successful"), "0");

        config.detection.on_bad_rule = OnBadRule::Skip;
        let config = Arc::new(config);
        rule("more", "{eventName: B}");
        reload(&config, &pipelines, &metrics).await;
        assert_eq!(in_use.borrow().rules(), 3);
        assert_eq!(in_use.borrow().notes().skipped_rules, 1);
        assert_eq!(value("rules_skipped"), "1");
        assert_eq!(value("config_last_reload_successful"), "1");

        rule("bad", "{requestParameters.roleName: x}");
        reload(&config, &pipelines, &metrics).await;
        assert_eq!(
            (value("rules_loaded"), value("rules_skipped")),
            ("4".to_owned(), "0".to_owned())
        );

        // Without the folder nobody knows what was meant.
        drop(folder);
        reload(&config, &pipelines, &metrics).await;
        assert_eq!(in_use.borrow().rules(), 4);
        assert_eq!(value("config_last_reload_successful"), "0");
    }
}
