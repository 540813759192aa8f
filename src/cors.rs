//! Lets pages of allowed origins read responses (the CORS protocol of the Fetch standard).
//!
//! Browsers do not apply CORS to WebSockets. They apply it to the `fetch` with which a page finds
//! out why its WebSocket was refused.

use snug_core::Refusal;
use worker::{Env, Headers, Request, Response, ResponseBuilder, web_sys};

use crate::{config, platform, problem::Problem};

/// The time for which a browser may cache a preflight response. Chromium's maximum is two hours.
const MAX_AGE_SECONDS: &str = "7200";

/// Returns true if the request is a CORS preflight.
pub fn is_preflight(request: &Request) -> bool {
    let names_method = request.headers().has("access-control-request-method");
    request.inner().method() == "OPTIONS" && names_method.unwrap_or_default()
}

/// Returns the preflight response for a path with these methods. A page that may connect may send
/// any header, because monitoring scripts add their own to each request.
///
/// # Errors
///
/// `origin_forbidden` if the origin is not allowed.
pub fn preflight(request: &Request, env: &Env, methods: &[&str]) -> Result<Response, Problem> {
    config::load(env)?;
    allowed_origin(request, env).ok_or(Refusal::OriginForbidden)?;
    let mut response = ResponseBuilder::new()
        .with_status(204)
        .with_header("access-control-allow-methods", &methods.join(", "))?
        .with_header("access-control-max-age", MAX_AGE_SECONDS)?;
    // Not `*`, which allows neither `authorization` nor requests with cookies.
    if let Some(requested) = request.headers().get("access-control-request-headers")? {
        response = response.with_header("access-control-allow-headers", &requested)?;
    }
    Ok(response.empty())
}

/// Makes the response readable for the requesting page, if its origin is allowed. An upgrade
/// response is not changed.
pub fn allow_reading(
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
    // Copied, because the headers of an object's response are immutable.
    let response = Response::from(response);
    let headers: Headers = response.headers().entries().collect();
    headers.set("access-control-allow-origin", &origin.name)?;
    if origin.allows_cookies {
        headers.set("access-control-allow-credentials", "true")?;
    }
    headers.set("access-control-expose-headers", "retry-after")?;
    headers.set("vary", "origin")?;
    Ok(response.with_headers(headers).into())
}

/// An allowed origin.
struct Origin {
    name: String,
    /// True if its requests may use cookies.
    allows_cookies: bool,
}

/// Returns the origin of the requesting page, if there is one and it is allowed.
fn allowed_origin(request: &Request, env: &Env) -> Option<Origin> {
    let name = request.headers().get("origin").ok()??;
    let url = platform::url(request)?;
    let own = format!("{}//{}", url.protocol(), url.host());
    let admission = &config::load(env).ok()?.admission;
    let has_application = admission.application.is_some();
    admission.origins.allow(&name, &url.host()).then(|| Origin {
        allows_cookies: has_application && admission.origins.allow_cookies(&name, &own),
        name,
    })
}
