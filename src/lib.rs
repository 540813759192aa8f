//! Snug: realtime rooms on Cloudflare Workers.
//!
//! This crate is the Worker. It translates between the platform and [`snug_core`], which decides.
//! [`router`] dispatches requests, [`join`] and [`connect`] admit clients, and each room is a Durable Object,
//! [`room::Room`], which holds the room's sockets and storage. A connection with several rooms is held by
//! another one, [`gateway::Gateway`].

mod api;
mod body;
mod config;
mod connect;
mod cors;
mod dev_token;
mod gateway;
mod incoming;
mod join;
mod jwks;
mod log;
mod object;
mod object_stub;
mod outbound;
mod platform;
mod problem;
mod publish_hook;
mod room;
mod room_guard;
mod router;
mod session_cookie;
mod signature;
mod token;
mod webhook;

use worker::{Context, Env, Request, Result, event, web_sys};

use self::incoming::Incoming;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<web_sys::Response> {
    router::route(&Incoming::read(&request, &env, &context)?).await
}
