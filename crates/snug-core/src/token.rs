//! Tokens: JWTs (RFC 7519) in JWS compact form (RFC 7515), checked against keys that each carry
//! their own algorithm. The header's `alg` never chooses one (RFC 8725, section 3.1).

use std::rc::Rc;

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::{
    Algorithm, AlgorithmSignature, UntrustedToken,
    alg::{Hs256, Hs256Key, Hs384, Hs384Key, Hs512, Hs512Key},
};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    capability::Grants,
    ids::{Timestamp, UserId},
    json,
    limits::{INFO_BYTES_MAX, SAFE_INTEGER_MAX, TOKEN_BYTES_MAX},
    refusal::Refusal,
};

/// A key that verifies tokens, bound to its one algorithm.
pub struct Key(Material);

enum Material {
    Hs256(Hs256Key),
    Hs384(Hs384Key),
    Hs512(Hs512Key),
}

/// The HMAC algorithms (RFC 7518, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl Key {
    /// A shared secret for one HMAC algorithm. Its strength is the caller's to check.
    pub fn hmac(algorithm: HmacAlgorithm, secret: &[u8]) -> Self {
        Self(match algorithm {
            HmacAlgorithm::Hs256 => Material::Hs256(Hs256Key::new(secret)),
            HmacAlgorithm::Hs384 => Material::Hs384(Hs384Key::new(secret)),
            HmacAlgorithm::Hs512 => Material::Hs512(Hs512Key::new(secret)),
        })
    }

    fn verifies(&self, token: &UntrustedToken<'_, Header>, signed: &str) -> bool {
        match &self.0 {
            Material::Hs256(key) => holds(&Hs256, key, token, signed),
            Material::Hs384(key) => holds(&Hs384, key, token, signed),
            Material::Hs512(key) => holds(&Hs512, key, token, signed),
        }
    }
}

/// Whether the token is of the algorithm, and its signature is the key's.
///
/// jwt-compact's own `validate` reads the claims before it looks at the signature.
fn holds<A: Algorithm>(
    algorithm: &A,
    key: &A::VerifyingKey,
    token: &UntrustedToken<'_, Header>,
    signed: &str,
) -> bool {
    let bytes = token.signature_bytes();
    let is_whole = A::Signature::LENGTH.is_none_or(|length| length.get() == bytes.len());
    algorithm.name() == token.algorithm()
        && is_whole
        && A::Signature::try_from_slice(bytes)
            .is_ok_and(|signature| algorithm.verify_signature(&signature, key, signed.as_bytes()))
}

/// What a token has to satisfy beside its signature.
pub struct TokenRules {
    /// The keys that are accepted.
    pub keys: Vec<Key>,
    /// Required `iss`, where set.
    pub issuer: Option<String>,
    /// Required in `aud`, where set.
    pub audience: Option<String>,
    /// Clock skew allowed.
    pub leeway_ms: u64,
}

/// What a token proved.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `sub`.
    pub user: UserId,
    /// `exp`, without leeway.
    pub expires: Timestamp,
    /// `rooms`.
    pub grants: Grants,
    /// `info`: a JSON object.
    pub info: Option<Rc<RawValue>>,
    /// `limits`.
    pub limits: ClaimedLimits,
}

/// The `limits` claim: bounds that may only tighten the operator's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimedLimits {
    /// Commands each second, at least 1.
    pub messages_per_second: Option<u64>,
    /// Bytes of one command, at least 1.
    pub message_bytes: Option<u64>,
}

/// The header fields that matter beside `alg` and `kid`.
#[derive(Clone, Deserialize)]
struct Header {
    /// Present means: there are extensions that must be understood. None are (RFC 7515, 4.1.11).
    #[serde(default, rename = "crit", deserialize_with = "present")]
    has_crit: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[derive(Deserialize)]
struct Payload<'a> {
    sub: Option<String>,
    exp: Option<u64>,
    nbf: Option<u64>,
    #[serde(rename = "iat")]
    _iat: Option<IgnoredAny>,
    iss: Option<String>,
    aud: Option<Audience>,
    #[serde(default)]
    rooms: Grants,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    #[serde(default)]
    limits: ClaimedLimits,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::One(name) => name == wanted,
            Self::Many(names) => names.iter().any(|name| name == wanted),
        }
    }
}

