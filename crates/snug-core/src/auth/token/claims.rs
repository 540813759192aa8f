//! The claims of a verified token, or of an application's response for a cookie session.

use std::{collections::BTreeMap, rc::Rc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{TokenRules, numeric_date};
use crate::{
    capability::{DUPLICATE_PATTERN, Grants},
    ids::{Timestamp, UserId},
    limits::{INFO_BYTES_MAX, SAFE_INTEGER_MAX, USER_BYTES_MAX},
    protocol::{
        json::{self, MembersError},
        refusal::Refusal,
    },
    rate::Rate,
};

/// A user's claims.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `sub`.
    pub user: UserId,
    /// `exp` in whole seconds, without the leeway.
    pub expires: Timestamp,
    /// `iat` in milliseconds, or 0 if it is absent. An application has just confirmed the claims of a
    /// cookie session, so no token is newer.
    pub issued: Timestamp,
    /// `rooms`.
    pub grants: Grants,
    /// `info`: a JSON object.
    pub info: Option<Rc<RawValue>>,
    /// `limits`.
    pub limits: ClaimedLimits,
}

/// The author of messages that the application's own Worker publishes without a `user`.
const APPLICATION: &str = "server";
/// The time for which its claims hold: longer than any request.
const APPLICATION_MS: u64 = 60_000;

/// The `limits` claim. It can only tighten the operator's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimedLimits {
    /// Commands per second, at least 1.
    pub messages_per_second: Option<u64>,
    /// Bytes of one command, at least 1.
    pub message_bytes: Option<u64>,
}

impl Claims {
    /// Returns the claims of the application's own Worker, which calls Snug within its process and needs no token.
    pub fn of_application(now: Timestamp) -> Option<Self> {
        Some(Self {
            user: UserId::parse(APPLICATION)?,
            expires: now.plus_ms(APPLICATION_MS),
            issued: now,
            grants: Grants::everything(),
            info: None,
            limits: ClaimedLimits::default(),
        })
    }

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
        payload.check_issuer(rules.issuer.as_deref())?;
        payload.check_audience(rules.audience.as_deref())?;
        payload.into_claims(rules.leeway_ms, now)
    }

    /// Reads the claims that an application returns for a cookie session. They come directly from
    /// the application, so `iss` and `aud` are not checked.
    ///
    /// # Errors
    ///
    /// `token_invalid`, `token_expired` or `token_not_yet_valid`.
    pub fn of_session(json: &[u8], leeway_ms: u64, now: Timestamp) -> Result<Self, Refusal> {
        let claims = Payload::read(json)?.into_claims(leeway_ms, now)?;
        let issued = Timestamp(SAFE_INTEGER_MAX);
        Ok(Self { issued, ..claims })
    }
}

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

    fn read(raw: &RawValue) -> Result<Self, Refusal> {
        let names = ["messages_per_second", "message_bytes"];
        let members = json::members(raw.get(), &names).map_err(|error| match error {
            MembersError::Twice(name) => invalid(format!("'limits' has '{name}' twice")),
            _ => mismatch("'limits' must be an object", json::kind(raw)),
        })?;
        let limit = |name| {
            let given = members.get(name).filter(|raw| !is_null(raw));
            let number = |raw: &&RawValue| match json::whole_number(raw) {
                Some(number) if number > 0 => Ok(number),
                _ => {
                    let expected =
                        format!("'{name}' in 'limits' must be a whole number, 1 or more");
                    Err(mismatch(&expected, described(raw)))
                }
            };
            given.map(number).transpose()
        };
        Ok(Self {
            messages_per_second: limit("messages_per_second")?,
            message_bytes: limit("message_bytes")?,
        })
    }
}

/// The claims that are read.
const NAMES: [&str; 10] = [
    "sub", "exp", "nbf", "iat", "jti", "iss", "aud", "rooms", "info", "limits",
];

const SUB: &str = "'sub' must be a string of 1 to 128 bytes without control characters";
const ISS: &str = "'iss' must be a string";
const AUD: &str = "'aud' must be a string or a list of strings";
const ROOMS: &str = "'rooms' must be a list of room patterns, or an object that maps patterns to lists of capabilities";
const INFO: &str = "'info' must be an object of at most 1,024 bytes";

/// The claims as written. `jti` is among them only so that a duplicate is rejected.
struct Payload<'a>(BTreeMap<&'static str, &'a RawValue>);

impl<'a> Payload<'a> {
    fn read(json: &'a [u8]) -> Result<Self, Refusal> {
        let text = str::from_utf8(json).map_err(|_| invalid("The claims are not UTF-8"))?;
        let members = json::members(json::without_bom(text), &NAMES);
        members.map(Self).map_err(|error| match error {
            MembersError::NotJson => invalid("The claims are not valid JSON"),
            MembersError::NotAnObject(kind) => mismatch("The claims must be a JSON object", kind),
            MembersError::Twice(name) => invalid(format!("The claims contain '{name}' twice")),
        })
    }

    fn check_issuer(&self, required: Option<&str>) -> Result<(), Refusal> {
        let issuer = self.issuer()?;
        match required {
            Some(_) if issuer.is_none() => Err(missing("'iss' must be the issuer in JWT_ISSUER")),
            Some(required) if issuer.as_deref() != Some(required) => {
                Err(invalid("'iss' is not the issuer in JWT_ISSUER"))
            }
            _ => Ok(()),
        }
    }

