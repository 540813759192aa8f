//! Lets pages of allowed origins read the answers (the CORS protocol of the Fetch standard).
//!
//! A browser does not hold a WebSocket to this, but a page that wants to know why its WebSocket
//! was refused asks with `fetch`, and that it does.

use snug_core::Refusal;
use worker::{Env, Headers, Request, Response, ResponseBuilder, web_sys};

use crate::{config, platform, problem::Problem};

/// How long a browser may remember a preflight's answer. Two hours are Chromium's most.
const MAX_AGE_SECONDS: &str = "7200";

/// Whether a browser asks if a page may ask.
pub fn is_preflight(request: &Request) -> bool {
    let asks = request.headers().has("access-control-request-method");
    request.inner().method() == "OPTIONS" && asks.unwrap_or_default()
}

/// The answer to a preflight for a path that takes these methods, and this header.
///
/// # Errors
///
/// `origin_forbidden`.
pub fn preflight(
    request: &Request,
    env: &Env,
    methods: &[&str],
    header: &str,
) -> Result<Response, Problem> {
    config::load(env)?;
    allowed_origin(request, env).ok_or(Refusal::OriginForbidden)?;
    Ok(ResponseBuilder::new()
        .with_status(204)
        .with_header("access-control-allow-methods", &methods.join(", "))?
        .with_header("access-control-allow-headers", header)?
        .with_header("access-control-max-age", MAX_AGE_SECONDS)?
        .empty())
}

/// The response, readable by the page that asked if it is of an allowed origin. An upgrade is
/// left as it is.
pub fn share(
    request: &Request,
    env: &Env,
    response: web_sys::Response,
) -> worker::Result<web_sys::Response> {
    if response.status() == 101 {
        return Ok(response);
    }
    let Some(origin) = allowed_origin(request, env) else {
        return Ok(response);
    };
    // A copy, since the headers of a room's answer cannot be changed.
    let response = Response::from(response);
    let headers: Headers = response.headers().entries().collect();
    headers.set("access-control-allow-origin", &origin.name)?;
    if origin.brings_cookies {
        headers.set("access-control-allow-credentials", "true")?;
    }
    headers.set("access-control-expose-headers", "retry-after")?;
    headers.set("vary", "origin")?;
    Ok(response.with_headers(headers).into())
}

/// Where a page that may ask is from.
struct Origin {
    name: String,
    /// Whether its visitor's cookies say who asks.
    brings_cookies: bool,
}

/// The origin of the page that asks, where there is one and it may.
fn allowed_origin(request: &Request, env: &Env) -> Option<Origin> {
    let name = request.headers().get("origin").ok()??;
    let url = platform::url(request)?;
    let own = format!("{}//{}", url.protocol(), url.host());
    let door = &config::load(env).ok()?.door;
    let has_application = door.application.is_some();
    door.origins.allow(&name, &url.host()).then(|| Origin {
        brings_cookies: has_application && door.origins.allow_cookies(&name, &own),
        name,
    })
}
