//! The tokens that an application would sign for its users.

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

/// The secret of the servers under test, which run for some seconds and only on this machine.
pub const SECRET: &str = "a secret for the benchmark, and for nothing else";

const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The credentials that clients join with.
pub enum Credentials {
    None,
    /// Tokens that are signed with `SECRET` when they are needed.
    Secret,
    /// Tokens that were signed before the run.
    Signed(SignedTokens),
}

/// Tokens, and the server settings that verify them.
#[derive(Deserialize)]
pub struct SignedTokens {
    pub settings: serde_json::Map<String, Value>,
    tokens: Vec<String>,
}

#[derive(Serialize)]
struct RoomClaims {
    sub: String,
    rooms: [&'static str; 1],
    exp: u64,
}

impl Credentials {
    /// Returns a user's token for all rooms; `None` if clients join without authentication.
    pub fn token(&self, user: usize) -> Result<Option<String>> {
        match self {
            Self::None => Ok(None),
            Self::Secret => sign(user).map(Some),
            Self::Signed(signed) => {
                let token = signed.tokens.get(user).or(signed.tokens.last());
                let token = token.context("bench/sign-tokens.mjs signed no tokens")?;
                Ok(Some(token.clone()))
            }
        }
    }
}

impl SignedTokens {
    /// Signs a token for each user, and one more for joins outside of the swarm.
    pub fn new(root: &Path, algorithm: &str, users: usize) -> Result<Self> {
        let output = Command::new("node")
            .arg(root.join("bench/sign-tokens.mjs"))
            .args([algorithm, &(users + 1).to_string()])
            .current_dir(root)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run node")?;
        ensure!(output.status.success(), "bench/sign-tokens.mjs failed");
        serde_json::from_slice(&output.stdout)
            .context("bench/sign-tokens.mjs printed something other than tokens")
    }
}

/// Signs a token that lets a user join all rooms.
fn sign(user: usize) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let claims = RoomClaims {
        sub: format!("user-{user}"),
        rooms: ["*"],
        exp: (now + LIFETIME).as_secs(),
    };
    let key = Hs256Key::new(SECRET);
    Hs256
        .token(&Header::empty(), &Claims::new(claims), &key)
        .context("cannot sign a token")
}
