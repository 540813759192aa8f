//! Tokens: JWTs (RFC 7519) in JWS compact form (RFC 7515), checked against keys that each carry
//! their own algorithm. The header's `alg` never chooses one (RFC 8725, section 3.1).

mod claims;
mod dev_issuer;
mod identity_provider;
mod key;
pub(crate) mod numeric_date;

use std::{rc::Rc, vec};

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

/// The verification of a token.
///
/// Claims are read only after the signature is verified, so a refusal reveals nothing about the claims of
/// a forged token.
pub struct Verification<'a> {
    token: &'a str,
    rules: &'a TokenRules,
    now: Timestamp,
    untrusted: UntrustedToken<'a, Header>,
    selector: KeySelector,
    /// The keys that have not been tried yet; `None` until they are known.
    candidates: Option<vec::IntoIter<Rc<Key>>>,
    /// True once a key has verified the signature.
    is_signed: bool,
}

/// The next step of a [`Verification`].
pub enum Step<'a> {
    /// Get the identity provider's keys that match the selector, and pass them to
    /// [`Verification::set_keys`]: see [`IdentityProvider`].
    GetKeys {
        /// The URL of the provider's key set.
        provider: &'a ServiceUrl,
        /// The selector.
        selector: KeySelector,
    },
    /// Check whether the key verifies the signature of these bytes, and pass the result to
    /// [`Verification::set_checked`].
    CheckSignature {
        /// The key, which is a public one: [`Key::public`].
        key: Rc<Key>,
        /// The signed bytes.
        signed: &'a [u8],
        /// The signature.
        signature: Vec<u8>,
    },
    /// The verification has ended: with the claims, or with `token_invalid`, `token_expired` or
    /// `token_not_yet_valid`.
    Done(Result<Claims, Refusal>),
}

impl<'a> Verification<'a> {
    /// Starts the verification of a token.
    ///
    /// # Errors
    ///
    /// `token_invalid` if it is not a token, or has an algorithm that no key can have.
    pub fn start(token: &'a str, rules: &'a TokenRules, now: Timestamp) -> Result<Self, Refusal> {
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
        Ok(Self {
            token,
            rules,
            now,
            untrusted,
            selector,
            candidates: None,
            is_signed: false,
        })
    }

    /// Returns the next step.
    pub fn next_step(&mut self) -> Step<'a> {
        loop {
            if self.is_signed {
                return Step::Done(self.claims());
            }
            let Some(candidates) = &mut self.candidates else {
                match self.rules.keys_of(&self.selector) {
                    Keys::Known(keys) => self.set_keys(keys),
                    Keys::Provider(provider) => {
                        let selector = self.selector.clone();
                        return Step::GetKeys { provider, selector };
                    }
                }
                continue;
            };
            let Some(key) = candidates.next() else {
                return Step::Done(Err(NOT_SIGNED));
            };
            let (signed, _) = self.token.rsplit_once('.').unwrap_or_default();
            let (signed, signature) = (signed.as_bytes(), self.untrusted.signature_bytes());
            match &key.material {
                Material::Hs256(key) => self.is_signed = holds(&Hs256, key, signed, signature),
                Material::Hs384(key) => self.is_signed = holds(&Hs384, key, signed, signature),
                Material::Hs512(key) => self.is_signed = holds(&Hs512, key, signed, signature),
                Material::Public(public) if signature.len() == public.signature_bytes => {
                    let signature = signature.to_vec();
                    return Step::CheckSignature {
                        key,
                        signed,
                        signature,
                    };
                }
                Material::Public(_) => {}
            }
        }
    }

    /// Sets the keys that may have signed the token.
    pub fn set_keys(&mut self, keys: Vec<Rc<Key>>) {
        self.candidates = Some(keys.into_iter());
    }

    /// Sets whether the last key verifies the signature.
    pub fn set_checked(&mut self, holds: bool) {
        self.is_signed = holds;
    }

    fn claims(&self) -> Result<Claims, Refusal> {
        let payload = self.token.split('.').nth(1).unwrap_or_default();
        // Parsing the token has checked the encoding.
        let json = Base64UrlUnpadded::decode_vec(payload).map_err(|_| NOT_SIGNED)?;
        Claims::of_token(&json, self.rules, self.now)
    }
}

/// The keys that may have signed a token.
enum Keys<'a> {
    Known(Vec<Rc<Key>>),
    /// Those of an identity provider.
    Provider(&'a ServiceUrl),
}

impl TokenRules {
    /// Returns true if there is any source of keys.
    pub fn has_keys(&self) -> bool {
        let has_own = !self.secrets.is_empty() || !self.public.is_empty();
        has_own || self.provider.is_some()
    }

    /// Returns the keys that match the selector: the configured ones or, if there are none, the
    /// identity provider's.
    fn keys_of(&self, selector: &KeySelector) -> Keys<'_> {
        if let Algorithm::Hmac(_) = selector.algorithm {
            let fits = |key: &&Rc<Key>| key.algorithm() == selector.algorithm;
            return Keys::Known(self.secrets.iter().filter(fits).cloned().collect());
        }
        let configured = self.public.find(selector);
        match &self.provider {
            Some(provider) if configured.is_empty() => Keys::Provider(provider),
            _ => Keys::Known(configured),
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
