//! Verifies public-key signatures with the runtime's WebCrypto.
//!
//! In Wasm, verifying RSA takes ten times as long and ECDSA fourteen times, and the code of the
//! algorithms would make the Worker a third larger.

use std::{cell::RefCell, collections::BTreeMap};

use js_sys::{Array, JSON, Object, Reflect, Uint8Array};
use snug_core::auth::token::{PublicAlgorithm, PublicKey};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use web_sys::CryptoKey;
use worker::{console_error, wasm_bindgen_futures};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"], js_name = importKey)]
    async fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        extractable: bool,
        usages: &Array,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["crypto", "subtle"])]
    async fn verify(
        algorithm: &JsValue,
        key: &CryptoKey,
        signature: &Uint8Array,
        signed: &Uint8Array,
    ) -> Result<JsValue, JsValue>;
}

/// The maximum number of cached keys, which is more than identity providers have.
const KEYS_MAX: usize = 64;

thread_local! {
    /// The imported keys; `None` for a key that cannot be imported.
    static KEYS: RefCell<BTreeMap<PublicKey, Option<Imported>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Returns true if the signature of these bytes is valid for the key.
pub async fn holds(key: &PublicKey, signed: &[u8], signature: &[u8]) -> bool {
    // A signature that cannot be checked is invalid.
    check(key, signed, signature).await.unwrap_or_default()
}

async fn check(key: &PublicKey, signed: &[u8], signature: &[u8]) -> Result<bool, JsValue> {
    let Some(imported) = imported(key).await else {
        return Ok(false);
    };
    let (signature, signed) = (Uint8Array::from(signature), Uint8Array::from(signed));
    let holds = verify(&imported.algorithm, &imported.key, &signature, &signed).await?;
    Ok(holds.is_truthy())
}

/// A key that was imported into the runtime.
#[derive(Clone)]
struct Imported {
    key: CryptoKey,
    algorithm: JsValue,
}

/// Returns the imported key, and imports it on the first call.
async fn imported(key: &PublicKey) -> Option<Imported> {
    if let Some(imported) = KEYS.with_borrow(|keys| keys.get(key).cloned()) {
        return imported;
    }
    let imported = import(key).await.ok();
    if imported.is_none() {
        // For example, a point that is not on the curve. Logged once, because the result is cached.
        console_error!("a public key for {:?} cannot be used", key.algorithm);
    }
    KEYS.with_borrow_mut(|keys| {
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(key.clone(), imported.clone());
    });
    imported
}

async fn import(key: &PublicKey) -> Result<Imported, JsValue> {
    let (jwk, algorithm) = (JSON::parse(&key.jwk)?, parameters(key.algorithm)?);
    let usages = Array::of1(&"verify".into());
    let key = import_key("jwk", &jwk, &algorithm, false, &usages).await?;
    let key = key.unchecked_into();
    Ok(Imported { key, algorithm })
}

/// Returns the algorithm's parameters in WebCrypto, for import and verification.
fn parameters(algorithm: PublicAlgorithm) -> Result<JsValue, JsValue> {
    let fields: &[(&str, JsValue)] = &match algorithm {
        PublicAlgorithm::Rs256 => [
            ("name", "RSASSA-PKCS1-v1_5".into()),
            ("hash", "SHA-256".into()),
        ],
        PublicAlgorithm::Ps256 => [("name", "RSA-PSS".into()), ("hash", "SHA-256".into())],
        PublicAlgorithm::Es256 => [("name", "ECDSA".into()), ("hash", "SHA-256".into())],
        PublicAlgorithm::EdDsa => [("name", "Ed25519".into()), ("hash", JsValue::UNDEFINED)],
    };
    let parameters = Object::new();
    for (name, value) in fields {
        Reflect::set(&parameters, &(*name).into(), value)?;
    }
    match algorithm {
        // The salt is as long as the hash (RFC 7518, section 3.5).
        PublicAlgorithm::Ps256 => Reflect::set(&parameters, &"saltLength".into(), &32.into())?,
        PublicAlgorithm::Es256 => Reflect::set(&parameters, &"namedCurve".into(), &"P-256".into())?,
        PublicAlgorithm::Rs256 | PublicAlgorithm::EdDsa => true,
    };
    Ok(parameters.into())
}
