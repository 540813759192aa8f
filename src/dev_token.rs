//! Development tokens over HTTP, for trying the Worker on a developer's machine.

use std::rc::Rc;

use snug_core::{
    Refusal,
    auth::token::{CLAIMS_TOO_LONG, DevTokenIssuer, FORWARDED_HEADERS},
    limits::CLAIMS_BYTES_MAX,
    secret::Secret,
};
use worker::{Response, ResponseBuilder};

use crate::{body, incoming::Incoming, platform, problem::Problem};

/// Returns the issuer of development tokens, if it is enabled for the request's host.
pub fn issuer(incoming: &Incoming<'_>) -> Option<Rc<DevTokenIssuer>> {
    // If a setting is invalid, this endpoint does not exist; a join request reports the setting.
    let issuer = incoming.config().ok()?.dev_token_issuer.clone()?;
    let host = &incoming.url().ok()?.host;
    let header = |name: &&str| incoming.header(name).ok().flatten();
    let forwarded: Vec<String> = FORWARDED_HEADERS.iter().filter_map(header).collect();
    let forwarded = forwarded.iter().map(String::as_str);
    issuer.serves(host, forwarded).then_some(issuer)
}

/// Issues a token with the claims in the request's body.
///
/// # Errors
///
/// `not_found` if development tokens are off, `origin_forbidden` if the origin is not allowed,
/// `bad_request` if the claims are invalid.
pub async fn handle(incoming: &Incoming<'_>) -> Result<Response, Problem> {
    let issuer = issuer(incoming).ok_or(Refusal::NotFound)?;
    let origins = &incoming.config()?.admission.origins;
    // Under `wrangler dev`, the header MF-Original-URL can replace the request's URL and thus forge
    // a loopback host. A page can set that header, but it cannot forge its origin.
    origins.check(incoming.origin(), &incoming.url()?.host)?;
    let claims = match incoming.request.body() {
        Some(stream) => body::read(&stream, CLAIMS_BYTES_MAX)
            .await
            .map_err(|_| Refusal::BadRequest("The body ended too soon"))?
            .ok_or(CLAIMS_TOO_LONG)?
            .to_vec(),
        None => Vec::new(),
    };
    let Secret(token) = issuer.sign(&claims, platform::now())?;
    Ok(ResponseBuilder::new()
        .with_header("cache-control", "no-store")?
        .from_json(&serde_json::json!({ "token": token }))?)
}
