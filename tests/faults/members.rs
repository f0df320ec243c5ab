//! The processes under test, which come and go.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::cluster::log_folder;
use super::support::{PATIENCE, Settings, Trailtag, free_port, wait_until};
use super::watch::{Seen, Watch};

/// One process, over all its lives.
pub(crate) struct Member {
    name: String,
    settings: Settings,
    files: TempDir,
    seen: Arc<Mutex<Seen>>,
    alive: Option<(Watch, Trailtag)>,
    frozen: bool,
    lives: usize,
}

impl Member {
    pub(crate) fn new(name: &str, settings: Settings, seen: &Arc<Mutex<Seen>>) -> Self {
        Self {
            name: name.into(),
            settings,
            files: tempfile::tempdir().unwrap(),
            seen: Arc::clone(seen),
            alive: None,
            frozen: false,
            lives: 0,
        }
    }

    pub(crate) fn start(&mut self) {
        if self.alive.is_some() {
            return;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = self
            .settings
            .clone()
            .set("/http/listen", address.to_string())
            .write(self.files.path());
        let mut command = program();
        command.arg("run").arg("--config").arg(config);
        let trailtag = Trailtag::watch(command, address);
        let watch = Watch::start(trailtag.id(), address, Arc::clone(&self.seen));
        self.alive = Some((watch, trailtag));
        self.frozen = false;
        self.lives += 1;
    }

    pub(crate) fn wait_ready(&mut self) {
        if let Some((_, trailtag)) = &mut self.alive {
            trailtag.wait_ready();
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some((watch, mut trailtag)) = self.alive.take() {
            watch.excuse(true);
            trailtag.kill9();
            self.keep(&trailtag);
        }
    }

    /// SIGTERM: whether it ended in time, and how.
    pub(crate) fn stop(&mut self, within: Duration) -> Result<i32, String> {
        let Some((watch, mut trailtag)) = self.alive.take() else {
            return Ok(0);
        };
        watch.excuse(true);
        if self.frozen {
            trailtag.signal("CONT");
        }
        trailtag.sigterm();
        let start = Instant::now();
        let status = loop {
            match trailtag.exited() {
                Some(status) => break Some(status),
                None if start.elapsed() > within => break None,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        if status.is_none() {
            trailtag.kill9();
        }
        self.keep(&trailtag);
        let code = status
            .ok_or_else(|| format!("{} did not end within {within:?} of SIGTERM", self.name))?
            .code();
        code.ok_or_else(|| format!("{} was killed", self.name))
    }

    pub(crate) fn freeze(&mut self) {
        if let Some((watch, trailtag)) = &mut self.alive {
            watch.excuse(true);
            trailtag.signal("STOP");
            self.frozen = true;
        }
    }

    pub(crate) fn thaw(&mut self) {
        if let Some((watch, trailtag)) = &mut self.alive
            && self.frozen
        {
            trailtag.signal("CONT");
            watch.excuse(false);
            self.frozen = false;
        }
    }

    /// A process ends only when it is told to.
    pub(crate) fn ended_by_itself(&mut self) -> Option<String> {
        let (watch, mut trailtag) = self.alive.take()?;
        let Some(status) = trailtag.exited() else {
            self.alive = Some((watch, trailtag));
            return None;
        };
        self.keep(&trailtag);
        Some(format!("{} ended by itself ({status})", self.name))
    }

    /// Waits until its last reload went well, or did not.
    pub(crate) fn wait_reloaded(&self, well: bool) {
        let Some((_, trailtag)) = &self.alive else {
            return;
        };
        let wanted = Some(f64::from(u8::from(well)));
        wait_until(
            PATIENCE,
            &format!("the last reload went well: {well}"),
            || match trailtag.metric("trailtag_config_last_reload_successful", &[]) {
                seen if seen == wanted => Ok(()),
                seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
            },
        );
    }

    /// What `/readyz` says, and the log so far: for a row that failed.
    pub(crate) fn state(&self) -> String {
        let Some((_, trailtag)) = &self.alive else {
            return format!("{} is not there", self.name);
        };
        self.keep(trailtag);
        match trailtag.try_http("/readyz") {
            Ok((status, text)) => format!("{}: /readyz {status}: {}", self.name, text.trim()),
            Err(error) => format!("{}: /readyz: {error}", self.name),
        }
    }

    /// Writes its log to where it can be read later.
    fn keep(&self, trailtag: &Trailtag) {
        let file = log_folder().join(format!("{}-{}.log", self.name, self.lives));
        let _ = std::fs::write(file, trailtag.log());
    }
}

/// The program: as it was built for the tests, unless another is named.
fn program() -> Command {
    let built = Trailtag::command();
    let Some(other) = std::env::var_os("TRAILTAG_FAULTS_BINARY").filter(|name| !name.is_empty())
    else {
        return built;
    };
    let mut command = Command::new(other);
    for (name, value) in built.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}
