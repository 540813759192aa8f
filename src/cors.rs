//! Lets pages read responses (the CORS protocol of the Fetch standard).
//!
//! Browsers do not apply CORS to WebSockets. They apply it to the `fetch` with which a page finds
//! out why its WebSocket was refused.

use worker::{Headers, Response, ResponseBuilder, web_sys};

use crate::{incoming::Incoming, problem::Problem};

/// The time for which a browser may cache a preflight response. Chromium's maximum is two hours.
const MAX_AGE_SECONDS: &str = "7200";

/// Returns true if the request is a CORS preflight.
pub fn is_preflight(incoming: &Incoming<'_>) -> bool {
    let names_method = || incoming.header("access-control-request-method");
    incoming.parts.method == "OPTIONS" && names_method().is_ok_and(|name| name.is_some())
}

/// Returns the preflight response for a path with these methods. It does not depend on the origin: a
/// page that may not connect learns this from the refusal of its request, and sends that request only
/// after a successful preflight. A page may send any header, because monitoring scripts add their own to each request.
pub fn preflight(incoming: &Incoming<'_>, methods: &[&str]) -> Result<Response, Problem> {
    let mut response = ResponseBuilder::new()
        .with_status(204)
        .with_header("access-control-allow-methods", &methods.join(", "))?
        .with_header("access-control-max-age", MAX_AGE_SECONDS)?;
    // Not `*`, which allows neither `authorization` nor requests with cookies.
    if let Some(requested) = incoming.header("access-control-request-headers")? {
        response = response.with_header("access-control-allow-headers", &requested)?;
    }
    Ok(response.empty())
}

/// The pages that may read a response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The pages that may connect.
    AllowedPages,
    /// The page that sent the request, whatever its origin. For refusals by the Worker: a page that
    /// may not connect is refused before its token or cookies are read, so the refusal contains
    /// nothing about the user.
    AnyPage,
}

/// Makes the response readable for the requesting page, if it is one of these readers. An upgrade
/// response is not changed.
pub fn allow_reading(
    incoming: &Incoming<'_>,
    response: web_sys::Response,
    readers: Readers,
) -> worker::Result<web_sys::Response> {
    if response.status() == 101 {
        return Ok(response);
    }
    let Some(name) = incoming.origin() else {
        return Ok(response);
    };
    let is_for_any = readers == Readers::AnyPage || is_preflight(incoming);
    let access = if is_for_any {
        Some(Access {
            with_cookies: uses_cookies(incoming),
        })
    } else {
        access_of(name, incoming)
    };
    let Some(access) = access else {
        return Ok(response);
    };
    // Copied, because the headers of an object's response are immutable.
    let response = Response::from(response);
    let headers: Headers = response.headers().entries().collect();
    headers.set("access-control-allow-origin", name)?;
    if access.with_cookies {
        headers.set("access-control-allow-credentials", "true")?;
    }
    headers.set("access-control-expose-headers", "retry-after")?;
    headers.set("vary", "origin")?;
    Ok(response.with_headers(headers).into())
}

/// A page's access to responses.
struct Access {
    /// True if this includes responses to requests with cookies.
    with_cookies: bool,
}

/// Returns the access of pages of this origin, if they may connect.
fn access_of(origin: &str, incoming: &Incoming<'_>) -> Option<Access> {
    let url = incoming.url().ok()?;
    let own = format!("{}://{}", url.scheme, url.host);
    let origins = &incoming.config().ok()?.admission.origins;
    origins.allow(origin, &url.host).then(|| Access {
        with_cookies: uses_cookies(incoming) && origins.allow_cookies(origin, &own),
    })
}

/// Returns true if users can join with cookies, or if the settings cannot be read.
fn uses_cookies(incoming: &Incoming<'_>) -> bool {
    let config = incoming.config();
    config.map_or(true, |config| config.admission.application.is_some())
}
