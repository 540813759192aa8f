//! Keys that verify tokens. Each is bound to one algorithm (RFC 8725, section 3.1), comes from a
//! secret or from a JWK Set (RFC 7517), and is selected by `kid`.

use std::{fmt, rc::Rc};

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::alg::{Hs256Key, Hs384Key, Hs512Key};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    limits::{RSA_BYTES_MAX, RSA_BYTES_MIN},
    protocol::json,
};

/// The accepted signature algorithms (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// An algorithm with a shared secret.
    Hmac(HmacAlgorithm),
    /// An algorithm with a public key.
    Public(PublicAlgorithm),
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

/// The public-key algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PublicAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518, section 3.3).
    Rs256,
    /// RSASSA-PSS with SHA-256 (RFC 7518, section 3.5).
    Ps256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518, section 3.4).
    Es256,
    /// Ed25519 (RFC 8037, section 3.1; RFC 9864 adds the name `Ed25519`).
    EdDsa,
}

impl Algorithm {
    /// Returns the algorithm that a header's `alg` names; `None` if it is not accepted.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hmac(HmacAlgorithm::Hs256),
            "HS384" => Self::Hmac(HmacAlgorithm::Hs384),
            "HS512" => Self::Hmac(HmacAlgorithm::Hs512),
            _ => Self::Public(PublicAlgorithm::named(name)?),
        })
    }
}

impl PublicAlgorithm {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// A key that verifies tokens.
pub struct Key {
    id: Option<String>,
    pub(super) material: Material,
}

pub(super) enum Material {
    Hs256(Hs256Key),
    Hs384(Hs384Key),
    Hs512(Hs512Key),
    Public(PublicKey),
}

/// A key with which the platform checks signatures. The platform's cryptography is faster than any
/// in Wasm and adds no code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey {
    /// The only algorithm that the key is used for.
    pub algorithm: PublicAlgorithm,
    /// The key as a JWK with the required members only.
    pub jwk: String,
    /// The length of its signatures.
    pub signature_bytes: usize,
}

/// The fields of a token's header that select a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySelector {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`.
    pub key_id: Option<String>,
}

impl Key {
    /// Creates a key from a shared secret for one HMAC algorithm. The caller checks the secret's length.
    pub fn hmac(algorithm: HmacAlgorithm, secret: &[u8]) -> Self {
        let material = match algorithm {
            HmacAlgorithm::Hs256 => Material::Hs256(Hs256Key::new(secret)),
            HmacAlgorithm::Hs384 => Material::Hs384(Hs384Key::new(secret)),
            HmacAlgorithm::Hs512 => Material::Hs512(Hs512Key::new(secret)),
        };
        Self { id: None, material }
    }

    /// Returns the public key; `None` if the key is a secret.
    pub fn public(&self) -> Option<&PublicKey> {
        match &self.material {
            Material::Public(key) => Some(key),
            _ => None,
        }
    }

    /// Returns the key's algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::Hs256(_) => Algorithm::Hmac(HmacAlgorithm::Hs256),
            Material::Hs384(_) => Algorithm::Hmac(HmacAlgorithm::Hs384),
            Material::Hs512(_) => Algorithm::Hmac(HmacAlgorithm::Hs512),
            Material::Public(key) => Algorithm::Public(key.algorithm),
        }
    }
}

/// The public keys of a JWK Set.
#[derive(Clone, Default)]
pub struct KeySet(Vec<Rc<Key>>);

impl KeySet {
    /// Reads an identity provider's set. Unusable keys are skipped (RFC 7517, section 5). Returns
    /// `None` if the text is not a JWK Set.
    pub fn read(json: &str) -> Option<Self> {
        let keys = jwks(json)?.into_iter();
        Some(Self(keys.filter_map(|key| key.ok().flatten()).collect()))
    }

