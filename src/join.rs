//! Join requests: checks one, then forwards it to the room's object.

use snug_core::{
    Admission, Refusal, RoomName,
    auth::{
        self, Credential, JoinRequest,
        room_guard::RoomRates,
        token::{self, Claims, TokenRules},
    },
    log::Requester,
    secret::Secret,
};
use worker::{Context, Env, Error, Request, web_sys};

use crate::{config, jwks, platform, problem::Problem, room_guard, session_cookie};

/// The header that carries the [`Admission`] to the room's object. The forwarded request has no
/// client headers, so a client cannot forge it.
pub const ADMISSION_HEADER: &str = "x-snug-admission";

/// Checks a join request and forwards it to the room.
///
/// # Errors
///
/// Any refusal of admission.
pub async fn join(
    request: &Request,
    room: &str,
    env: &Env,
    context: &Context,
    requester: &mut Requester,
) -> Result<web_sys::Response, Problem> {
    let config = config::load(env)?;
    let join_request = read_join_request(request, room, &config.admission)?;
    let rules = &config.admission.tokens;
    let claims = match &join_request.credential {
        Credential::Token(token) => claims_of(token, rules, context).await?,
        Credential::Session(application) => {
            session_cookie::authenticate(request, application, &join_request.room, rules.leeway_ms)
                .await?
        }
    };
    requester.user = Some(claims.user.clone());
    let room = join_request.room.clone();
    let admission = join_request.admit(claims)?;
    let rates = RoomRates::new(admission.can);
    forward(&room, &admission, rates, is_upgrade(request), env).await
}

/// Verifies a token and returns its claims.
///
/// # Errors
///
/// The errors of [`token::verify`].
pub async fn claims_of(
    Secret(token): &Secret,
    rules: &TokenRules,
    context: &Context,
) -> Result<Claims, Refusal> {
    let runtime = jwks::Runtime::new(|task| context.wait_until(task));
    token::verify(token, rules, platform::now(), &runtime).await
}

/// Returns true if the request is a WebSocket upgrade (RFC 6455, section 4.2.1).
pub fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.headers().get("upgrade").ok().flatten();
    upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

fn read_join_request(
    request: &Request,
    room: &str,
    rules: &auth::AdmissionRules,
) -> Result<JoinRequest, Problem> {
    let headers = request.headers();
    let url = platform::url(request).ok_or(Refusal::BadRequest("The URL cannot be read"))?;
    let (scheme, query, host) = (url.protocol(), url.search(), url.host());
    let origin = headers.get("origin")?;
    let authorization = headers.get("authorization")?;
    let protocols = headers.get("sec-websocket-protocol")?;
    let request = auth::RequestParts {
        room,
        query: query.trim_start_matches('?'),
        scheme: scheme.trim_end_matches(':'),
        host: &host,
        origin: origin.as_deref(),
        authorization: authorization.as_deref(),
        protocols: protocols.as_deref(),
    };
    Ok(JoinRequest::read(&request, rules)?)
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
    room_guard::fetch(env, room, &admission.user, rates, headers, None).await
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
