//! Identity: secrets, public keys, sessions and development tokens.

use super::*;

/// RFC 8037, appendix A.2.
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[test]
fn development_tokens_require_a_secret() {
    for others in [
        vec![],
        vec![("JWT_JWKS", JWKS)],
        vec![("JWKS_URL", "https://id.example/jwks")],
        vec![("AUTH_URL", "http://localhost:8080/auth.php")],
    ] {
        let settings = [others, vec![("DEV_TOKENS", "true")]].concat();
        let set = |name: &str| settings.iter().find(|(set, _)| *set == name);
        let error = Config::read(&|name| set(name).map(|(_, value)| (*value).into()), &|_| {
            None
        });
        assert_eq!(
            error.err().unwrap().to_string(),
            "DEV_TOKENS is true, though there is no JWT_SECRET to sign with"
        );
    }
}

#[test]
fn development_tokens_satisfy_the_configured_token_rules() {
    let config = read(&[
        ("DEV_TOKENS", "true"),
        ("JWT_HMAC_ALGORITHM", "HS384"),
        ("JWT_SECRET_PREVIOUS", "the secret that was used before."),
        ("JWT_ISSUER", "https://a"),
        ("JWT_AUDIENCE", "snug"),
    ])
    .unwrap();
    let minted = config
        .dev_token_issuer
        .unwrap()
        .sign(br#"{"sub":"ann"}"#, Timestamp(0));
    let claims =
        token::testing::verify(&minted.unwrap().0, &config.admission.tokens, Timestamp(0)).unwrap();
    assert_eq!(claims.user.as_str(), "ann");
    assert_eq!(claims.expires, Timestamp(24 * 3_600_000));
}

#[test]
fn requires_a_way_to_authenticate_users() {
    let nothing = Config::read(&|_| None, &|_| None).err().unwrap();
    assert_eq!(
        nothing.to_string(),
        "JWT_SECRET is not set, and neither is JWT_JWKS, JWKS_URL, AUTH_URL or AUTH: set one of them so that users can join"
    );
    let only_previous = |name: &str| (name == "JWT_SECRET_PREVIOUS").then(|| SECRET.into());
    let error = Config::read(&only_previous, &|_| None).err().unwrap();
    assert_eq!(error.name, "JWT_SECRET");
}

#[test]
fn rejects_a_weak_secret() {
    let base64 = |bytes: usize| {
        let encoded = Base64UrlUnpadded::encode_string(&vec![7; bytes]);
        format!("base64url:{encoded}")
    };
    for name in ["JWT_SECRET", "JWT_SECRET_PREVIOUS"] {
        for good in [
            "s".repeat(32),
            "用".repeat(11),
            base64(32),
            format!("{}=", base64(32)),
        ] {
            assert!(read(&[(name, good)]).is_ok());
        }
        for weak in [String::new(), "s".repeat(31), base64(31), base64(0)] {
            let error = refused(&[(name, weak)]);
            assert_eq!(
                error.to_string(),
                format!("{name} must have at least 32 bytes")
            );
        }
        for garbled in ["base64url:!".to_owned(), format!("{}*", base64(32))] {
            let error = refused(&[(name, garbled)]);
            assert_eq!(error.name, name);
        }
    }
}

#[test]
fn accepts_the_current_and_the_previous_secret() {
    let previous = "the secret that was used before.";
    let config = read(&[("JWT_SECRET_PREVIOUS", previous)]).unwrap();
    assert_eq!(config.admission.tokens.secrets.len(), 2);
}

#[test]
fn decodes_a_secret_in_base64url() {
    // RFC 7515, appendix A.1. The signature is valid, so only the missing `sub` is reported.
    let key = "base64url:AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    for (algorithm, detail) in [
        (
            "HS256",
            "'sub' must be a string of 1 to 128 bytes without control characters; it is missing",
        ),
        (
            "HS512",
            "No configured key of the token's algorithm verifies the token's signature",
        ),
    ] {
        let settings = [("JWT_SECRET", key), ("JWT_HMAC_ALGORITHM", algorithm)];
        let config = read(&settings).unwrap();
        let refusal =
            token::testing::verify(token, &config.admission.tokens, Timestamp(0)).unwrap_err();
        let body = serde_json::to_value(refusal.body(crate::Reference::new(0))).unwrap();
        assert_eq!(body["detail"], detail);
    }
}

#[test]
fn accepts_hmac_algorithms_only() {
    for good in ["HS256", "HS384", "HS512"] {
        assert!(read(&[("JWT_HMAC_ALGORITHM", good)]).is_ok());
    }
    for bad in ["none", "hs256", "RS256", "HS256 "] {
        let error = refused(&[("JWT_HMAC_ALGORITHM", bad)]);
        assert_eq!(
            error.to_string(),
            "JWT_HMAC_ALGORITHM must be HS256, HS384 or HS512"
        );
    }
}

#[test]
fn any_one_source_of_identity_is_enough() {
    for (name, value) in [
        ("JWT_SECRET", SECRET),
        ("JWT_JWKS", JWKS),
        ("JWKS_URL", "https://id.example/jwks"),
        ("AUTH_URL", "http://localhost:8080/auth.php"),
    ] {
        let config = Config::read(&|set| (set == name).then(|| value.into()), &|_| None);
        let admission = config.unwrap_or_else(|error| panic!("{error}")).admission;
        assert_eq!(
            admission.tokens.secrets.len(),
            usize::from(name == "JWT_SECRET")
        );
        assert_eq!(admission.tokens.public.is_empty(), name != "JWT_JWKS");
        assert_eq!(admission.tokens.provider.is_some(), name == "JWKS_URL");
        assert_eq!(admission.application.is_some(), name == "AUTH_URL");
    }
    let all = [("JWT_JWKS", JWKS), ("JWKS_URL", "https://id.example/jwks")];
    assert!(read(&all).is_ok());
}

#[test]
fn reports_why_a_key_set_is_invalid() {
    for (set, wanted) in [
        ("", "is set but empty"),
        ("{}", "must be a JWK Set: {\"keys\": […]}"),
        (r#"{"keys":[]}"#, "contains no key that verifies signatures"),
        (
            r#"{"keys":[{"kty":"oct","k":"s3cr3t"}]}"#,
            "has an invalid key: key 1 is a secret: it belongs in JWT_SECRET",
        ),
    ] {
        let error = refused(&[("JWT_JWKS", set)]);
        assert_eq!(error.to_string(), format!("JWT_JWKS {wanted}"));
    }
}
