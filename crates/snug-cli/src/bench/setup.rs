//! The machine, what ran on it, and how it was asked.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::server::Kind;

/// What a reader has to know of a report.
#[derive(Serialize)]
pub struct Setup {
    pub rounds: usize,
    pub seconds: f64,
    #[serde(flatten)]
    pub facts: Facts,
}

/// What bench/facts.mjs tells.
#[derive(Deserialize, Serialize)]
pub struct Facts {
    pub date: String,
    pub cpu: String,
    pub cores: usize,
    /// Nothing where a package is not installed.
    pub versions: BTreeMap<String, Option<String>>,
    pub wasm_bytes: u64,
    pub wasm_gzipped_bytes: u64,
}

impl Setup {
    /// Looks at this machine.
    pub fn look(root: &Path, rounds: usize, seconds: f64) -> Result<Self> {
        let script = root.join("bench/facts.mjs");
        let output = Command::new("node")
            .arg(script)
            .output()
            .context("node cannot be run")?;
        ensure!(
            output.status.success(),
            "bench/facts.mjs failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let facts =
            serde_json::from_slice(&output.stdout).context("bench/facts.mjs is not as expected")?;
        Ok(Self {
            rounds,
            seconds,
            facts,
        })
    }

    /// Whether a server can be run here: all are installed with the rest, but one.
    pub fn has(&self, server: Kind) -> bool {
        server != Kind::UWebSockets || self.version(server.name()).is_some()
    }

    /// The version of a package.
    pub fn version(&self, package: &str) -> Option<&str> {
        self.facts.versions.get(package)?.as_deref()
    }
}

#[cfg(test)]
impl Setup {
    pub fn example() -> Self {
        let versions = [
            ("node", Some("24.0.0")),
            ("partyserver", Some("0.5.0")),
            ("uwebsockets", None),
        ];
        let versions =
            versions.map(|(name, version)| (name.to_owned(), version.map(str::to_owned)));
        Self {
            rounds: 3,
            seconds: 5.0,
            facts: Facts {
                date: "2026-01-31".into(),
                cpu: "A fast one".into(),
                cores: 4,
                versions: versions.into(),
                wasm_bytes: 500_000,
                wasm_gzipped_bytes: 200_000,
            },
        }
    }
}
