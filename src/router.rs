//! From a request's path and method to what answers it.

use std::rc::Rc;

use snug_core::{Refusal, token::Mint};
use worker::{Context, Env, Request, Response, web_sys};

use crate::{cors, dev, problem::Problem, upgrade};

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
    let (route, methods, header) = match *segments {
        ["healthz"] => (Route::Health, &["GET", "HEAD"][..], "authorization"),
        ["v1", "rooms", room, "socket"] => (Route::Socket { room }, &["GET"][..], "authorization"),
        ["dev", "token"] => {
            let mint = dev::mint(request, env).ok_or(Refusal::NotFound)?;
            (Route::DevToken { mint }, &["POST"][..], "content-type")
        }
        _ => return Err(Refusal::NotFound.into()),
    };
    if cors::is_preflight(request) {
        return Ok(cors::preflight(request, env, methods, header)?.into());
    }
    // As it came: worker-rs reads methods that it does not know as GET.
    if !methods.contains(&request.inner().method().as_str()) {
        return Err(Refusal::MethodNotAllowed(methods).into());
    }
    match route {
        Route::Health => Ok(health()?.into()),
        Route::Socket { room } => upgrade::join(request, room, env, context).await,
        Route::DevToken { mint } => Ok(dev::answer(request, &mint, env).await?.into()),
    }
}

enum Route<'a> {
    Health,
    Socket { room: &'a str },
    DevToken { mint: Rc<Mint> },
}

fn health() -> Result<Response, Problem> {
    let version = env!("CARGO_PKG_VERSION");
    Ok(Response::from_json(
        &serde_json::json!({ "status": "ok", "version": version }),
    )?)
}
