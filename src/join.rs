//! Join requests: checks one, then forwards it to the room's object.

use snug_core::{
    Admission, Refusal, RoomName,
    auth::{self, Credential, JoinRequest, room_guard::RoomRates},
    log::Requester,
};
use worker::{Env, Error, web_sys};

use crate::{
    incoming::Incoming,
    object_stub::{JOIN_PATH, ObjectRequest},
    problem::Problem,
    room_guard, session_cookie,
};

/// The header that carries the [`Admission`] to the room's object.
pub const ADMISSION_HEADER: &str = "x-snug-admission";

/// Checks a join request and forwards it to the room.
///
/// # Errors
///
/// Any refusal of admission.
pub async fn join(
    incoming: &Incoming<'_>,
    room: &str,
    requester: &mut Requester,
) -> Result<web_sys::Response, Problem> {
    let config = incoming.config()?;
    let join_request = with_parts(incoming, room, |parts| {
        JoinRequest::read(parts, &config.admission)
    })?;
    let rules = &config.admission.tokens;
    let claims = match &join_request.credential {
        Credential::Token(token) => incoming.verify(token, rules).await?,
        Credential::Session(application) => {
            let room = &join_request.room;
            session_cookie::authenticate(incoming, application, Some(room), rules.leeway_ms).await?
        }
    };
    requester.user = Some(claims.user.clone());
    let room = join_request.room.clone();
    let admission = join_request.admit(claims)?;
    let rates = RoomRates::new(admission.can);
    forward(
        &room,
        &admission,
        rates,
        incoming.parts.is_upgrade,
        incoming.env,
    )
    .await
}

/// Calls the body with the parts of a request that are checked.
pub fn with_parts<T>(
    incoming: &Incoming<'_>,
    room: &str,
    body: impl FnOnce(&auth::RequestParts<'_>) -> Result<T, Refusal>,
) -> Result<T, Problem> {
    let (url, parts) = (incoming.url()?, &incoming.parts);
    let request = auth::RequestParts {
        room,
        query: &url.query,
        scheme: &url.scheme,
        host: &url.host,
        origin: incoming.origin(),
        authorization: parts.authorization.as_deref(),
        protocols: parts.protocols.as_deref(),
    };
    Ok(body(&request)?)
}

async fn forward(
    room: &RoomName,
    admission: &Admission,
    rates: RoomRates,
    upgrade: bool,
    env: &Env,
) -> Result<web_sys::Response, Problem> {
    let json = serde_json::to_string(admission).map_err(Error::from)?;
    let json = ascii(&json);
    let mut headers = vec![(ADMISSION_HEADER, json.as_str())];
    if upgrade {
        headers.push(("upgrade", "websocket"));
    }
    let request = ObjectRequest {
        path: JOIN_PATH,
        headers,
        body: None,
    };
    room_guard::fetch(env, room, &admission.user, rates, request).await
}

/// Escapes all characters of JSON that are not ASCII, so that it is a valid header value.
pub fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}
