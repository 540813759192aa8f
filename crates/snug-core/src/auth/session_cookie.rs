//! Cookie sessions: the application resolves a request's cookies to a user and returns the claims.

use serde::Serialize;

use crate::{
    auth::token::Claims,
    ids::{RoomName, Timestamp},
    protocol::refusal::Refusal,
};

/// The body of the request to the application, which is sent along with the user's cookies.
#[derive(Clone, Debug, Serialize)]
pub struct SessionRequest<'a> {
    /// The requested room; absent for a connection with several rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<&'a RoomName>,
    /// The client's IP address, if known.
    pub ip: Option<&'a str>,
}

/// The reason why a response admits no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The application refused the user.
    Refused(Refusal),
    /// The response is invalid, which is a fault of the application. The text is for the
    /// operator's log.
    Unusable(String),
}

/// Reads the application's response; `body` is used only with status 200.
///
/// # Errors
///
/// [`SessionError::Refused`] with `token_missing` or `token_expired` (the user must sign in) or
/// `room_forbidden`; [`SessionError::Unusable`] for any other response.
pub fn read_response(
    status: u16,
    body: &[u8],
    leeway_ms: u64,
    now: Timestamp,
) -> Result<Claims, SessionError> {
    match status {
        200 => Claims::of_session(body, leeway_ms, now).map_err(|refusal| match refusal {
            Refusal::TokenExpired => SessionError::Refused(refusal),
            Refusal::ClaimInvalid(why) => {
                SessionError::Unusable(format!("answered with claims: {why}"))
            }
            other => SessionError::Unusable(format!("answered with claims: {}", other.code())),
        }),
        401 => Err(SessionError::Refused(Refusal::NotSignedIn)),
        403 => Err(SessionError::Refused(Refusal::RoomForbidden)),
        status => Err(SessionError::Unusable(format!("answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const LEEWAY_MS: u64 = 5_000;

    #[test]
    fn sends_only_the_room_and_the_ip_address() {
        let room = RoomName::parse("lobby").unwrap();
        let request = |ip| {
            serde_json::to_string(&SessionRequest {
                room: Some(&room),
                ip,
            })
            .unwrap()
        };
        assert_eq!(request(Some("::1")), r#"{"room":"lobby","ip":"::1"}"#);
        assert_eq!(request(None), r#"{"room":"lobby","ip":null}"#);
    }

    #[test]
    fn reads_claims_from_a_200_response() {
        let body = r#"{"sub":"ann","exp":1800000060,"rooms":["*"],"aud":7,"iss":"anyone"}"#;
        // `iss` and `aud` are not checked, but must still have the right type.
        assert_eq!(code(200, body), "unusable");
        let body = body.replace(r#""aud":7,"#, "");
        assert_eq!(code(200, &body), "ann");
        assert_eq!(code(200, &format!(" {body}\n")), "ann");
    }

    #[test]
    fn distinguishes_refusals_from_invalid_responses() {
        let fine = r#"{"sub":"ann","exp":1800000060}"#;
        for (status, body, expected) in [
            (401, "", "token_missing"),
            (401, fine, "token_missing"),
            (403, "<html>", "room_forbidden"),
            (200, "", "unusable"),
            (200, "null", "unusable"),
            (200, "<html>", "unusable"),
            (200, r#"["ann",1800000060]"#, "unusable"),
            (200, r#"{"exp":1800000060}"#, "unusable"),
            (200, r#"{"sub":"ann"}"#, "unusable"),
            (200, r#"{"sub":"","exp":1800000060}"#, "unusable"),
            (200, r#"{"sub":7,"exp":1800000060}"#, "unusable"),
            (200, r#"{"sub":"ann","exp":1799999995}"#, "token_expired"),
            (200, r#"{"sub":"ann","exp":1799999996}"#, "ann"),
            (
                200,
                r#"{"sub":"ann","exp":1800000060,"nbf":1800000006}"#,
                "unusable",
            ),
            (
                200,
                r#"{"sub":"ann","sub":"bob","exp":1800000060}"#,
                "unusable",
            ),
            (201, fine, "unusable"),
            (204, "", "unusable"),
            (302, fine, "unusable"),
            (404, fine, "unusable"),
            (500, fine, "unusable"),
        ] {
            assert_eq!(code(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn reports_why_a_response_is_invalid() {
        for (status, body, why) in [
            (500, "secret", "answered 500"),
            (
                200,
                "secret",
                "answered with claims: The claims are not valid JSON",
            ),
            (
                200,
                r#"{"sub":"ann"}"#,
                "answered with claims: 'exp' must be a number (seconds since 1970, less than 10^12); it is missing",
            ),
            (
                200,
                r#"{"sub":"ann","exp":1800000060,"nbf":1800000060}"#,
                "answered with claims: token_not_yet_valid",
            ),
        ] {
            let error = read_response(status, body.as_bytes(), LEEWAY_MS, NOW).unwrap_err();
            assert_eq!(error, SessionError::Unusable(why.into()));
        }
    }

    fn code(status: u16, body: &str) -> String {
        match read_response(status, body.as_bytes(), LEEWAY_MS, NOW) {
            Ok(claims) => claims.user.as_str().into(),
            Err(SessionError::Refused(refusal)) => refusal.code().into(),
            Err(SessionError::Unusable(_)) => "unusable".into(),
        }
    }
}
