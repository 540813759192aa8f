//! Applications with cookie sessions: who asks is their word, claim for claim.

use serde::Serialize;

use crate::{
    auth::token::Claims,
    ids::{RoomName, Timestamp},
    protocol::refusal::Refusal,
};

/// What an application is asked, beside the cookies of who comes.
#[derive(Clone, Debug, Serialize)]
pub struct SessionRequest<'a> {
    /// The room asked for.
    pub room: &'a RoomName,
    /// From where, as far as that is known.
    pub ip: Option<&'a str>,
}

/// Why an answer lets nobody in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The application says so.
    Refused(Refusal),
    /// It is no answer that could be used, which is the application's fault; the text says why, for
    /// its operator.
    Unusable(String),
}

/// Reads an answer: its status, and the body that goes with 200.
///
/// # Errors
///
/// `token_missing` and `token_expired`, which mean: sign in; `room_forbidden`; or that it is no
/// answer.
pub fn read_answer(
    status: u16,
    body: &[u8],
    leeway_ms: u64,
    now: Timestamp,
) -> Result<Claims, SessionError> {
    match status {
        200 => Claims::of_session(body, leeway_ms, now).map_err(|refusal| match refusal {
            Refusal::TokenExpired => SessionError::Refused(refusal),
            Refusal::TokenInvalid(why) => {
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
    fn the_question_has_just_these_fields() {
        let room = RoomName::parse("lobby").unwrap();
        let question = |ip| serde_json::to_string(&SessionRequest { room: &room, ip }).unwrap();
        assert_eq!(question(Some("::1")), r#"{"room":"lobby","ip":"::1"}"#);
        assert_eq!(question(None), r#"{"room":"lobby","ip":null}"#);
    }

    #[test]
    fn claims_are_the_answer_of_200() {
        let body = r#"{"sub":"ann","exp":1800000060,"rooms":["*"],"aud":7,"iss":"whoever"}"#;
        // They are addressed to nobody; but what is a claim has to be of a claim's form.
        assert_eq!(code(200, body), "unusable");
        let body = body.replace(r#""aud":7,"#, "");
        assert_eq!(code(200, &body), "ann");
        assert_eq!(code(200, &format!(" {body}\n")), "ann");
    }

    #[test]
    fn refusals_are_told_from_what_is_no_answer() {
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
    fn the_operator_learns_why_an_answer_is_none() {
        for (status, body, why) in [
            (500, "secret", "answered 500"),
            (
                200,
                "secret",
                "answered with claims: The token's claims are not of their form",
            ),
            (
                200,
                r#"{"sub":"ann"}"#,
                "answered with claims: The token needs an 'exp'",
            ),
            (
                200,
                r#"{"sub":"ann","exp":1800000060,"nbf":1800000060}"#,
                "answered with claims: token_not_yet_valid",
            ),
        ] {
            let denial = read_answer(status, body.as_bytes(), LEEWAY_MS, NOW).unwrap_err();
            assert_eq!(denial, SessionError::Unusable(why.into()));
        }
    }

    fn code(status: u16, body: &str) -> String {
        match read_answer(status, body.as_bytes(), LEEWAY_MS, NOW) {
            Ok(claims) => claims.user.as_str().into(),
            Err(SessionError::Refused(refusal)) => refusal.code().into(),
            Err(SessionError::Unusable(_)) => "unusable".into(),
        }
    }
}
