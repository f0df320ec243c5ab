//! What tests on a real broker are written with: a broker ([`Broker::shared`]), topics and messages on it, the program
//! under test ([`Trailtag`]), and waiting ([`wait_until`]).
//!
//! Nothing here asserts what trailtag does: that is for the tests.

mod broker;
mod certified;
mod cluster;
pub(crate) mod java;
mod secure;
pub(crate) mod topics;
mod trailtag;
mod wait;

pub(crate) use broker::Broker;
pub(crate) use certified::{Certificate, CertifiedBroker};
pub(crate) use cluster::Cluster;
pub(crate) use secure::{Resource, SecureBroker};
pub(crate) use topics::{Message, transaction_state};
pub(crate) use trailtag::{Process, Settings, Trailtag, get, sum};
pub(crate) use wait::{PATIENCE, free_port, unique, wait_until};
