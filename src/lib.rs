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
mod requests;
mod room;
mod room_guard;
mod router;
mod session_cookie;
mod signature;
mod token;
mod webhook;

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{Context, Env, Response, console_error, wasm_bindgen_futures, web_sys, worker_sys};

use self::incoming::Incoming;

/// Handles a client's request. It is exported by hand instead of by worker-rs's macro, which reads parts of the request
/// that are not needed.
///
/// # Errors
///
/// An error of the platform.
#[wasm_bindgen]
pub async fn fetch(
    request: web_sys::Request,
    env: Env,
    context: worker_sys::Context,
) -> std::result::Result<web_sys::Response, JsValue> {
    let context = Context::new(context);
    let routed = async { router::route(&Incoming::read(&request, &env, &context)?).await };
    match routed.await {
        Ok(response) => Ok(response),
        Err(error) => {
            console_error!("{error}");
            Ok(Response::error("INTERNAL SERVER ERROR", 500)?.into())
        }
    }
}

/// Handles a request that the application's own Worker, in which Snug is a library, sends to the HTTP API. It has the
/// rights of a back end and needs no token.
///
/// A client cannot call this, and another Worker gains nothing by it: it would have to pass the namespace of rooms, and
/// has all rights in rooms if it has that.
///
/// # Errors
///
/// An error of the platform.
#[wasm_bindgen(js_name = handleTrusted)]
pub async fn handle_trusted(
    request: web_sys::Request,
    env: Env,
    context: worker_sys::Context,
) -> std::result::Result<web_sys::Response, JsValue> {
    let context = Context::new(context);
    let incoming = Incoming::read_trusted(&request, &env, &context)?;
    Ok(router::route(&incoming).await?)
}
