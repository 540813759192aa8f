//! From a request's path and method to what answers it.

use snug_core::Refusal;
use worker::{Env, Request, Response};

use crate::{problem::Problem, upgrade};

/// Answers a request; whatever keeps it from that becomes a problem.
pub async fn route(request: &Request, env: &Env) -> worker::Result<Response> {
    answer(request, env).await.or_else(Problem::into_response)
}

async fn answer(request: &Request, env: &Env) -> Result<Response, Problem> {
    let path = request.path();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match *segments {
        ["healthz"] => {
            require_method(request, &["GET", "HEAD"])?;
            health()
        }
        ["v1", "rooms", room, "socket"] => {
            require_method(request, &["GET"])?;
            upgrade::join(request, room, env).await
        }
        _ => Err(Refusal::NotFound.into()),
    }
}

fn health() -> Result<Response, Problem> {
    let version = env!("CARGO_PKG_VERSION");
    Ok(Response::from_json(
        &serde_json::json!({ "status": "ok", "version": version }),
    )?)
}

/// Looks at the method as it came: worker-rs reads those it does not know as GET.
fn require_method(request: &Request, allowed: &'static [&'static str]) -> Result<(), Refusal> {
    let method = request.inner().method();
    if allowed.contains(&method.as_str()) {
        return Ok(());
    }
    Err(Refusal::MethodNotAllowed(allowed))
}