    /// Reads the operator's own set and rejects it if any key is faulty.
    ///
    /// # Errors
    ///
    /// A description of the fault, without any part of a key.
    pub fn read_strictly(json: &str) -> Result<Self, String> {
        let keys = jwks(json).ok_or("must be a JWK Set: {\"keys\": […]}")?;
        let mut set = Vec::new();
        for (index, key) in keys.into_iter().enumerate() {
            let number = index.saturating_add(1);
            match key {
                Ok(key) => set.extend(key),
                Err(fault) => return Err(format!("has an invalid key: key {number} {fault}")),
            }
        }
        if set.is_empty() {
            return Err("contains no key that verifies signatures".into());
        }
        let set = Self(set);
        for key in &set.0 {
            let same_name = set.find(&KeySelector {
                algorithm: key.algorithm(),
                key_id: key.id.clone(),
            });
            if same_name.len() != 1 {
                return Err("has keys with the same 'alg' and no distinct 'kid'".into());
            }
        }
        Ok(set)
    }

    /// Returns true if the set has no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the keys with the selector's algorithm and `kid`. Without a `kid`, returns the only
    /// key of the algorithm; none if there are several.
    pub fn find(&self, selector: &KeySelector) -> Vec<Rc<Key>> {
        let fits = |key: &&Rc<Key>| {
            key.algorithm() == selector.algorithm
                && (selector.key_id.is_none() || key.id == selector.key_id)
        };
        let found: Vec<_> = self.0.iter().filter(fits).cloned().collect();
        if selector.key_id.is_none() && found.len() > 1 {
            return Vec::new();
        }
        found
    }
}

/// The reason why a JWK cannot verify tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Form,
    Private,
    Secret,
    Type,
    Algorithm,
    Mismatch,
    Parts,
    RsaLength,
    RsaExponent,
    SmallOrder,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "is not a JWK",
            Self::Private => {
                "is a private key: replace it, and configure only the public part of the new one"
            }
            Self::Secret => "is a secret: it belongs in JWT_SECRET",
            Self::Type => "must have 'kty' RSA, EC with 'crv' P-256, or OKP with 'crv' Ed25519",
            Self::Algorithm => "has an 'alg' other than RS256, PS256, ES256 and EdDSA",
            Self::Mismatch => "has an 'alg' that does not fit its 'kty'",
            Self::Parts => "has a part that is missing or is not base64url of the right length",
            Self::RsaLength => "is an RSA key with fewer than 2,048 or more than 8,192 bits",
            Self::SmallOrder => {
                "is an Ed25519 key of small order, for which signatures can be forged"
            }
            Self::RsaExponent => "is an RSA key with an exponent other than 3 and 65537",
        })
    }
}

/// A JWK's members. Duplicates are rejected.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<IgnoredAny>,
}

type Read = Result<Option<Rc<Key>>, Fault>;

/// Reads the keys of a JWK Set; a key that is not for signatures is `None`.
fn jwks(json: &str) -> Option<Vec<Read>> {
    let json = json::without_bom(json);
    #[derive(Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let is_object = json.trim_ascii_start().starts_with('{');
    let set: Set = serde_json::from_str(json).ok().filter(|_| is_object)?;
    // serde also reads a struct from an array, which is not a JWK.
    let jwk = |key: &RawValue| serde_json::from_str::<Jwk>(key.get()).ok();
    let read = |key: &&RawValue| {
        let jwk = jwk(key).filter(|_| json::is_object(key));
        jwk.ok_or(Fault::Form)?.read()
    };
    Some(set.keys.iter().map(read).collect())
}

