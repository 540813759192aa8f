//! Which key a token is checked with, where it may be a public one. Whether the signature holds
//! is the platform's word, and what it was asked is looked at.

use super::{
    super::testing::{Says, verify_on},
    *,
};

const RSA: &str = r#"{"kty":"RSA","n":"RSA_N","e":"AQAB","kid":"rsa","alg":"RS256"}"#;
const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"EC_X","y":"EC_X","kid":"ec"}"#;

#[test]
fn the_platforms_word_is_what_counts() {
    let token = claiming(&json!({ "alg": "RS256", "kid": "rsa" }));
    for (holds, outcome) in [(true, Ok("ann")), (false, Err(NOT_SIGNED))] {
        let platform = Says::new(holds);
        let claims = verify_on(&platform, &token, &rules(), NOW);
        assert_eq!(
            claims.as_ref().map(|claims| claims.user.as_str()),
            outcome.as_ref().copied()
        );
        let asked = platform.asked.borrow();
        let [key] = &asked[..] else {
            panic!("{asked:?}")
        };
        assert_eq!(key.algorithm, PublicAlgorithm::Rs256);
        assert!(platform.sought.borrow().is_empty());
    }
}

#[test]
fn a_key_is_asked_for_its_own_algorithm_and_name_alone() {
    for (header, is_asked) in [
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
        let platform = Says::new(true);
        let claims = verify_on(&platform, &claiming(&header), &rules(), NOW);
        assert_eq!(claims.is_ok(), is_asked, "{header}");
        assert_eq!(
            platform.asked.borrow().len(),
            usize::from(is_asked),
            "{header}"
        );
    }
}

#[test]
fn a_signature_of_another_length_is_not_the_keys_to_check() {
    let rs256 = json!({ "alg": "RS256", "kid": "rsa" });
    let es256 = json!({ "alg": "ES256", "kid": "ec" });
    for (header, bytes, is_asked) in [
        (&rs256, 256, true),
        (&rs256, 255, false),
        (&rs256, 257, false),
        (&rs256, 0, false),
        (&es256, 64, true),
        (&es256, 63, false),
        (&es256, 70, false),
    ] {
        let platform = Says::new(true);
        let token = claiming_with(header, bytes);
        assert_eq!(
            verify_on(&platform, &token, &rules(), NOW).is_ok(),
            is_asked
        );
        assert_eq!(
            platform.asked.borrow().len(),
            usize::from(is_asked),
            "{bytes}"
        );
    }
}

#[test]
fn a_secrets_algorithm_is_never_the_platforms_to_check() {
    for alg in ["HS256", "HS384", "HS512"] {
        let platform = Says::new(true);
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
        assert!(platform.asked.borrow().is_empty() && platform.sought.borrow().is_empty());
    }
}

#[test]
fn what_a_token_brings_to_be_checked_with_is_ignored() {
    let brought = json!({
        "alg": "RS256",
        "kid": "rsa",
        "jwk": { "kty": "EC" },
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "x5c": ["MII"]
    });
    let platform = Says::new(true);
    assert!(verify_on(&platform, &claiming(&brought), &rules(), NOW).is_ok());
    assert!(
        platform.asked.borrow()[0]
            .jwk
            .starts_with(r#"{"kty":"RSA""#)
    );
}

#[test]
fn a_provider_is_asked_for_what_is_not_configured() {
    let rules = TokenRules {
        provider: ServiceUrl::parse("https://id.example/jwks"),
        ..rules()
    };
    let sought = |header: Value, provided| {
        let platform = Says {
            provided,
            ..Says::new(true)
        };
        let outcome = verify_on(&platform, &claiming(&header), &rules, NOW).map(|_| ());
        (outcome, platform.sought.take())
    };
    let signer = |algorithm, kid: Option<&str>| KeySelector {
        algorithm: Algorithm::Public(algorithm),
        key_id: kid.map(str::to_owned),
    };
    let key = || rules.public.find(&signer(PublicAlgorithm::Rs256, None));
    for (header, provided, expected) in [
        // Configured: nobody else is asked.
        (
            json!({ "alg": "RS256", "kid": "rsa" }),
            Ok(Vec::new()),
            (Ok(()), vec![]),
        ),
        (
            json!({ "alg": "RS256", "kid": "theirs" }),
            Ok(key()),
            (Ok(()), vec![signer(PublicAlgorithm::Rs256, Some("theirs"))]),
        ),
        (
            json!({ "alg": "EdDSA" }),
            Ok(Vec::new()),
            (Err(NOT_SIGNED), vec![signer(PublicAlgorithm::EdDsa, None)]),
        ),
        (
            json!({ "alg": "EdDSA", "kid": "x" }),
            Err(Refusal::AuthUnavailable),
            (
                Err(Refusal::AuthUnavailable),
                vec![signer(PublicAlgorithm::EdDsa, Some("x"))],
            ),
        ),
        // Nobody has keys for these.
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
        assert_eq!(sought(header.clone(), provided), expected, "{header}");
    }
}

#[test]
fn what_is_wrong_with_the_form_is_found_before_anybody_is_asked() {
    let platform = Says::new(true);
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
    assert!(platform.asked.borrow().is_empty() && platform.sought.borrow().is_empty());
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

/// A token with this header, and a signature that is nobody's, of the length that its algorithm has.
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
