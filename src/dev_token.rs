//! Development tokens, for the pages that a developer tries the Worker with.

use std::rc::Rc;

use snug_core::{
    Refusal,
    auth::token::{CLAIMS_TOO_LONG, DevTokenIssuer},
    limits::CLAIMS_BYTES_MAX,
    secret::Secret,
};
use worker::{Env, Request, Response, ResponseBuilder};

use crate::{body, config, platform, problem::Problem};

/// What makes tokens for who sends this request, where anything does.
pub fn mint(request: &Request, env: &Env) -> Option<Rc<DevTokenIssuer>> {
    // Where a setting cannot be used, the room's door says so: this one stays shut.
    let mint = config::load(env).ok()?.mint.clone()?;
    let host = platform::url(request)?.host();
    mint.serves_host(&host).then_some(mint)
}

/// Makes a token of the claims in the request's body.
///
/// # Errors
///
/// `origin_forbidden`, `bad_request`.
pub async fn answer(
    request: &Request,
    mint: &DevTokenIssuer,
    env: &Env,
) -> Result<Response, Problem> {
    let url = platform::url(request).ok_or(Refusal::NotFound)?;
    let origin = request.headers().get("origin")?;
    let origins = &config::load(env)?.door.origins;
    // Under `wrangler dev` a header may give the request another URL than it was sent to
    // (MF-Original-URL), and so a host that is open. A page may set that, but never its origin.
    origins.check(origin.as_deref(), &url.host())?;
    let claims = match request.inner().body() {
        Some(stream) => body::read(&stream, CLAIMS_BYTES_MAX)
            .await
            .map_err(|_| Refusal::BadRequest("The body ended too soon"))?
            .ok_or(CLAIMS_TOO_LONG)?,
        None => Vec::new(),
    };
    let Secret(token) = mint.sign(&claims, platform::now())?;
    Ok(ResponseBuilder::new()
        .with_header("cache-control", "no-store")?
        .from_json(&serde_json::json!({ "token": token }))?)
}
