//! Development tokens over HTTP, for trying the Worker on a developer's machine.

use std::rc::Rc;

use snug_core::{
    Refusal,
    auth::token::{CLAIMS_TOO_LONG, DevTokenIssuer, FORWARDED_HEADERS},
    limits::CLAIMS_BYTES_MAX,
    secret::Secret,
};
use worker::{Env, Request, Response, ResponseBuilder};

use crate::{body, config, platform, problem::Problem};

/// Returns the issuer of development tokens, if it is enabled for the request's host.
pub fn issuer(request: &Request, env: &Env) -> Option<Rc<DevTokenIssuer>> {
    // If a setting is invalid, this endpoint does not exist; a join request reports the setting.
    let issuer = config::load(env).ok()?.dev_token_issuer.clone()?;
    let host = platform::url(request)?.host();
    let header = |name: &&str| request.headers().get(name).ok().flatten();
    let forwarded: Vec<String> = FORWARDED_HEADERS.iter().filter_map(header).collect();
    let forwarded = forwarded.iter().map(String::as_str);
    issuer.serves(&host, forwarded).then_some(issuer)
}

/// Issues a token with the claims in the request's body.
///
/// # Errors
///
/// `origin_forbidden` if the origin is not allowed, `bad_request` if the claims are invalid.
pub async fn handle(
    request: &Request,
    issuer: &DevTokenIssuer,
    env: &Env,
) -> Result<Response, Problem> {
    let url = platform::url(request).ok_or(Refusal::NotFound)?;
    let origin = request.headers().get("origin")?;
    let origins = &config::load(env)?.admission.origins;
    // Under `wrangler dev`, the header MF-Original-URL can replace the request's URL and thus forge
    // a loopback host. A page can set that header, but it cannot forge its origin.
    origins.check(origin.as_deref(), &url.host())?;
    let claims = match request.inner().body() {
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
