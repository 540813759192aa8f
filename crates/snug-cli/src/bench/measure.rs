//! A run: a fresh server, told what it needs to know, and what came of the work done to it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    ledger::Faults,
    metric::Metric,
    run::Run,
    scenario::{Row, Scenario, Variant, Work},
    server::{Kind, Server},
    token::{self, Issued, Pass},
};

/// What does not differ from run to run.
pub struct Bench<'a> {
    pub root: &'a Path,
    pub warm_up: Duration,
    pub window: Duration,
    /// How many files this program and the servers may have open.
    pub open_files: u64,
}

/// What a run gave.
#[derive(Clone, Serialize)]
pub struct Outcome {
    pub figures: BTreeMap<Metric, f64>,
    pub faults: Faults,
    /// How much of a processor core the generator itself used while it measured.
    pub generator_cpu: Option<f64>,
}

/// Open files that a server needs besides those of its sockets.
const OTHER_FILES: u64 = 500;

impl Bench<'_> {
    /// How many sockets a server can have: workerd opens two files for each.
    pub fn sockets_max(&self) -> usize {
        usize::try_from(self.open_files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX)
    }

    /// What the users of a row show at its server's door.
    fn pass(&self, work: Work, row: Row) -> Result<Pass> {
        Ok(match (row.server, row.variant, work) {
            (Kind::Snug, Variant::Signed(algorithm), Work::Join { sockets }) => {
                Pass::Issued(Issued::new(self.root, algorithm, sockets)?)
            }
            (_, Variant::Unchecked, _) => Pass::Nothing,
            (Kind::Snug | Kind::PartyServer, ..) => Pass::Secret,
            _ => Pass::Nothing,
        })
    }

    /// Does the scenario's work to a fresh server.
    pub async fn measure(&self, scenario: &Scenario, row: Row) -> Result<Outcome> {
        let pass = self.pass(scenario.work, row)?;
        let settings = settings(scenario.work, row, &pass);
        let server = Server::start(self.root, row.server, &settings).await?;
        let outcome = Outcome {
            figures: BTreeMap::new(),
            faults: Faults::default(),
            generator_cpu: None,
        };
        let mut run = Run {
            bench: self,
            server: &server,
            row,
            pass: &pass,
            outcome,
        };
        let done = run.work(scenario.work).await;
        let outcome = run.outcome;
        server.stop().await?;
        done.map(|()| outcome)
    }
}

/// What the server is told, so that no limit of its own is in the way of the load.
fn settings(work: Work, row: Row, pass: &Pass) -> Value {
    let mut settings = match pass {
        Pass::Nothing => json!({}),
        Pass::Secret => json!({ "JWT_SECRET": token::SECRET }),
        Pass::Issued(issued) => Value::Object(issued.settings.clone()),
    };
    if row.server == Kind::Snug {
        settings["MESSAGES_PER_SECOND"] = 1_000_000.into();
        settings["MESSAGES_BURST"] = 1_000_000.into();
        settings["MESSAGE_BYTES_MAX"] = (1 << 20).into();
        if let Work::Rows { .. } = work {
            settings["HISTORY_MESSAGES_MAX"] = 100_000_000.into();
            settings["HISTORY_BYTES_MAX"] = (1_u64 << 40).into();
        }
    }
    settings
}