    fn check_audience(&self, required: Option<&str>) -> Result<(), Refusal> {
        let audience = self.audience()?;
        match (required, audience) {
            (Some(_), None) => Err(missing("'aud' must contain the audience in JWT_AUDIENCE")),
            (Some(required), Some(names)) if !names.iter().any(|name| name == required) => Err(
                invalid("'aud' does not contain the audience in JWT_AUDIENCE"),
            ),
            _ => Ok(()),
        }
    }

    fn into_claims(self, leeway_ms: u64, now: Timestamp) -> Result<Claims, Refusal> {
        let user = self.user()?;
        let expires = self
            .date("exp")?
            .ok_or_else(|| missing(&numeric_date::expected("exp")))?;
        let expires = Timestamp((expires.floor() as u64).saturating_mul(1000));
        let not_before = self.date("nbf")?.unwrap_or(0.0);
        let not_before = Timestamp((not_before.ceil() as u64).saturating_mul(1000));
        let issued = self.date("iat")?.map(numeric_date::to_nearest_ms);
        self.issuer()?;
        self.audience()?;
        let grants = self.grants()?;
        let info = self.optional("info").filter(|raw| raw.get() != "false");
        let info = info.map(profile).transpose()?;
        let limits = self.0.get("limits").map(|raw| ClaimedLimits::read(raw));
        let limits = limits.transpose()?.unwrap_or_default();
        if now >= expires.plus_ms(leeway_ms) {
            return Err(Refusal::TokenExpired);
        }
        if now.plus_ms(leeway_ms) < not_before {
            return Err(Refusal::TokenNotYetValid);
        }
        Ok(Claims {
            user,
            expires,
            issued: issued.unwrap_or_default(),
            grants,
            info,
            limits,
        })
    }

    /// Returns a claim, unless it is absent or `null`.
    fn optional(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| !is_null(raw))
    }

    fn user(&self) -> Result<UserId, Refusal> {
        let raw = self.0.get("sub").ok_or_else(|| missing(SUB))?;
        let sub = string(raw).ok_or_else(|| mismatch(SUB, json::kind(raw)))?;
        UserId::parse(&sub).ok_or_else(|| match sub.len() {
            0 => mismatch(SUB, "empty"),
            bytes if bytes > USER_BYTES_MAX => invalid(format!("{SUB}; it has {bytes} bytes")),
            _ => invalid(format!("{SUB}; it contains a control character")),
        })
    }

    /// Returns a time in seconds, unless it is absent or `null`. `exp` is required, so `null` is wrong.
    fn date(&self, name: &str) -> Result<Option<f64>, Refusal> {
        let raw = self
            .0
            .get(name)
            .filter(|raw| name == "exp" || !is_null(raw));
        let seconds = raw.map(|raw| numeric_date::read(name, raw)).transpose();
        seconds.map_err(Refusal::ClaimInvalid)
    }

    fn issuer(&self) -> Result<Option<String>, Refusal> {
        let Some(raw) = self.optional("iss") else {
            return Ok(None);
        };
        let issuer = string(raw).ok_or_else(|| mismatch(ISS, json::kind(raw)))?;
        Ok(Some(issuer))
    }

    fn audience(&self) -> Result<Option<Vec<String>>, Refusal> {
        let Some(raw) = self.optional("aud") else {
            return Ok(None);
        };
        let names = match json::kind(raw) {
            "a list" => serde_json::from_str(raw.get())
                .map_err(|_| invalid(format!("{AUD}; the list contains something else")))?,
            kind => vec![string(raw).ok_or_else(|| mismatch(AUD, kind))?],
        };
        Ok(Some(names))
    }

    fn grants(&self) -> Result<Grants, Refusal> {
        let Some(raw) = self.0.get("rooms") else {
            return Ok(Grants::default());
        };
        serde_json::from_str(raw.get()).map_err(|error| match json::kind(raw) {
            "a list" => invalid(format!(
                "{ROOMS}; the list contains something that is not a string"
            )),
            "an object" if error.to_string().starts_with(DUPLICATE_PATTERN) => {
                invalid("'rooms' contains the same pattern twice")
            }
            "an object" => invalid(format!(
                "{ROOMS}; a value in the object is not a list of strings"
            )),
            kind => mismatch(ROOMS, kind),
        })
    }
}

/// Reads the `info` claim, an object of limited size.
fn profile(info: &RawValue) -> Result<Rc<RawValue>, Refusal> {
    let bytes = info.get().len();
    if !json::is_object(info) {
        return Err(mismatch(INFO, json::kind(info)));
    }
    if bytes > INFO_BYTES_MAX {
        return Err(invalid(format!("{INFO}; it has {bytes} bytes")));
    }
    if !json::is_readable(info.get()) {
        let found = "nested more than 64 levels deep, or contains a number beyond a double or an unpaired surrogate";
        return Err(mismatch(INFO, found));
    }
    Ok(Rc::from(json::one_line(info).into_owned()))
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// Returns what is wrong with a limit.
fn described(raw: &RawValue) -> &'static str {
    match json::number(raw) {
        Some(number) if number < 0.0 => "negative",
        Some(0.0) => "0",
        Some(_) => "not whole",
        None => json::kind(raw),
    }
}

/// Creates the refusal of a claim that is not as expected; `found` completes "it is".
fn mismatch(expected: &str, found: &str) -> Refusal {
    invalid(format!("{expected}; it is {found}"))
}

/// Creates the refusal of claims without a required one.
fn missing(expected: &str) -> Refusal {
    invalid(format!("{expected}; it is missing"))
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::ClaimInvalid(why.into())
}
