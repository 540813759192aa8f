//! Measures one run of a scenario on a new server process.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    delivery_check::Faults,
    metric::Metric,
    run::Run,
    scenario::{Row, Scenario, Variant, Workload},
    server::{Server, ServerKind},
    token::{self, Credentials, SignedTokens},
};

/// The configuration that all runs share.
pub struct Config<'a> {
    pub root: &'a Path,
    pub warm_up: Duration,
    pub window: Duration,
    /// The limit of open files of this program and of the servers.
    pub open_files: u64,
}

/// The results of one run.
#[derive(Clone, Serialize)]
pub struct Outcome {
    pub figures: BTreeMap<Metric, f64>,
    pub faults: Faults,
    /// The share of a CPU core that the load generator used during the measurement.
    pub generator_cpu: Option<f64>,
}

/// The open files that a server needs besides those of its connections.
const OTHER_FILES: u64 = 500;

impl Config<'_> {
    /// Returns how many connections a server can have: workerd opens two files for each.
    pub fn sockets_max(&self) -> usize {
        usize::try_from(self.open_files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX)
    }

    /// Returns the credentials that the clients of a row join with.
    fn credentials(&self, workload: Workload, row: Row) -> Result<Credentials> {
        Ok(match (row.server, row.variant, workload) {
            (ServerKind::Snug, Variant::Signed(algorithm), Workload::Join { sockets }) => {
                Credentials::Signed(SignedTokens::new(self.root, algorithm, sockets)?)
            }
            (_, Variant::NoAuth, _) => Credentials::None,
            (ServerKind::Snug | ServerKind::PartyServer, ..) => Credentials::Secret,
            _ => Credentials::None,
        })
    }

    /// Starts a server, runs the scenario on it, and returns the results.
    pub async fn measure(&self, scenario: &Scenario, row: Row) -> Result<Outcome> {
        let credentials = self.credentials(scenario.workload, row)?;
        let settings = settings(scenario.workload, row, &credentials);
        let server = Server::start(self.root, row.server, &settings).await?;
        let outcome = Outcome {
            figures: BTreeMap::new(),
            faults: Faults::default(),
            generator_cpu: None,
        };
        let mut run = Run {
            config: self,
            server: &server,
            row,
            credentials: &credentials,
            outcome,
        };
        let done = run.execute(scenario.workload).await;
        let outcome = run.outcome;
        server.stop().await?;
        done.map(|()| outcome)
    }
}

/// Returns the server's settings, with limits that the load does not reach.
fn settings(workload: Workload, row: Row, credentials: &Credentials) -> Value {
    let mut settings = match credentials {
        Credentials::None => json!({}),
        Credentials::Secret => json!({ "JWT_SECRET": token::SECRET }),
        Credentials::Signed(signed) => Value::Object(signed.settings.clone()),
    };
    if row.server == ServerKind::Snug {
        settings["MESSAGES_PER_SECOND"] = 1_000_000.into();
        settings["MESSAGES_BURST"] = 1_000_000.into();
        // Clients send no pings.
        settings["IDLE_TIMEOUT_MS"] = 3_600_000.into();
        settings["MESSAGE_BYTES_MAX"] = (1 << 20).into();
        if let Workload::CountRows { .. } | Workload::Stream { .. } = workload {
            settings["HISTORY_MESSAGES_MAX"] = 100_000_000.into();
            settings["HISTORY_BYTES_MAX"] = (1_u64 << 40).into();
        }
    }
    settings
}
