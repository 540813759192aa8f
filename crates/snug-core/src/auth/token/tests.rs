//! Tests of `token.rs`.

mod claims;
mod public_keys;

use jwt_compact::alg::{Hs256Key, Hs384Key, Hs512Key};
use serde_json::{Value, json};

use super::{testing::verify, *};
use crate::{
    capability::Grants,
    limits::{INFO_BYTES_MAX, NESTING_MAX, SAFE_INTEGER_MAX, TIME_SECONDS_MAX},
};

const SECRET: &[u8] = b"an hmac secret of 32 bytes or so";
const NOW_S: u64 = 1_800_000_000;
const NOW: Timestamp = Timestamp(NOW_S * 1000);
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

#[test]
fn reads_the_claims_of_a_valid_token() {
    let claims = verify_claims(&json!({
        "sub": "ann",
        "exp": NOW_S + 60,
        "nbf": NOW_S,
        "iat": NOW_S - 1,
        "jti": "x",
        "rooms": ["lobby"],
        "info": { "name": "安" },
        "limits": { "messages_per_second": 5, "message_bytes": 1000, "later": true },
        "unknown": [1, 2, 3]
    }))
    .unwrap();
    assert_eq!(claims.user.as_str(), "ann");
    assert_eq!(claims.expires, Timestamp((NOW_S + 60) * 1000));
    assert_eq!(claims.info.unwrap().get(), r#"{"name":"安"}"#);
    assert_eq!(claims.grants, serde_json::from_str(r#"["lobby"]"#).unwrap());
    let limits = ClaimedLimits {
        messages_per_second: Some(5),
        message_bytes: Some(1000),
    };
    assert_eq!(claims.limits, limits);
}

#[test]
fn grants_nothing_that_is_not_claimed() {
    let claims = verify_claims(&least()).unwrap();
    assert_eq!(claims.grants, Grants::default());
    assert!(claims.info.is_none());
    assert_eq!(claims.limits, ClaimedLimits::default());
}

/// RFC 7515, appendix A.1. Its signature is valid, but it lacks the required `sub`.
#[test]
fn verifies_the_signature_of_the_rfcs_example() {
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
         .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
         .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let rules = rules_with(&Base64UrlUnpadded::decode_vec(key).unwrap());
    let before_it_expired = Timestamp(1_300_000_000_000);
    assert_eq!(
        verify(token, &rules, before_it_expired).unwrap_err(),
        Refusal::ClaimInvalid(
            "'sub' must be a string of 1 to 128 bytes without control characters; it is missing"
                .into()
        )
    );
    let tampered = token.replace(".dBjf", ".eBjf");
    assert_eq!(
        verify(&tampered, &rules, before_it_expired).unwrap_err(),
        BAD_SIGNATURE
    );
}

#[test]
fn accepts_only_the_keys_own_algorithm() {
    for (algorithm, other) in [
        (HmacAlgorithm::Hs256, ["HS384", "HS512"]),
        (HmacAlgorithm::Hs384, ["HS256", "HS512"]),
        (HmacAlgorithm::Hs512, ["HS256", "HS384"]),
    ] {
        let rules = TokenRules {
            secrets: vec![Rc::new(Key::hmac(algorithm, SECRET))],
            ..rules_with(SECRET)
        };
        let own = format!("{algorithm:?}").to_uppercase();
        assert!(verify(&signed_with(&own), &rules, NOW).is_ok(), "{own}");
        for name in other {
            let refusal = verify(&signed_with(name), &rules, NOW).unwrap_err();
            assert_eq!(refusal, BAD_SIGNATURE, "{name} for {own}");
        }
    }
}

#[test]
fn rejects_a_token_signed_with_another_algorithm_than_its_header_names() {
    // Always signed with HS256.
    for alg in [
        "none", "None", "nOnE", "", "hs256", "HS384", "RS256", "ES256", "EdDSA",
    ] {
        let header = json!({ "alg": alg }).to_string();
        assert_eq!(refused(&mint(&header, &least())), BAD_SIGNATURE, "{alg}");
    }
    let unsigned = mint(r#"{"alg":"none"}"#, &least());
    let (signed_part, _) = unsigned.rsplit_once('.').unwrap();
    refused_as_invalid(&format!("{signed_part}."));
    for header in [
        "{}",
        r#"{"alg":null}"#,
        r#"{"alg":256}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        "[]",
        "",
        "HS256",
    ] {
        refused_as_invalid(&mint(header, &least()));
    }
}

#[test]
fn accepts_only_configured_secrets() {
    let token = mint(HS256, &least());
    let other: &[u8] = b"another hmac secret of 32 bytes.";
    assert_eq!(
        verify(&token, &rules_with(other), NOW).unwrap_err(),
        BAD_SIGNATURE
    );
    let no_keys = TokenRules {
        secrets: Vec::new(),
        ..rules_with(SECRET)
    };
    assert_eq!(verify(&token, &no_keys, NOW).unwrap_err(), BAD_SIGNATURE);
    let rotated = TokenRules {
        secrets: [other, SECRET]
            .map(|secret| Rc::new(Key::hmac(HmacAlgorithm::Hs256, secret)))
            .into(),
        ..rules_with(SECRET)
    };
    assert!(verify(&token, &rotated, NOW).is_ok(), "the previous secret");
}

#[test]
fn rejects_a_changed_token() {
    let token = mint(HS256, &least());
    let (header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let root = Base64UrlUnpadded::encode_string(br#"{"sub":"root","exp":1900000000}"#);
    let other_header = Base64UrlUnpadded::encode_string(br#"{"typ":"JWT","alg":"HS256"}"#);
    for changed in [
        format!("{header}.{root}.{signature}"),
        format!("{other_header}.{payload}.{signature}"),
        format!("{header}.{payload}.{}", signature.split_at(40).0),
        format!("{header}.{payload}."),
    ] {
        refused_as_invalid(&changed);
    }
}

#[test]
fn rejects_any_crit_header() {
    for crit in [r#"["exp"]"#, "[]", "null", "false", "7"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        assert_eq!(
            refused(&mint(&header, &least())),
            Refusal::TokenInvalid("The token has a 'crit' header"),
            "{crit}"
        );
    }
}

#[test]
fn ignores_other_header_fields() {
    for header in [
        r#"{"alg":"HS256","kid":"7","jku":"https://example.com","b64":true,"x":{}}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
    ] {
        assert!(verify(&mint(header, &least()), &rules_with(SECRET), NOW).is_ok());
    }
}

#[test]
fn rejects_anything_but_three_segments_of_base64url() {
    let token = mint(HS256, &least());
    let segments: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = segments[..] else {
        panic!("{token}")
    };
    for text in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "token".into(),
        format!("{header}.{payload}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!(".{token}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}!"),
        format!("{header}.{payload}.{signature}A"),
        format!("{token}\u{0}"),
        format!("{header}.{payload}é.{signature}"),
        token.replacen('.', "+.", 1),
    ] {
        refused_as_invalid(&text);
    }
}

/// If they were accepted, one token would have two texts.
#[test]
fn rejects_unused_trailing_bits() {
    let token = mint(HS256, &least());
    let (rest, last) = token.split_at(token.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    // 32 bytes leave two bits of the last character unused.
    assert_eq!(at % 4, 0);
    let next = alphabet.chars().nth(at + 1).unwrap();
    refused_as_invalid(&format!("{rest}{next}"));
}

#[test]
fn accepts_tokens_up_to_the_limit_and_rejects_longer_ones() {
    // Base64url turns 3 bytes into 4 characters, so padding alone cannot reach every length.
    let padded = |kid: &str, padding: usize| {
        let header = json!({ "alg": "HS256", "kid": kid }).to_string();
        mint(&header, &with("padding", "x".repeat(padding).into()))
    };
    let sized = |bytes: usize| {
        let near = (bytes - padded("", 0).len()) / 4 * 3;
        let paddings = near - 10..near + 10;
        paddings
            .flat_map(|padding| ["", "x", "xx"].map(|kid| padded(kid, padding)))
            .find(|token| token.len() == bytes)
            .unwrap()
    };
    let most = sized(TOKEN_BYTES_MAX);
    assert!(verify(&most, &rules_with(SECRET), NOW).is_ok());
    assert_eq!(
        refused(&sized(TOKEN_BYTES_MAX + 1)),
        Refusal::TokenInvalid("The token is over 8 KiB")
    );
}

const BAD_SIGNATURE: Refusal = NOT_SIGNED;

fn rules_with(secret: &[u8]) -> TokenRules {
    TokenRules {
        secrets: vec![Rc::new(Key::hmac(HmacAlgorithm::Hs256, secret))],
        leeway_ms: 5_000,
        ..TokenRules::default()
    }
}

/// The required claims.
fn least() -> Value {
    json!({ "sub": "ann", "exp": NOW_S + 3600 })
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = least();
    claims[claim] = value;
    claims
}

fn mint(header: &str, claims: &Value) -> String {
    mint_text(header, &claims.to_string())
}

fn mint_text(header: &str, payload: &str) -> String {
    sign(&Hs256, &Hs256Key::new(SECRET), header, payload)
}

fn signed_with(name: &str) -> String {
    let (header, payload) = (json!({ "alg": name }).to_string(), least().to_string());
    match name {
        "HS256" => sign(&Hs256, &Hs256Key::new(SECRET), &header, &payload),
        "HS384" => sign(&Hs384, &Hs384Key::new(SECRET), &header, &payload),
        _ => sign(&Hs512, &Hs512Key::new(SECRET), &header, &payload),
    }
}

/// Signs any header and payload.
fn sign<A: jwt_compact::Algorithm>(
    algorithm: &A,
    key: &A::SigningKey,
    header: &str,
    payload: &str,
) -> String {
    let base64 = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let signed = format!(
        "{}.{}",
        base64(header.as_bytes()),
        base64(payload.as_bytes())
    );
    let signature = algorithm.sign(key, signed.as_bytes());
    format!("{signed}.{}", base64(&signature.as_bytes()))
}

fn verify_claims(claims: &Value) -> Result<Claims, Refusal> {
    verify(&mint(HS256, claims), &rules_with(SECRET), NOW)
}

fn is_invalid(claims: &Value) -> bool {
    matches!(verify_claims(claims), Err(Refusal::ClaimInvalid(_)))
}

fn refused(token: &str) -> Refusal {
    verify(token, &rules_with(SECRET), NOW).unwrap_err()
}

#[track_caller]
fn refused_as_invalid(token: &str) {
    assert_eq!(refused(token).code(), "token_invalid", "{token}");
}
