//! Cookie sessions: the application at `AUTH_URL` says who comes.

use snug_core::{
    Refusal, RoomName,
    auth::{
        session_cookie::{SessionError, SessionRequest, read_answer},
        token::Claims,
    },
    limits::{ANSWER_MS_MAX, SESSION_BYTES_MAX},
    service_url::ServiceUrl,
};
use worker::{Error, Request, console_error};

use crate::{
    outbound::{self, Ask},
    platform,
    problem::Problem,
};

/// Asks the application whose cookies these are, and what they may do in the room.
///
/// # Errors
///
/// The application's refusal, or `auth_unavailable`.
pub async fn ask(
    request: &Request,
    application: &ServiceUrl,
    room: &RoomName,
    leeway_ms: u64,
) -> Result<Claims, Problem> {
    let header = |name| request.headers().get(name);
    let (cookie, origin) = (header("cookie")?, header("origin")?);
    let ip = header("cf-connecting-ip")?;
    let question = SessionRequest {
        room,
        ip: ip.as_deref(),
    };
    let body = serde_json::to_string(&question).map_err(Error::from)?;
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
    headers.extend(origin.as_deref().map(|origin| ("origin", origin)));
    let ask = Ask {
        body: Some(&body),
        headers: &headers,
        bytes_max: SESSION_BYTES_MAX,
        timeout_ms: ANSWER_MS_MAX,
    };
    let denial = match outbound::ask(application, ask).await {
        Ok(answer) => match read_answer(answer.status, &answer.body, leeway_ms, platform::now()) {
            Ok(claims) => return Ok(claims),
            Err(denial) => denial,
        },
        Err(why) => SessionError::Unusable(why.into()),
    };
    Err(match denial {
        SessionError::Refused(refusal) => refusal.into(),
        SessionError::Unusable(why) => {
            console_error!("AUTH_URL {why}");
            Refusal::AuthUnavailable.into()
        }
    })
}
