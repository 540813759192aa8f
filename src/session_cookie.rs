//! Cookie sessions: the application identifies the user.

use std::cell::RefCell;

use snug_core::{
    Refusal, RoomName,
    application::Application,
    auth::{
        session_cookie::{SessionError, SessionRequest, read_response},
        session_guard::{SessionAsker, SessionGuard},
        token::Claims,
    },
    limits::{ANSWER_MS_MAX, SESSION_BYTES_MAX},
};
use worker::Error;

use crate::{
    incoming::Incoming,
    outbound::{self, ServiceRequest},
    platform,
    problem::Problem,
};

thread_local! {
    /// The guard of this isolate.
    static GUARD: RefCell<SessionGuard> = const { RefCell::new(SessionGuard::new()) };
}

/// Sends the cookies to the application, which returns the claims of their user.
///
/// # Errors
///
/// The application's refusal, `rate_limited` if it is asked too often, or `auth_unavailable` if its response cannot be used.
pub async fn authenticate(
    incoming: &Incoming<'_>,
    application: &Application,
    room: Option<&RoomName>,
    leeway_ms: u64,
) -> Result<Claims, Problem> {
    let (cookie, origin) = (incoming.header("cookie")?, incoming.origin());
    let ip = incoming.header("cf-connecting-ip")?;
    let asker = SessionAsker {
        room,
        ip: ip.as_deref(),
        cookie: cookie.as_deref(),
        origin,
    };
    GUARD.with_borrow_mut(|guard| guard.ask(&asker, platform::now()))?;
    let session_request = SessionRequest {
        room,
        ip: ip.as_deref(),
    };
    let body = serde_json::to_string(&session_request).map_err(Error::from)?;
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
    headers.extend(origin.map(|origin| ("origin", origin)));
    let outbound = ServiceRequest {
        body: Some(&body),
        headers: &headers,
        bytes_max: SESSION_BYTES_MAX,
        timeout_ms: ANSWER_MS_MAX,
    };
    let error = match outbound::call(application, incoming.env, outbound).await {
        Ok(response) => {
            match read_response(response.status, &response.body, leeway_ms, platform::now()) {
                Ok(claims) => return Ok(claims),
                Err(SessionError::Unusable(why)) => {
                    SessionError::Unusable(format!("{} {why}", application.setting))
                }
                Err(refused) => refused,
            }
        }
        Err(why) => SessionError::Unusable(why),
    };
    Err(match error {
        SessionError::Refused(refusal) => {
            let now = platform::now();
            GUARD.with_borrow_mut(|guard| guard.remember(&asker, &refusal, now));
            refusal.into()
        }
        SessionError::Unusable(why) => Refusal::SessionUnusable(why).into(),
    })
}
