//! From a request's path and method to what answers it.

use snug_core::Refusal;
use worker::{Context, Env, Request, Response, ResponseBuilder, web_sys};

use crate::{
    api::{self, Wish},
    cors, dev_token, join,
    problem::Problem,
};

/// Answers a request; whatever keeps it from that becomes a problem. A room's own answer is passed
/// on as it is: to take it apart and make it anew is a good part of what a join costs.
pub async fn route(
    request: &Request,
    env: &Env,
    context: &Context,
) -> worker::Result<web_sys::Response> {
    let response = match answer(request, env, context).await {
        Ok(response) => response,
        Err(problem) => problem.into_response()?.into(),
    };
    cors::share(request, env, response)
}

async fn answer(
    request: &Request,
    env: &Env,
    context: &Context,
) -> Result<web_sys::Response, Problem> {
    let path = request.path();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let (methods, header) = match *segments {
        ["healthz" | "openapi.json"] => (&["GET", "HEAD"][..], AUTHORIZATION),
        ["v1", "publish"] => (&["POST"][..], BODY),
        ["v1", "rooms", _] => (&["GET", "DELETE"][..], AUTHORIZATION),
        ["v1", "rooms", _, "socket" | "members"] => (&["GET"][..], AUTHORIZATION),
        ["v1", "rooms", _, "messages"] => (&["GET", "POST"][..], BODY),
        ["v1", "rooms", _, "webhooks", "dead"] => (&["GET"][..], AUTHORIZATION),
        ["v1", "rooms", _, "members", _] => (&["DELETE"][..], AUTHORIZATION),
        ["dev", "token"] if dev_token::mint(request, env).is_some() => {
            (&["POST"][..], "content-type")
        }
        _ => return Err(Refusal::NotFound.into()),
    };
    if cors::is_preflight(request) {
        return Ok(cors::preflight(request, env, methods, header)?.into());
    }
    // As it came: worker-rs reads methods that it does not know as GET.
    let method = request.inner().method();
    if !methods.contains(&method.as_str()) {
        return Err(Refusal::MethodNotAllowed(methods).into());
    }
    let (room, wish) = match (method.as_str(), &*segments) {
        (_, ["healthz"]) => return Ok(health()?.into()),
        (_, ["openapi.json"]) => return Ok(description()?.into()),
        (_, ["v1", "publish"]) => return Ok(api::publish(request, env, context).await?.into()),
        (_, ["v1", "rooms", room, "socket"]) => {
            return join::join(request, room, env, context).await;
        }
        ("GET", ["v1", "rooms", room]) => (room, Wish::Describe),
        ("DELETE", ["v1", "rooms", room]) => (room, Wish::Erase),
        ("GET", ["v1", "rooms", room, "messages"]) => (room, Wish::Messages),
        ("POST", ["v1", "rooms", room, "messages"]) => (room, Wish::Publish),
        (_, ["v1", "rooms", room, "webhooks", "dead"]) => (room, Wish::DeadEvents),
        (_, ["v1", "rooms", room, "members"]) => (room, Wish::Members),
        (_, ["v1", "rooms", room, "members", user]) => (room, Wish::Kick { user }),
        _ => {
            let mint = dev_token::mint(request, env).ok_or(Refusal::NotFound)?;
            return Ok(dev_token::answer(request, &mint, env).await?.into());
        }
    };
    api::call(request, room, wish, env, context).await
}

/// Headers that a page may send, where there is no body.
const AUTHORIZATION: &str = "authorization";
/// And where there is one.
const BODY: &str = "authorization, content-type";

/// This interface, as other programs read it.
const OPENAPI: &str = include_str!("../openapi.json");

fn description() -> Result<Response, Problem> {
    let builder = ResponseBuilder::new().with_header("content-type", "application/json")?;
    Ok(builder.fixed(OPENAPI.into()))
}

fn health() -> Result<Response, Problem> {
    let version = env!("CARGO_PKG_VERSION");
    Ok(Response::from_json(
        &serde_json::json!({ "status": "ok", "version": version }),
    )?)
}