impl Jwk {
    fn read(self) -> Read {
        let is_for_others = self
            .purpose
            .as_ref()
            .is_some_and(|purpose| purpose != "sig");
        let verifies = |operations: &Vec<String>| operations.iter().any(|one| one == "verify");
        if is_for_others || !self.key_ops.as_ref().is_none_or(verifies) {
            return Ok(None);
        }
        if self.kty == "oct" {
            return Err(Fault::Secret);
        }
        if self.d.is_some() {
            return Err(Fault::Private);
        }
        let algorithm = self.algorithm()?;
        let (jwk, signature_bytes) = match algorithm {
            PublicAlgorithm::Rs256 | PublicAlgorithm::Ps256 => {
                let (n, e) = (part(&self.n)?, part(&self.e)?);
                // Some providers write a leading zero, although RFC 7518 forbids it.
                let n = without_leading_zeros(&n);
                let is_whole = n.first().is_some_and(|first| first.leading_zeros() == 0);
                let has_bits = n.len() > RSA_BYTES_MIN || n.len() == RSA_BYTES_MIN && is_whole;
                if !has_bits || n.len() > RSA_BYTES_MAX {
                    return Err(Fault::RsaLength);
                }
                // The only exponents that the runtime accepts.
                if !matches!(without_leading_zeros(&e), [3] | [1, 0, 1]) {
                    return Err(Fault::RsaExponent);
                }
                let (bytes, n, e) = (n.len(), base64url(n), base64url(&e));
                (format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#), bytes)
            }
            PublicAlgorithm::Es256 => {
                let (x, y) = (coordinate(&self.x)?, coordinate(&self.y)?);
                let jwk = format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#);
                (jwk, 2 * CURVE_BYTES)
            }
            PublicAlgorithm::EdDsa => {
                let x = coordinate(&self.x)?;
                if is_of_small_order(&x) {
                    return Err(Fault::SmallOrder);
                }
                let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
                (jwk, 2 * CURVE_BYTES)
            }
        };
        let key = PublicKey {
            algorithm,
            jwk,
            signature_bytes,
        };
        Ok(Some(Rc::new(Key {
            id: self.kid,
            material: Material::Public(key),
        })))
    }

    /// Returns the key's algorithm. Without an `alg`, it follows from the key's type; for RSA it is
    /// RS256, which providers that omit `alg` use.
    fn algorithm(&self) -> Result<PublicAlgorithm, Fault> {
        use PublicAlgorithm::{EdDsa, Es256, Ps256, Rs256};
        let of_type: &[PublicAlgorithm] = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", None) => &[Rs256, Ps256],
            ("EC", Some("P-256")) => &[Es256],
            ("OKP", Some("Ed25519")) => &[EdDsa],
            _ => return Err(Fault::Type),
        };
        let Some(name) = &self.alg else {
            return of_type.first().copied().ok_or(Fault::Type);
        };
        let named = PublicAlgorithm::named(name).ok_or(Fault::Algorithm)?;
        of_type
            .contains(&named)
            .then_some(named)
            .ok_or(Fault::Mismatch)
    }
}

fn part(text: &Option<String>) -> Result<Vec<u8>, Fault> {
    let bytes = text
        .as_ref()
        .map(|text| Base64UrlUnpadded::decode_vec(text));
    bytes
        .and_then(Result::ok)
        .filter(|bytes| !bytes.is_empty())
        .ok_or(Fault::Parts)
}

/// The length of a coordinate on either curve.
const CURVE_BYTES: usize = 32;

/// Checks a coordinate's length and returns it in base64url.
fn coordinate(text: &Option<String>) -> Result<String, Fault> {
    let bytes = part(text)?;
    (bytes.len() == CURVE_BYTES)
        .then(|| base64url(&bytes))
        .ok_or(Fault::Parts)
}

/// Returns true if an Ed25519 key is a point of small order (8 times the point is zero). Signatures
/// for such keys can be forged, and the runtime does not check for them. They are the curve's points
/// with y = 0, 1, -1 and two others (RFC 8032, section 5.1), also if encoded as y + p.
fn is_of_small_order(x: &str) -> bool {
    const POINTS: [&str; 7] = [
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU",
        "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o",
        "7P_______________________________________38",
        "7f_______________________________________38",
        "7v_______________________________________38",
    ];
    // The last bit, the sign of the other coordinate, does not matter.
    let mut bytes = Base64UrlUnpadded::decode_vec(x).unwrap_or_default();
    if let Some(last) = bytes.last_mut() {
        *last &= 0x7f;
    }
    POINTS.contains(&&*base64url(&bytes))
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn base64url(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

#[cfg(test)]
mod tests;
