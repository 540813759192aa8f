//! Tokens as an application would sign them for its users.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use jwt_compact::{
    Claims, Header,
    alg::{Hs256, Hs256Key},
    prelude::*,
};
use serde::Serialize;

/// The secret of servers that live for a few seconds on this machine.
pub const SECRET: &str = "a secret for the benchmark, and for nothing else";

const LIFETIME: Duration = Duration::from_secs(24 * 3600);

#[derive(Serialize)]
struct Grant<'a> {
    sub: String,
    rooms: [&'a str; 1],
    exp: u64,
}

/// A token that lets a user into a room.
pub fn sign(user: usize, room: &str) -> Result<String> {
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
