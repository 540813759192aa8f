//! Tests of the choice of the public key that checks a token. The fake platform decides whether the
//! signature is valid, and records the keys.

use super::{
    super::testing::{FakePlatform, verify_on},
    *,
};

const RSA: &str = r#"{"kty":"RSA","n":"RSA_N","e":"AQAB","kid":"rsa","alg":"RS256"}"#;
const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"EC_X","y":"EC_X","kid":"ec"}"#;

#[test]
fn relies_on_the_platforms_signature_check() {
    let token = claiming(&json!({ "alg": "RS256", "kid": "rsa" }));
    for (holds, outcome) in [(true, Ok("ann")), (false, Err(NOT_SIGNED))] {
        let platform = FakePlatform::new(holds);
        let claims = verify_on(&platform, &token, &rules(), NOW);
        assert_eq!(
            claims.as_ref().map(|claims| claims.user.as_str()),
            outcome.as_ref().copied()
        );
        let checked = platform.checked.borrow();
        let [key] = &checked[..] else {
            panic!("{checked:?}")
        };
        assert_eq!(key.algorithm, PublicAlgorithm::Rs256);
        assert!(platform.lookups.borrow().is_empty());
    }
}

#[test]
fn checks_a_token_only_with_the_key_of_its_algorithm_and_kid() {
    for (header, is_checked) in [
        (json!({ "alg": "RS256", "kid": "rsa" }), true),
        (json!({ "alg": "RS256" }), true),
        (json!({ "alg": "ES256", "kid": "ec" }), true),
        (json!({ "alg": "PS256", "kid": "rsa" }), false),
        (json!({ "alg": "ES256", "kid": "rsa" }), false),
        (json!({ "alg": "RS256", "kid": "ec" }), false),
        (json!({ "alg": "RS256", "kid": "" }), false),
        (json!({ "alg": "EdDSA", "kid": "rsa" }), false),
        (json!({ "alg": "RS512", "kid": "rsa" }), false),
        (json!({ "alg": "none", "kid": "rsa" }), false),
        (json!({ "alg": "rs256", "kid": "rsa" }), false),
    ] {
        let platform = FakePlatform::new(true);
        let claims = verify_on(&platform, &claiming(&header), &rules(), NOW);
        assert_eq!(claims.is_ok(), is_checked, "{header}");
        assert_eq!(
            platform.checked.borrow().len(),
            usize::from(is_checked),
            "{header}"
        );
    }
}

#[test]
fn rejects_signatures_of_the_wrong_length_without_a_check() {
    let rs256 = json!({ "alg": "RS256", "kid": "rsa" });
    let es256 = json!({ "alg": "ES256", "kid": "ec" });
    for (header, bytes, is_checked) in [
        (&rs256, 256, true),
        (&rs256, 255, false),
        (&rs256, 257, false),
        (&rs256, 0, false),
        (&es256, 64, true),
        (&es256, 63, false),
        (&es256, 70, false),
    ] {
        let platform = FakePlatform::new(true);
        let token = claiming_with(header, bytes);
        assert_eq!(
            verify_on(&platform, &token, &rules(), NOW).is_ok(),
            is_checked
        );
        assert_eq!(
            platform.checked.borrow().len(),
            usize::from(is_checked),
            "{bytes}"
        );
    }
}

#[test]
fn never_checks_hmac_tokens_on_the_platform() {
    for alg in ["HS256", "HS384", "HS512"] {
        let platform = FakePlatform::new(true);
        let token = claiming(&json!({ "alg": alg, "kid": "rsa" }));
        let only_public = TokenRules {
            secrets: Vec::new(),
            ..rules()
        };
        for rules in [rules(), only_public] {
            assert_eq!(
                verify_on(&platform, &token, &rules, NOW).unwrap_err(),
                NOT_SIGNED
            );
        }
        assert!(platform.checked.borrow().is_empty() && platform.lookups.borrow().is_empty());
    }
}

