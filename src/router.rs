//! Dispatches requests by path and method.

use snug_core::{Origin, Refusal, auth, log::Requester};
use worker::{Context, Env, Request, Response, ResponseBuilder, web_sys};

use crate::{
    api::{self, Endpoint},
    config,
    cors::{self, Readers},
    dev_token, join,
    log::Spawn,
    problem::Problem,
};

/// Handles a request, and turns an error into a problem response. A room's response is returned
/// unchanged, because building a new one would be a large part of the cost of a join.
pub async fn route(
    request: &Request,
    env: &Env,
    context: &Context,
) -> worker::Result<web_sys::Response> {
    let mut requester = Requester {
        origin: request.headers().get("origin")?.as_deref().map(Origin::new),
        ..Requester::default()
    };
    let (response, readers) = match dispatch(request, env, context, &mut requester).await {
        Ok(response) => (response, Readers::AllowedPages),
        Err(problem) => {
            let spawn: Spawn<'_> = &|task| context.wait_until(task);
            let response = problem.into_response(&requester, spawn)?;
            (response.into(), Readers::AnyPage)
        }
    };
    cors::allow_reading(request, env, response, readers)
}

async fn dispatch(
    request: &Request,
    env: &Env,
    context: &Context,
    requester: &mut Requester,
) -> Result<web_sys::Response, Problem> {
    let path = request.path();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let methods = match *segments {
        ["healthz" | "openapi.json"] => &["GET", "HEAD"][..],
        ["v1", "publish"] => &["POST"][..],
        ["v1", "rooms", _] => &["GET", "DELETE"][..],
        ["v1", "rooms", _, "socket" | "members"] => &["GET"][..],
        ["v1", "rooms", _, "messages"] => &["GET", "POST"][..],
        ["v1", "rooms", _, "webhooks", "dead"] => &["GET"][..],
        ["v1", "rooms", _, "members", _] => &["DELETE"][..],
        ["dev", "token"] if dev_token::issuer(request, env).is_some() => &["POST"][..],
        _ => return Err(Refusal::NotFound.into()),
    };
    if let ["v1", "rooms", room, ..] = *segments {
        requester.room = auth::parse_room_name(room).ok();
    }
    if cors::is_preflight(request) {
        return Ok(cors::preflight(request, methods)?.into());
    }
    // Read from the runtime's request, because worker-rs turns unknown methods into GET.
    let method = request.inner().method();
    if !methods.contains(&method.as_str()) {
        return Err(Refusal::MethodNotAllowed(methods).into());
    }
    let (room, endpoint) = match (method.as_str(), &*segments) {
        (_, ["healthz"]) => return Ok(health(env)?.into()),
        (_, ["openapi.json"]) => return Ok(description()?.into()),
        (_, ["v1", "publish"]) => {
            return Ok(api::publish(request, env, context, requester).await?.into());
        }
        (_, ["v1", "rooms", room, "socket"]) => {
            return join::join(request, room, env, context, requester).await;
        }
        ("GET", ["v1", "rooms", room]) => (room, Endpoint::Describe),
        ("DELETE", ["v1", "rooms", room]) => (room, Endpoint::Erase),
        ("GET", ["v1", "rooms", room, "messages"]) => (room, Endpoint::Messages),
        ("POST", ["v1", "rooms", room, "messages"]) => (room, Endpoint::Publish),
        (_, ["v1", "rooms", room, "webhooks", "dead"]) => (room, Endpoint::DeadEvents),
        (_, ["v1", "rooms", room, "members"]) => (room, Endpoint::Members),
        (_, ["v1", "rooms", room, "members", user]) => (room, Endpoint::Kick { user }),
        _ => {
            let issuer = dev_token::issuer(request, env).ok_or(Refusal::NotFound)?;
            return Ok(dev_token::handle(request, &issuer, env).await?.into());
        }
    };
    api::handle(request, room, endpoint, env, context, requester).await
}

/// The description of the HTTP API.
const OPENAPI: &str = include_str!("../openapi.json");

fn description() -> Result<Response, Problem> {
    let builder = ResponseBuilder::new().with_header("content-type", "application/json")?;
    Ok(builder.fixed(OPENAPI.into()))
}

/// Returns the version if the settings are valid, so that a deployment's health check fails otherwise.
fn health(env: &Env) -> Result<Response, Problem> {
    config::read(env).map_err(|error| Refusal::Unhealthy(error.to_string()))?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(Response::from_json(
        &serde_json::json!({ "status": "ok", "version": version }),
    )?)
}
