//! Tokens: JWTs (RFC 7519) in JWS compact form (RFC 7515), checked against keys that each carry
//! their own algorithm. The header's `alg` never chooses one (RFC 8725, section 3.1).

mod claims;
mod dev_issuer;
mod identity_provider;
mod key;

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
    dev_issuer::{CLAIMS_TOO_LONG, DevTokenIssuer},
    identity_provider::{IdentityProvider, KeyLookup},
    key::{Algorithm, HmacAlgorithm, Key, KeySelector, KeySet, PublicAlgorithm, PublicKey},
};

/// Which tokens hold.
#[derive(Default)]
pub struct TokenRules {
    /// The secrets that are accepted, whatever `kid` a token has.
    pub secrets: Vec<Rc<Key>>,
    /// The public keys that are accepted.
    pub public: KeySet,
    /// Where others are to be had.
    pub provider: Option<ServiceUrl>,
    /// Required `iss`, where set.
    pub issuer: Option<String>,
    /// Required in `aud`, where set.
    pub audience: Option<String>,
    /// Clock skew allowed.
    pub leeway_ms: u64,
}

/// What it takes to check a token beside the rules.
pub trait Platform {
    /// Whether the signature of these bytes is the key's.
    fn holds(&self, key: &PublicKey, signed: &[u8], signature: &[u8])
    -> impl Future<Output = bool>;

    /// The provider's keys that the signer may mean: see [`IdentityProvider`].
    ///
    /// # Errors
    ///
    /// `auth_unavailable`, where they are not to be had.
    fn provided(
        &self,
        provider: &ServiceUrl,
        signer: &KeySelector,
    ) -> impl Future<Output = Result<Vec<Rc<Key>>, Refusal>>;
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

/// What is told of every token that is not ours, so that nobody learns which keys there are.
const NOT_SIGNED: Refusal = Refusal::TokenInvalid(
    "The token's signature does not hold for any configured key and its algorithm",
);

/// Checks a token and reads its claims.
///
/// # Errors
///
/// `token_invalid`, `token_expired` or `token_not_yet_valid`, and `auth_unavailable` where a key
/// could not be had. The times are looked at last, so that nobody learns anything of a token whose
/// signature does not hold.
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
    let signer = KeySelector {
        algorithm: Algorithm::named(untrusted.algorithm()).ok_or(NOT_SIGNED)?,
        key_id: untrusted.header().key_id.clone(),
    };
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    for key in rules.keys_of(&signer, platform).await? {
        let signature = untrusted.signature_bytes();
        if key.verifies(signed.as_bytes(), signature, platform).await {
            let payload = token.split('.').nth(1).unwrap_or_default();
            // Its form was looked at with the token's.
            let json = Base64UrlUnpadded::decode_vec(payload).map_err(|_| NOT_SIGNED)?;
            return Claims::of_token(&json, rules, now);
        }
    }
    Err(NOT_SIGNED)
}

impl TokenRules {
    /// Whether there is any key at all.
    pub fn has_keys(&self) -> bool {
        let has_own = !self.secrets.is_empty() || !self.public.is_empty();
        has_own || self.provider.is_some()
    }

    /// The keys that the signer may mean: the configured ones, or the provider's.
    async fn keys_of(
        &self,
        signer: &KeySelector,
        platform: &impl Platform,
    ) -> Result<Vec<Rc<Key>>, Refusal> {
        if let Algorithm::Hmac(_) = signer.algorithm {
            let fits = |key: &&Rc<Key>| key.algorithm() == signer.algorithm;
            return Ok(self.secrets.iter().filter(fits).cloned().collect());
        }
        let configured = self.public.find(signer);
        match &self.provider {
            Some(provider) if configured.is_empty() => platform.provided(provider, signer).await,
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
                is_whole && platform.holds(key, signed, signature).await
            }
        }
    }
}

/// Whether the signature is the key's. jwt-compact's own `validate` reads the claims before it
/// looks at the signature.
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