#[test]
fn ignores_keys_in_the_tokens_header() {
    let header = json!({
        "alg": "RS256",
        "kid": "rsa",
        "jwk": { "kty": "EC" },
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "x5c": ["MII"]
    });
    let platform = FakePlatform::new(true);
    assert!(verify_on(&platform, &claiming(&header), &rules(), NOW).is_ok());
    assert!(
        platform.checked.borrow()[0]
            .jwk
            .starts_with(r#"{"kty":"RSA""#)
    );
}

#[test]
fn looks_up_keys_at_the_provider_only_if_none_is_configured() {
    let rules = TokenRules {
        provider: ServiceUrl::parse("https://id.example/jwks"),
        ..rules()
    };
    let lookups_for = |header: Value, provided| {
        let platform = FakePlatform {
            provided,
            ..FakePlatform::new(true)
        };
        let outcome = verify_on(&platform, &claiming(&header), &rules, NOW).map(|_| ());
        (outcome, platform.lookups.take())
    };
    let selector = |algorithm, kid: Option<&str>| KeySelector {
        algorithm: Algorithm::Public(algorithm),
        key_id: kid.map(str::to_owned),
    };
    let key = || rules.public.find(&selector(PublicAlgorithm::Rs256, None));
    for (header, provided, expected) in [
        // A configured key matches, so there is no lookup.
        (
            json!({ "alg": "RS256", "kid": "rsa" }),
            Ok(Vec::new()),
            (Ok(()), vec![]),
        ),
        (
            json!({ "alg": "RS256", "kid": "theirs" }),
            Ok(key()),
            (
                Ok(()),
                vec![selector(PublicAlgorithm::Rs256, Some("theirs"))],
            ),
        ),
        (
            json!({ "alg": "EdDSA" }),
            Ok(Vec::new()),
            (
                Err(NOT_SIGNED),
                vec![selector(PublicAlgorithm::EdDsa, None)],
            ),
        ),
        (
            json!({ "alg": "EdDSA", "kid": "x" }),
            Err(Refusal::AuthUnavailable),
            (
                Err(Refusal::AuthUnavailable),
                vec![selector(PublicAlgorithm::EdDsa, Some("x"))],
            ),
        ),
        // Algorithms for which a provider cannot have keys.
        (
            json!({ "alg": "RS384", "kid": "x" }),
            Ok(key()),
            (Err(NOT_SIGNED), vec![]),
        ),
        (
            json!({ "alg": "HS256", "kid": "x" }),
            Ok(key()),
            (Err(NOT_SIGNED), vec![]),
        ),
    ] {
        assert_eq!(lookups_for(header.clone(), provided), expected, "{header}");
    }
}

#[test]
fn rejects_malformed_tokens_before_any_lookup() {
    let platform = FakePlatform::new(true);
    let rules = TokenRules {
        provider: ServiceUrl::parse("https://id.example/jwks"),
        ..rules()
    };
    let good = claiming(&json!({ "alg": "RS256", "kid": "theirs" }));
    for token in [
        claiming(&json!({ "alg": "RS256", "kid": "theirs", "crit": ["exp"] })),
        claiming(&json!({ "alg": "RS256", "kid": 7 })),
        claiming(&json!({ "kid": "theirs" })),
        format!("{good}="),
        format!("{good}."),
        format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX)),
    ] {
        let refusal = verify_on(&platform, &token, &rules, NOW).unwrap_err();
        assert_eq!(refusal.code(), "token_invalid", "{token}");
    }
    assert!(platform.checked.borrow().is_empty() && platform.lookups.borrow().is_empty());
}

fn rules() -> TokenRules {
    let base64 = |bytes: usize| Base64UrlUnpadded::encode_string(&vec![0xa5; bytes]);
    let set = format!(r#"{{"keys":[{RSA},{EC}]}}"#)
        .replace("RSA_N", &base64(256))
        .replace("EC_X", &base64(32));
    TokenRules {
        public: KeySet::read_strictly(&set).unwrap(),
        ..rules_with(SECRET)
    }
}

/// Returns a token with this header and a meaningless signature of the algorithm's length.
fn claiming(header: &Value) -> String {
    let bytes = if header["alg"] == "ES256" { 64 } else { 256 };
    claiming_with(header, bytes)
}

fn claiming_with(header: &Value, signature_bytes: usize) -> String {
    let base64 = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    let signature = "s".repeat(signature_bytes);
    let header = base64(&header.to_string());
    format!(
        "{header}.{}.{}",
        base64(&least().to_string()),
        base64(&signature)
    )
}
