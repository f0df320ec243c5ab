//! What the configuration knows of the world: allow lists, threat networks, AWS's own networks, globs of names, the
//! inventory of profiles in use.
//!
//! In flow the settings and the files that they name; out flow answers to three questions: does a name match one of
//! these globs, is an address in one of these networks, how many instances use a profile. Everything is read once, when
//! it is loaded, and an answer takes microseconds whatever the length of a list.

mod aws_networks;
mod globs;
mod inventory;
mod names;
mod networks;

use crate::config;
use crate::config::network;
use crate::model::fault::Faults;

use globs::{Globs, Plain, UserAgents};
use inventory::ProfilesInUse;
use networks::{Networks, threat_networks};

/// How many faults of one list are told: a list of the wrong kind has as many as it has lines.
const MOST_FAULTS: usize = 10;

/// Every list, loaded. The default knows nothing.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub(super) allowed_principals: Option<Globs>,
    pub(super) allowed_networks: Option<Networks>,
    pub(super) threat_networks: Option<Networks>,
    pub(super) aws_networks: Option<Networks>,
    pub(super) sensitive_principals: Option<Globs>,
    pub(super) provisioning_services: Option<Globs>,
    pub(super) privileged_roles: Option<Globs>,
    pub(super) security_tooling: Option<Globs>,
    pub(super) user_agents: UserAgents,
    pub(super) profiles_in_use: Option<ProfilesInUse>,
}

impl Lists {
    /// Loads what the settings name; whatever is wrong is among the faults.
    pub(super) fn load(settings: &config::Detection, faults: &mut Faults) -> Self {
        let allow = &settings.allow_list;
        let mut globs = |key: &str, globs: &[String], plain| Globs::new(key, globs, plain, faults);
        // A principal is one and no other; what a role is for may stand anywhere in its name.
        let (whole, words) = (Plain::Whole, Plain::Words);
        Self {
            allowed_principals: globs("allow_list.principals", &allow.principals, whole),
            sensitive_principals: globs(
                "sensitive_principals",
                &settings.sensitive_principals,
                whole,
            ),
            provisioning_services: globs(
                "provisioning_services",
                &settings.provisioning_services,
                whole,
            ),
            privileged_roles: globs("privileged_roles", &settings.privileged_roles, words),
            security_tooling: globs("security_tooling", &settings.security_tooling, words),
            user_agents: UserAgents::new(settings, faults),
            allowed_networks: (!allow.networks.is_empty()).then(|| {
                // A setting that is no network is a fault of the configuration, which is told there with its key.
                Networks::new(
                    allow
                        .networks
                        .iter()
                        .filter_map(|text| network::parse(text)),
                )
            }),
            threat_networks: threat_networks(&settings.threat_networks_files, faults),
            aws_networks: aws_networks::load(&settings.aws_networks_file, faults),
            profiles_in_use: Some(settings.profiles_in_use_file.as_path())
                .filter(|path| !path.as_os_str().is_empty())
                .and_then(|path| ProfilesInUse::load(path, faults)),
        }
    }
}

/// Says how many more lines of a list are wrong than were told.
fn and_more(file: &str, wrong: usize, faults: &mut Faults) {
    if let Some(more) = wrong.checked_sub(MOST_FAULTS).filter(|more| *more > 0) {
        faults.add(file, None, None, format!("{more} more lines are wrong"));
    }
}
