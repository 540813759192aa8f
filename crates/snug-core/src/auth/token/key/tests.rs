//! Tests of `key.rs`.

use serde_json::{Value, json};

use super::*;

/// RFC 8037, appendix A.2.
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

#[test]
fn binds_each_key_to_one_algorithm() {
    use PublicAlgorithm::{EdDsa, Es256, Ps256, Rs256};
    for (jwk, alg, algorithm) in [
        (rsa(256), "RS256", Rs256),
        (rsa(256), "PS256", Ps256),
        (ec(), "ES256", Es256),
        (okp(), "EdDSA", EdDsa),
        (okp(), "Ed25519", EdDsa),
    ] {
        let set = KeySet::read_strictly(&set(&[with(&jwk, "alg", alg)])).unwrap();
        assert_eq!(algorithms(&set), [Algorithm::Public(algorithm)], "{alg}");
    }
    // Keys without an `alg`.
    for (jwk, algorithm) in [(rsa(256), Rs256), (ec(), Es256), (okp(), EdDsa)] {
        let set = KeySet::read_strictly(&set(&[jwk])).unwrap();
        assert_eq!(algorithms(&set), [Algorithm::Public(algorithm)]);
    }
}

#[test]
fn passes_only_the_keys_parts_to_the_platform() {
    let jwk = with(&with(&ec(), "x5c", json!(["…"])), "kid", "a");
    let set = KeySet::read_strictly(&set(&[jwk])).unwrap();
    let [key] = &*set.0 else { panic!() };
    let Material::Public(public) = &key.material else {
        panic!()
    };
    let expected = ec();
    assert_eq!(
        serde_json::from_str::<Value>(&public.jwk).unwrap(),
        expected
    );
}

#[test]
fn accepts_rsa_keys_of_2048_to_8192_bits() {
    let read = |jwk: Value| KeySet::read_strictly(&set(&[jwk]));
    assert!(read(rsa(RSA_BYTES_MIN)).is_ok());
    assert!(read(rsa(RSA_BYTES_MAX)).is_ok());
    for bytes in [RSA_BYTES_MIN - 1, RSA_BYTES_MAX + 1] {
        assert_eq!(fault(&rsa(bytes)), Fault::RsaLength);
    }
    // One bit less is rejected, too.
    let short = with(
        &rsa(1),
        "n",
        base64url(&[&[0x7f], &*vec![0xff; 255]].concat()),
    );
    assert_eq!(fault(&short), Fault::RsaLength);
    // A leading zero does not count.
    let zero = |bytes: usize| {
        with(
            &rsa(1),
            "n",
            base64url(&[&[0], &*vec![0xa5; bytes]].concat()),
        )
    };
    assert_eq!(fault(&zero(RSA_BYTES_MIN - 1)), Fault::RsaLength);
    assert!(read(zero(RSA_BYTES_MAX)).is_ok());
}

#[test]
fn reports_what_is_wrong_with_a_configured_key() {
    let mut private = okp();
    private["d"] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".into();
    for (jwk, expected) in [
        (json!(7), Fault::Form),
        (json!({}), Fault::Form),
        (json!({ "kty": 7 }), Fault::Form),
        (
            json!(["OKP", null, null, null, null, "Ed25519", null, null, X]),
            Fault::Form,
        ),
        (with(&okp(), "kid", 7), Fault::Form),
        (private, Fault::Private),
        (json!({ "kty": "oct", "k": X }), Fault::Secret),
        (json!({ "kty": "AKP" }), Fault::Type),
        (with(&ec(), "crv", "P-384"), Fault::Type),
        (with(&okp(), "crv", "Ed448"), Fault::Type),
        (with(&okp(), "crv", "X25519"), Fault::Type),
        (with(&rsa(256), "alg", "RS384"), Fault::Algorithm),
        (with(&rsa(256), "alg", "HS256"), Fault::Algorithm),
        (with(&rsa(256), "alg", "none"), Fault::Algorithm),
        (with(&rsa(256), "alg", "ES256"), Fault::Mismatch),
        (with(&ec(), "alg", "EdDSA"), Fault::Mismatch),
        (with(&okp(), "alg", "RS256"), Fault::Mismatch),
        (without(&ec(), "y"), Fault::Parts),
        (with(&ec(), "y", ""), Fault::Parts),
        (with(&ec(), "y", base64url(&[1; 31])), Fault::Parts),
        (with(&okp(), "x", "A".repeat(43)), Fault::SmallOrder),
        (
            with(&okp(), "x", base64url(&[&[0; 31][..], &[0x80]].concat())),
            Fault::SmallOrder,
        ),
        (
            with(&okp(), "x", base64url(&[&[1][..], &[0; 31]].concat())),
            Fault::SmallOrder,
        ),
        (
            with(&okp(), "x", base64url(&[&[0xec][..], &[0xff; 31]].concat())),
            Fault::SmallOrder,
        ),
        (with(&okp(), "x", format!("{X}=")), Fault::Parts),
        (with(&okp(), "x", "/".repeat(43)), Fault::Parts),
        (without(&rsa(256), "e"), Fault::Parts),
        (with(&rsa(256), "e", base64url(&[1])), Fault::RsaExponent),
        (with(&rsa(256), "e", base64url(&[17])), Fault::RsaExponent),
        (
            with(&rsa(256), "e", base64url(&[1, 0, 0])),
            Fault::RsaExponent,
        ),
    ] {
        assert_eq!(fault(&jwk), expected, "{jwk}");
        let second = set(&[okp(), jwk.clone()]);
        let error = KeySet::read_strictly(&second).err().unwrap();
        assert_eq!(error, format!("has an invalid key: key 2 {expected}"));
        // In an identity provider's set, the key is skipped.
        let set = KeySet::read(&second).unwrap();
        assert_eq!(
            algorithms(&set),
            [Algorithm::Public(PublicAlgorithm::EdDsa)]
        );
    }
}

