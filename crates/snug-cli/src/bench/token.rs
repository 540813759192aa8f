//! Tokens as an application would sign them for its users.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use jwt_compact::{
    Claims, Header,
    alg::{Hs256, Hs256Key},
    prelude::*,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The secret of servers that live for a few seconds on this machine.
pub const SECRET: &str = "a secret for the benchmark, and for nothing else";

const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What users show at the door.
pub enum Pass {
    /// Nothing: they are not asked.
    Nothing,
    /// A token that is signed with the secret as they come.
    Secret,
    /// A token that was made before.
    Issued(Issued),
}

/// Tokens, and what a server has to know to check them.
#[derive(Deserialize)]
pub struct Issued {
    pub settings: serde_json::Map<String, Value>,
    tokens: Vec<String>,
}

#[derive(Serialize)]
struct Grant<'a> {
    sub: String,
    rooms: [&'a str; 1],
    exp: u64,
}

impl Pass {
    /// What a user shows, where the user has to show anything.
    pub fn token(&self, user: usize, room: &str) -> Result<Option<String>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Secret => sign(user, room).map(Some),
            Self::Issued(issued) => {
                let token = issued.tokens.get(user).or(issued.tokens.last());
                token.cloned().map(Some).context("no token was issued")
            }
        }
    }
}

impl Issued {
    /// Has tokens made for so many users, and one for somebody else.
    pub fn new(root: &Path, algorithm: &str, users: usize) -> Result<Self> {
        let output = Command::new("node")
            .arg(root.join("bench/issue.mjs"))
            .args([algorithm, &(users + 1).to_string()])
            .current_dir(root)
            .stderr(Stdio::inherit())
            .output()
            .context("node cannot be run")?;
        ensure!(output.status.success(), "bench/issue.mjs failed");
        serde_json::from_slice(&output.stdout).context("bench/issue.mjs said something else")
    }
}

/// A token that lets a user into a room.
fn sign(user: usize, room: &str) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let grant = Grant {
        sub: format!("user-{user}"),
        rooms: [room],
        exp: (now + LIFETIME).as_secs(),
    };
    let key = Hs256Key::new(SECRET);
    Hs256
        .token(&Header::empty(), &Claims::new(grant), &key)
        .context("a token cannot be signed")
}
