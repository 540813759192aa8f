//! The claims of a verified token, or of an application's response for a cookie session.

use std::rc::Rc;

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::TokenRules;
use crate::{
    capability::Grants,
    ids::{Timestamp, UserId},
    limits::{INFO_BYTES_MAX, TIME_SECONDS_MAX},
    protocol::{json, refusal::Refusal},
    rate::Rate,
};

/// A user's claims.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `sub`.
    pub user: UserId,
    /// `exp`, without the leeway.
    pub expires: Timestamp,
    /// `rooms`.
    pub grants: Grants,
    /// `info`: a JSON object.
    pub info: Option<Rc<RawValue>>,
    /// `limits`.
    pub limits: ClaimedLimits,
}

/// The `limits` claim. It can only tighten the operator's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimedLimits {
    /// Commands per second, at least 1.
    pub messages_per_second: Option<u64>,
    /// Bytes of one command, at least 1.
    pub message_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    sub: Option<String>,
    exp: Option<u64>,
    nbf: Option<u64>,
    // Read only so that a duplicate is rejected.
    #[serde(rename = "iat")]
    _iat: Option<IgnoredAny>,
    #[serde(rename = "jti")]
    _jti: Option<IgnoredAny>,
    iss: Option<String>,
    aud: Option<Audience>,
    #[serde(default)]
    rooms: Grants,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "json::some_raw")]
    limits: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn contains(&self, required: &str) -> bool {
        match self {
            Self::One(name) => name == required,
            Self::Many(names) => names.iter().any(|name| name == required),
        }
    }
}

impl Claims {
    /// Reads the claims of a token whose signature has been verified.
    ///
    /// # Errors
    ///
    /// `token_invalid`, `token_expired` or `token_not_yet_valid`. The times are checked last.
    pub(super) fn of_token(
        json: &[u8],
        rules: &TokenRules,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let payload = Payload::read(json)?;
        if rules.issuer.is_some() && payload.iss != rules.issuer {
            return Err(Refusal::TokenInvalid(
                "The token's 'iss' is not the required issuer",
            ));
        }
        if let Some(required) = &rules.audience
            && !payload
                .aud
                .as_ref()
                .is_some_and(|aud| aud.contains(required))
        {
            return Err(Refusal::TokenInvalid(
                "The token's 'aud' does not contain the required audience",
            ));
        }
        payload.into_claims(rules.leeway_ms, now)
    }

    /// Reads the claims that an application returns for a cookie session. They come directly from
    /// the application, so `iss` and `aud` are not checked.
    ///
    /// # Errors
    ///
    /// `token_invalid`, `token_expired` or `token_not_yet_valid`.
    pub fn of_session(json: &[u8], leeway_ms: u64, now: Timestamp) -> Result<Self, Refusal> {
        Payload::read(json)?.into_claims(leeway_ms, now)
    }
}

const UNREADABLE: Refusal = Refusal::TokenInvalid("The token's claims are malformed");

impl ClaimedLimits {
    /// Returns the rate, tightened if the token claims a lower one.
    pub fn tighten(self, rate: Rate) -> Rate {
        let claimed = self.messages_per_second.map(u32::try_from);
        match claimed {
            Some(Ok(per_second)) => rate.tightened(per_second),
            _ => rate,
        }
    }

    /// Returns the most bytes of one command: `most`, or fewer if the token claims so.
    pub fn message_bytes_max(self, most: usize) -> usize {
        let claimed = self.message_bytes.map(usize::try_from);
        match claimed {
            Some(Ok(bytes)) => most.min(bytes),
            _ => most,
        }
    }

    fn read(json: &RawValue) -> Result<Self, Refusal> {
        let limits = serde_json::from_str(json.get()).ok();
        limits.filter(|_| json::is_object(json)).ok_or(UNREADABLE)
    }
}

impl<'a> Payload<'a> {
    fn read(json: &'a [u8]) -> Result<Self, Refusal> {
        // serde also reads a struct from an array, which is not a valid set of claims.
        let is_object = json.trim_ascii_start().starts_with(b"{");
        if !is_object {
            return Err(UNREADABLE);
        }
        serde_json::from_slice(json).map_err(|_| UNREADABLE)
    }

    fn into_claims(self, leeway_ms: u64, now: Timestamp) -> Result<Claims, Refusal> {
        let user = self
            .sub
            .as_deref()
            .and_then(UserId::parse)
            .ok_or(Refusal::TokenInvalid(
                "The token needs a 'sub' of 1 to 128 bytes",
            ))?;
        let expires_s =
            seconds(self.exp)?.ok_or(Refusal::TokenInvalid("The token needs an 'exp'"))?;
        let not_before_s = seconds(self.nbf)?.unwrap_or(0);
        let info = self.info.map(profile).transpose()?;
        let limits = self.limits.map(ClaimedLimits::read).transpose()?;
        let limits = limits.unwrap_or_default();
        if limits.messages_per_second == Some(0) || limits.message_bytes == Some(0) {
            return Err(Refusal::TokenInvalid(
                "The token's 'limits' must be 1 or more",
            ));
        }
        let expires = Timestamp(expires_s.saturating_mul(1000));
        if now >= expires.plus_ms(leeway_ms) {
            return Err(Refusal::TokenExpired);
        }
        if now.plus_ms(leeway_ms) < Timestamp(not_before_s.saturating_mul(1000)) {
            return Err(Refusal::TokenNotYetValid);
        }
        Ok(Claims {
            user,
            expires,
            grants: self.rooms,
            info,
            limits,
        })
    }
}

/// Checks a NumericDate (RFC 7519, section 2). Only whole seconds are accepted.
fn seconds(date: Option<u64>) -> Result<Option<u64>, Refusal> {
    match date {
        Some(seconds) if seconds > TIME_SECONDS_MAX => Err(Refusal::TokenInvalid(
            "The token's times are out of range: they are seconds, not milliseconds",
        )),
        date => Ok(date),
    }
}

/// Reads the `info` claim, an object of limited size.
fn profile(info: &RawValue) -> Result<Rc<RawValue>, Refusal> {
    let fits = info.get().len() <= INFO_BYTES_MAX && json::is_readable(info.get());
    if !json::is_object(info) || !fits {
        return Err(Refusal::TokenInvalid(
            "The token's 'info' must be an object of at most 1,024 bytes",
        ));
    }
    Ok(Rc::from(json::one_line(info).into_owned()))
}
