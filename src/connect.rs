//! Requests for a connection with several rooms: checks one, then forwards it to a gateway.

use snug_core::{
    Refusal, UserId,
    auth::{ConnectRequest, Credential},
    gateway::{
        io::SessionAdmission,
        placement::{gateways_of, region_of},
    },
    log::Requester,
};
use worker::{Error, web_sys, worker_sys::ext::RequestExt};

use crate::{
    incoming::Incoming,
    join::{ascii, with_parts},
    object_stub::{self, JOIN_PATH, ObjectRequest},
    problem::Problem,
    session_cookie,
};

/// The header that carries the [`SessionAdmission`] to the gateway's object.
pub const SESSION_HEADER: &str = "x-snug-session";
/// The header of the response of a gateway that is full.
pub const FULL_HEADER: &str = "x-snug-full";

/// The region of gateways for users whose continent has none, or is not known.
const ANY_REGION: &str = "any";

/// Checks a request and forwards it to a gateway.
///
/// # Errors
///
/// Any refusal of admission, except those about a room.
pub async fn connect(
    incoming: &Incoming<'_>,
    requester: &mut Requester,
) -> Result<web_sys::Response, Problem> {
    let config = incoming.config()?;
    let rules = &config.admission.tokens;
    let request = with_parts(incoming, "", |parts| {
        ConnectRequest::read(parts, &config.admission)
    })?;
    let claims = match &request.credential {
        Credential::Token(token) => incoming.verify(token, rules).await?,
        Credential::Session(application) => {
            session_cookie::authenticate(incoming, application, None, rules.leeway_ms).await?
        }
    };
    requester.user = Some(claims.user.clone());
    let user = claims.user.clone();
    forward(incoming, &user, &request.admit(claims)).await
}

/// Forwards the request to the first of the user's gateways that is not full.
async fn forward(
    incoming: &Incoming<'_>,
    user: &UserId,
    admission: &SessionAdmission,
) -> Result<web_sys::Response, Problem> {
    let json = ascii(&serde_json::to_string(admission).map_err(Error::from)?);
    let mut headers = vec![(SESSION_HEADER, json.as_str())];
    if incoming.parts.is_upgrade {
        headers.push(("upgrade", "websocket"));
    }
    let request = ObjectRequest {
        path: JOIN_PATH,
        headers,
        body: None,
    };
    let continent = incoming.request.cf();
    let continent = continent.and_then(|cf| cf.continent().ok().flatten());
    let region = region_of(continent.as_deref());
    for gateway in gateways_of(user, region.unwrap_or(ANY_REGION)) {
        let response = object_stub::fetch_gateway(incoming.env, &gateway, region, &request).await?;
        let is_full = response.headers().has(FULL_HEADER).map_err(Error::from)?;
        if !is_full {
            return Ok(response);
        }
    }
    Err(Refusal::Overloaded.into())
}