#[test]
fn skips_keys_for_other_uses() {
    let other_uses = [
        with(&ec(), "use", "enc"),
        with(&ec(), "key_ops", json!(["deriveKey"])),
        with(&ec(), "key_ops", json!([])),
        with(&with(&rsa(256), "use", "enc"), "alg", "RSA-OAEP"),
    ];
    for jwk in other_uses {
        let error = KeySet::read_strictly(&set(std::slice::from_ref(&jwk)))
            .err()
            .unwrap();
        assert_eq!(error, "contains no key that verifies signatures");
        let set = KeySet::read_strictly(&set(&[jwk, okp()])).unwrap();
        assert_eq!(set.0.len(), 1);
    }
    for jwk in [
        with(&ec(), "use", "sig"),
        with(&ec(), "key_ops", json!(["verify"])),
    ] {
        assert!(KeySet::read_strictly(&set(&[jwk])).is_ok());
    }
}

#[test]
fn rejects_a_set_that_is_not_an_object_with_keys() {
    for text in [
        "",
        "{",
        "null",
        "7",
        "[[]]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert!(KeySet::read(text).is_none(), "{text}");
        assert!(KeySet::read_strictly(text).is_err(), "{text}");
    }
    assert!(KeySet::read(r#" {"keys":[],"later":1}"#).is_some());
}

#[test]
fn finds_keys_by_kid_and_algorithm() {
    let keys = [
        with(&with(&rsa(256), "kid", "a"), "alg", "RS256"),
        with(&with(&rsa(257), "kid", "b"), "alg", "RS256"),
        with(&with(&rsa(258), "kid", "a"), "alg", "PS256"),
        okp(),
    ];
    let set = KeySet::read_strictly(&set(&keys)).unwrap();
    use PublicAlgorithm::{EdDsa, Es256, Ps256, Rs256};
    for (algorithm, kid, count) in [
        (Rs256, Some("a"), 1),
        (Rs256, Some("b"), 1),
        (Rs256, Some("c"), 0),
        (Rs256, Some(""), 0),
        // Two keys match, so neither is used.
        (Rs256, None, 0),
        (Ps256, Some("a"), 1),
        (Ps256, Some("b"), 0),
        (Ps256, None, 1),
        (EdDsa, None, 1),
        // A key without a `kid` does not match a `kid`.
        (EdDsa, Some("a"), 0),
        (Es256, None, 0),
    ] {
        let selector = KeySelector {
            algorithm: Algorithm::Public(algorithm),
            key_id: kid.map(str::to_owned),
        };
        assert_eq!(set.find(&selector).len(), count, "{selector:?}");
    }
    let secret = KeySelector {
        algorithm: Algorithm::Hmac(HmacAlgorithm::Hs256),
        key_id: Some("a".into()),
    };
    assert!(set.find(&secret).is_empty());
}

#[test]
fn requires_distinct_kids_for_keys_of_one_algorithm() {
    let named = |kid: &str| with(&okp(), "kid", kid);
    assert!(KeySet::read_strictly(&set(&[named("a"), named("b")])).is_ok());
    for keys in [
        [named("a"), named("a")],
        [okp(), okp()],
        [okp(), named("a")],
    ] {
        let error = KeySet::read_strictly(&set(&keys)).err().unwrap();
        assert_eq!(error, "has keys with the same 'alg' and no distinct 'kid'");
    }
}

fn rsa(bytes: usize) -> Value {
    json!({ "kty": "RSA", "n": base64url(&vec![0xa5; bytes]), "e": "AQAB" })
}

fn ec() -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": base64url(&[1; 32]), "y": base64url(&[2; 32]) })
}

fn okp() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": X })
}

fn with(jwk: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value.into();
    jwk
}

fn without(jwk: &Value, name: &str) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

#[track_caller]
fn fault(jwk: &Value) -> Fault {
    let read = jwks(&set(std::slice::from_ref(jwk))).unwrap().remove(0);
    read.err().expect("a fault")
}

fn algorithms(set: &KeySet) -> Vec<Algorithm> {
    set.0.iter().map(|key| key.algorithm()).collect()
}