/// Checks a token and reads its claims.
///
/// # Errors
///
/// `token_invalid`, `token_expired` or `token_not_yet_valid`. The times are looked at last, so
/// that nobody learns anything of a token whose signature does not hold.
pub fn verify(token: &str, rules: &TokenRules, now: Timestamp) -> Result<Claims, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TokenInvalid("The token is over 8 KiB"));
    }
    let untrusted = UntrustedToken::<Header>::try_from(token)
        .map_err(|_| Refusal::TokenInvalid("The token is not a signed JWT"))?;
    if untrusted.header().other_fields.has_crit {
        return Err(Refusal::TokenInvalid("The token has a 'crit' header"));
    }
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    if !rules
        .keys
        .iter()
        .any(|key| key.verifies(&untrusted, signed))
    {
        return Err(Refusal::TokenInvalid(
            "The token's signature does not hold for any configured key and its algorithm",
        ));
    }
    read_claims(token, rules, now)
}

/// Reads what a verified token says.
fn read_claims(token: &str, rules: &TokenRules, now: Timestamp) -> Result<Claims, Refusal> {
    const UNREADABLE: Refusal = Refusal::TokenInvalid("The token's claims are not of their form");
    let payload = token.split('.').nth(1).unwrap_or_default();
    let json = Base64UrlUnpadded::decode_vec(payload).map_err(|_| UNREADABLE)?;
    let payload: Payload = serde_json::from_slice(&json).map_err(|_| UNREADABLE)?;

    let user = payload
        .sub
        .as_deref()
        .and_then(UserId::parse)
        .ok_or(Refusal::TokenInvalid(
            "The token needs a 'sub' of 1 to 128 bytes",
        ))?;
    let expires_s =
        seconds(payload.exp)?.ok_or(Refusal::TokenInvalid("The token needs an 'exp'"))?;
    let not_before_s = seconds(payload.nbf)?.unwrap_or(0);
    if rules.issuer.is_some() && payload.iss != rules.issuer {
        return Err(Refusal::TokenInvalid(
            "The token's 'iss' is not the required one",
        ));
    }
    if let Some(wanted) = &rules.audience
        && !payload.aud.is_some_and(|aud| aud.names(wanted))
    {
        return Err(Refusal::TokenInvalid(
            "The token's 'aud' does not hold the required one",
        ));
    }
    let info = payload.info.map(profile).transpose()?;
    if payload.limits.messages_per_second == Some(0) || payload.limits.message_bytes == Some(0) {
        return Err(Refusal::TokenInvalid(
            "The token's 'limits' must be 1 or more",
        ));
    }

    let expires = Timestamp(expires_s.saturating_mul(1000));
    if now >= expires.plus_ms(rules.leeway_ms) {
        return Err(Refusal::TokenExpired);
    }
    if now.plus_ms(rules.leeway_ms) < Timestamp(not_before_s.saturating_mul(1000)) {
        return Err(Refusal::TokenNotYetValid);
    }
    Ok(Claims {
        user,
        expires,
        grants: payload.rooms,
        info,
        limits: payload.limits,
    })
}

/// A NumericDate (RFC 7519, section 2), of which whole seconds are accepted.
fn seconds(date: Option<u64>) -> Result<Option<u64>, Refusal> {
    match date {
        Some(seconds) if seconds > SAFE_INTEGER_MAX / 1000 => {
            Err(Refusal::TokenInvalid("The token's times are out of range"))
        }
        date => Ok(date),
    }
}

/// The `info` claim: an object of bounded size.
fn profile(info: &RawValue) -> Result<Rc<RawValue>, Refusal> {
    let fits = info.get().len() <= INFO_BYTES_MAX && json::is_readable(info.get());
    if !json::is_object(info) || !fits {
        return Err(Refusal::TokenInvalid(
            "The token's 'info' must be an object of at most 1,024 bytes",
        ));
    }
    Ok(Rc::from(json::one_line(info).into_owned()))
}

#[cfg(test)]
mod tests;
