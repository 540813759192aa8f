//! Snug: realtime rooms on Cloudflare Workers.
//!
//! This crate is the Worker. It translates between the platform and [`snug_core`], which decides.
//! A request comes in by [`router`], the door is [`upgrade`], and each room is a Durable Object,
//! [`room::Room`], which holds the room's sockets and storage.

mod api;
mod body;
mod config;
mod cors;
mod dev;
mod judge;
mod keys;
mod outbound;
mod platform;
mod problem;
mod room;
mod router;
mod session;
mod signature;
mod upgrade;
mod webhook;

use worker::{Context, Env, Request, Result, event, web_sys};

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<web_sys::Response> {
    router::route(&request, &env, &context).await
}
