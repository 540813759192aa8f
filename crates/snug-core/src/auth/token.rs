//! Tokens: JWTs (RFC 7519) in JWS compact form (RFC 7515), checked against keys that each carry
//! their own algorithm. The header's `alg` never chooses one (RFC 8725, section 3.1).

mod claims;
mod dev_issuer;
mod identity_provider;
mod key;
pub(crate) mod numeric_date;

use std::{future::Future, rc::Rc};

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::{
    AlgorithmSignature, UntrustedToken,
    alg::{Hs256, Hs384, Hs512},
};
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use self::key::Material;
use crate::{
    ids::Timestamp, limits::TOKEN_BYTES_MAX, protocol::refusal::Refusal, service_url::ServiceUrl,
};

pub use self::{
    claims::{ClaimedLimits, Claims},
    dev_issuer::{CLAIMS_TOO_LONG, DevTokenIssuer, FORWARDED_HEADERS},
    identity_provider::{IdentityProvider, KeyLookup},
    key::{Algorithm, HmacAlgorithm, Key, KeySelector, KeySet, PublicAlgorithm, PublicKey},
};

/// The rules by which tokens are verified.
#[derive(Default)]
pub struct TokenRules {
    /// The accepted HMAC secrets, whatever `kid` a token has.
    pub secrets: Vec<Rc<Key>>,
    /// The accepted public keys.
    pub public: KeySet,
    /// The URL of an identity provider's key set, used if no configured public key matches.
    pub provider: Option<ServiceUrl>,
    /// The required `iss`, if set.
    pub issuer: Option<String>,
    /// The value that `aud` must contain, if set.
    pub audience: Option<String>,
    /// The allowed clock skew.
    pub leeway_ms: u64,
}

/// Platform operations that verifying a token needs.
pub trait Platform {
    /// Returns true if the key verifies the signature of these bytes.
    fn verify_signature(
        &self,
        key: &PublicKey,
        signed: &[u8],
        signature: &[u8],
    ) -> impl Future<Output = bool>;

    /// Returns the identity provider's keys that match the selector: see [`IdentityProvider`].
    ///
    /// # Errors
    ///
    /// `auth_unavailable` if the keys cannot be fetched.
    fn provider_keys(
        &self,
        provider: &ServiceUrl,
        selector: &KeySelector,
    ) -> impl Future<Output = Result<Vec<Rc<Key>>, Refusal>>;
}

/// The header fields that are read besides `alg` and `kid`.
#[derive(Clone, Deserialize)]
struct Header {
    /// `crit` lists extensions that must be understood. None is supported (RFC 7515, section
    /// 4.1.11), so its presence is an error.
    #[serde(default, rename = "crit", deserialize_with = "present")]
    has_crit: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The refusal of every token without a valid signature. It does not reveal which keys exist.
const NOT_SIGNED: Refusal = Refusal::TokenInvalid(
    "No configured key of the token's algorithm verifies the token's signature",
);

/// Verifies a token and reads its claims.
///
/// # Errors
///
/// `token_invalid`, `token_expired` or `token_not_yet_valid`; `auth_unavailable` if a key could not
/// be fetched. Claims are read only after the signature is verified, so a refusal reveals nothing
/// about the claims of a forged token.
pub async fn verify(
    token: &str,
    rules: &TokenRules,
    now: Timestamp,
    platform: &impl Platform,
) -> Result<Claims, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TokenInvalid("The token is over 8 KiB"));
    }
    let untrusted = UntrustedToken::<Header>::try_from(token)
        .map_err(|_| Refusal::TokenInvalid("The token is not a signed JWT"))?;
    if untrusted.header().other_fields.has_crit {
        return Err(Refusal::TokenInvalid("The token has a 'crit' header"));
    }
    let selector = KeySelector {
        algorithm: Algorithm::named(untrusted.algorithm()).ok_or(NOT_SIGNED)?,
        key_id: untrusted.header().key_id.clone(),
    };
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    for key in rules.keys_of(&selector, platform).await? {
        let signature = untrusted.signature_bytes();
        if key.verifies(signed.as_bytes(), signature, platform).await {
            let payload = token.split('.').nth(1).unwrap_or_default();
            // Parsing the token has checked the encoding.
            let json = Base64UrlUnpadded::decode_vec(payload).map_err(|_| NOT_SIGNED)?;
            return Claims::of_token(&json, rules, now);
        }
    }
    Err(NOT_SIGNED)
}

impl TokenRules {
    /// Returns true if there is any source of keys.
    pub fn has_keys(&self) -> bool {
        let has_own = !self.secrets.is_empty() || !self.public.is_empty();
        has_own || self.provider.is_some()
    }

    /// Returns the keys that match the selector: the configured ones or, if there are none, the
    /// identity provider's.
    async fn keys_of(
        &self,
        selector: &KeySelector,
        platform: &impl Platform,
    ) -> Result<Vec<Rc<Key>>, Refusal> {
        if let Algorithm::Hmac(_) = selector.algorithm {
            let fits = |key: &&Rc<Key>| key.algorithm() == selector.algorithm;
            return Ok(self.secrets.iter().filter(fits).cloned().collect());
        }
        let configured = self.public.find(selector);
        match &self.provider {
            Some(provider) if configured.is_empty() => {
                platform.provider_keys(provider, selector).await
            }
            _ => Ok(configured),
        }
    }
}

impl Key {
    async fn verifies(&self, signed: &[u8], signature: &[u8], platform: &impl Platform) -> bool {
        match &self.material {
            Material::Hs256(key) => holds(&Hs256, key, signed, signature),
            Material::Hs384(key) => holds(&Hs384, key, signed, signature),
            Material::Hs512(key) => holds(&Hs512, key, signed, signature),
            Material::Public(key) => {
                let is_whole = signature.len() == key.signature_bytes;
                is_whole && platform.verify_signature(key, signed, signature).await
            }
        }
    }
}

/// Returns true if the key verifies the signature. Used in place of jwt-compact's `validate`, which
/// reads the claims before it checks the signature.
fn holds<A: jwt_compact::Algorithm>(
    algorithm: &A,
    key: &A::VerifyingKey,
    signed: &[u8],
    signature: &[u8],
) -> bool {
    let is_whole = A::Signature::LENGTH.is_none_or(|length| length.get() == signature.len());
    is_whole
        && A::Signature::try_from_slice(signature)
            .is_ok_and(|signature| algorithm.verify_signature(&signature, key, signed))
}

#[cfg(test)]
#[allow(clippy::panic)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
