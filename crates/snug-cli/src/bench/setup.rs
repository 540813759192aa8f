//! The machine, the versions and the options of a benchmark.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::server::ServerKind;

/// The conditions of a benchmark, for the report.
#[derive(Serialize)]
pub struct Setup {
    pub rounds: usize,
    pub seconds: f64,
    #[serde(flatten)]
    pub environment: Environment,
}

/// The output of bench/environment.mjs.
#[derive(Deserialize, Serialize)]
pub struct Environment {
    pub date: String,
    pub cpu: String,
    pub cores: usize,
    /// None if a package is not installed.
    pub versions: BTreeMap<String, Option<String>>,
    pub wasm_bytes: u64,
    pub wasm_gzipped_bytes: u64,
}

impl Setup {
    /// Reads the environment of this machine.
    pub fn detect(root: &Path, rounds: usize, seconds: f64) -> Result<Self> {
        let script = root.join("bench/environment.mjs");
        let output = Command::new("node")
            .arg(script)
            .output()
            .context("cannot run node")?;
        ensure!(
            output.status.success(),
            "bench/environment.mjs failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let environment = serde_json::from_slice(&output.stdout)
            .context("bench/environment.mjs printed something unexpected")?;
        Ok(Self {
            rounds,
            seconds,
            environment,
        })
    }

    /// Returns true if a server is installed. Only uWebSockets.js may be missing.
    pub fn has(&self, server: ServerKind) -> bool {
        server != ServerKind::UWebSockets || self.version(server.name()).is_some()
    }

    /// Returns the version of a package.
    pub fn version(&self, package: &str) -> Option<&str> {
        self.environment.versions.get(package)?.as_deref()
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
            environment: Environment {
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
