//! Tests of the claims: their types and limits, and the times at which a token is valid.

use super::*;

#[test]
fn requires_exp_in_seconds() {
    for exp in [
        json!(null),
        json!("1900000000"),
        json!(-1),
        json!(TIME_SECONDS_MAX + 1),
        json!(NOW_S * 1000),
        json!(SAFE_INTEGER_MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(true),
        json!([1_900_000_000]),
    ] {
        assert!(is_invalid(&with("exp", exp.clone())), "{exp}");
    }
    let mut without = least();
    without.as_object_mut().unwrap().remove("exp");
    assert!(is_invalid(&without));
    assert!(verify_claims(&with("exp", json!(TIME_SECONDS_MAX))).is_ok());
}

#[test]
fn accepts_a_token_until_the_leeway_after_exp() {
    let (token, rules) = (mint(HS256, &with("exp", json!(NOW_S))), rules_with(SECRET));
    let leeway_ms = rules.leeway_ms;
    let last = NOW.plus_ms(leeway_ms - 1);
    assert_eq!(verify(&token, &rules, last).unwrap().expires, NOW);
    let over = NOW.plus_ms(leeway_ms);
    assert_eq!(
        verify(&token, &rules, over).unwrap_err(),
        Refusal::TokenExpired
    );
    let strict = TokenRules {
        leeway_ms: 0,
        ..rules
    };
    assert!(verify(&token, &strict, Timestamp(NOW.0 - 1)).is_ok());
    assert_eq!(
        verify(&token, &strict, NOW).unwrap_err(),
        Refusal::TokenExpired
    );
}

#[test]
fn accepts_a_token_from_the_leeway_before_nbf() {
    let (token, rules) = (mint(HS256, &with("nbf", json!(NOW_S))), rules_with(SECRET));
    let first = Timestamp(NOW.0 - rules.leeway_ms);
    assert!(verify(&token, &rules, first).is_ok());
    let sooner = Timestamp(first.0 - 1);
    assert_eq!(
        verify(&token, &rules, sooner).unwrap_err(),
        Refusal::TokenNotYetValid
    );
    for nbf in [json!("0"), json!(-1), json!(-0.5), json!(SAFE_INTEGER_MAX)] {
        assert!(is_invalid(&with("nbf", nbf.clone())), "{nbf}");
    }
}

/// RFC 7519 allows fractions, and some libraries write every number with one or with an exponent.
#[test]
fn rounds_fractions_of_exp_down_and_of_nbf_up() {
    let (rules, leeway_ms) = (rules_with(SECRET), rules_with(SECRET).leeway_ms);
    for exp in ["1900000000.0", "1900000000.9", "1.9E9", "1900000000"] {
        let token = mint_text(HS256, &format!(r#"{{"sub":"ann","exp":{exp}}}"#));
        let claims = verify(&token, &rules, NOW).unwrap();
        assert_eq!(claims.expires, Timestamp(1_900_000_000_000), "{exp}");
    }
    for nbf in [
        json!(NOW_S as f64 + 0.001),
        json!(NOW_S as f64 + 0.999),
        json!(NOW_S + 1),
    ] {
        let token = mint(HS256, &with("nbf", nbf.clone()));
        let first = Timestamp(NOW.0 + 1000 - leeway_ms);
        assert!(verify(&token, &rules, first).is_ok(), "{nbf}");
        let sooner = Timestamp(first.0 - 1);
        let early = verify(&token, &rules, sooner).unwrap_err();
        assert_eq!(early, Refusal::TokenNotYetValid, "{nbf}");
    }
}

#[test]
fn rounds_iat_to_the_nearest_millisecond() {
    for (iat, issued) in [
        ("1800000000", 1_800_000_000_000),
        ("1800000000.123", 1_800_000_000_123),
        ("1800000000.1234567", 1_800_000_000_123),
        ("1800000000.9996", 1_800_000_001_000),
        ("1.8E9", 1_800_000_000_000),
        ("0", 0),
        ("null", 0),
    ] {
        let claims = verify_text(&format!(r#"{{"sub":"ann","exp":1900000000,"iat":{iat}}}"#));
        assert_eq!(claims.issued, Timestamp(issued), "{iat}");
    }
    let claims = verify_text(r#"{"sub":"ann","exp":1900000000}"#);
    assert_eq!(claims.issued, Timestamp(0));
    for iat in [json!("1800000000"), json!(-1), json!(NOW.0), json!({})] {
        assert!(is_invalid(&with("iat", iat.clone())), "{iat}");
    }
}

/// Every millisecond of a second has to survive the double in the claim, because a sign-in may follow a
/// sign-out within the same second.
#[test]
fn keeps_the_milliseconds_of_iat() {
    for ms in 0..1000 {
        let iat = format!("{NOW_S}.{ms:03}");
        let claims = verify_text(&format!(r#"{{"sub":"ann","exp":1900000000,"iat":{iat}}}"#));
        assert_eq!(claims.issued, NOW.plus_ms(ms), "{iat}");
    }
}

#[test]
fn names_the_invalid_claim_and_what_is_wrong_with_it() {
    let date = "must be a number (seconds since 1970, less than 10^12)";
    let sub = "'sub' must be a string of 1 to 128 bytes without control characters";
    let rooms = "'rooms' must be a list of room patterns, or an object that maps patterns to lists of capabilities";
    for (name, value, why) in [
        ("sub", json!(7), format!("{sub}; it is a number")),
        ("sub", json!(null), format!("{sub}; it is null")),
        ("sub", json!(""), format!("{sub}; it is empty")),
        (
            "sub",
            json!("u".repeat(129)),
            format!("{sub}; it has 129 bytes"),
        ),
        (
            "sub",
            json!("a\nb"),
            format!("{sub}; it contains a control character"),
        ),
        (
            "exp",
            json!("1900000000"),
            format!("'exp' {date}; it is a string"),
        ),
        ("exp", json!(null), format!("'exp' {date}; it is null")),
        ("exp", json!(-1), format!("'exp' {date}; it is negative")),
        (
            "exp",
            json!(NOW.0),
            format!("'exp' {date}; it is larger, as milliseconds would be"),
        ),
        ("nbf", json!(true), format!("'nbf' {date}; it is a boolean")),
        (
            "iat",
            json!("today"),
            format!("'iat' {date}; it is a string"),
        ),
        (
            "iss",
            json!(7),
            "'iss' must be a string; it is a number".into(),
        ),
        (
            "aud",
            json!({}),
            "'aud' must be a string or a list of strings; it is an object".into(),
        ),
        (
            "aud",
            json!(["a", 7]),
            "'aud' must be a string or a list of strings; the list contains something else".into(),
        ),
        ("rooms", json!("lobby"), format!("{rooms}; it is a string")),
        (
            "rooms",
            json!([7]),
            format!("{rooms}; the list contains something that is not a string"),
        ),
        (
            "rooms",
            json!({ "lobby": "receive" }),
            format!("{rooms}; a value in the object is not a list of strings"),
        ),
        (
            "info",
            json!([]),
            "'info' must be an object of at most 1,024 bytes; it is a list".into(),
        ),
        (
            "info",
            json!({ "a": "x".repeat(1020) }),
            "'info' must be an object of at most 1,024 bytes; it has 1028 bytes".into(),
        ),
        (
            "limits",
            json!(5),
            "'limits' must be an object; it is a number".into(),
        ),
        (
            "limits",
            json!({ "message_bytes": 1.5 }),
            "'message_bytes' in 'limits' must be a whole number, 1 or more; it is not whole".into(),
        ),
        (
            "limits",
            json!({ "messages_per_second": "5" }),
            "'messages_per_second' in 'limits' must be a whole number, 1 or more; it is a string"
                .into(),
        ),
    ] {
        let refusal = verify_claims(&with(name, value.clone())).unwrap_err();
        assert_eq!(refusal, Refusal::ClaimInvalid(why), "{name} {value}");
    }
    for (payload, why) in [
        ("[]", "The claims must be a JSON object; it is a list"),
        ("{", "The claims are not valid JSON"),
        (
            r#"{"sub":"ann","sub":"bob"}"#,
            "The claims contain 'sub' twice",
        ),
        (
            r#"{"sub":"ann","exp":1900000000,"rooms":{"a":[],"a":[]}}"#,
            "'rooms' contains the same pattern twice",
        ),
        (
            r#"{"sub":"ann","exp":1e999}"#,
            "'exp' must be a number (seconds since 1970, less than 10^12); it is larger, as milliseconds would be",
        ),
    ] {
        let refusal = refused(&mint_text(HS256, payload));
        assert_eq!(refusal, Refusal::ClaimInvalid(why.into()), "{payload}");
    }
}

#[test]
fn skips_a_byte_order_mark_before_the_claims() {
    let token = mint_text(HS256, "\u{feff}{\"sub\":\"ann\",\"exp\":1900000000}");
    assert!(verify(&token, &rules_with(SECRET), NOW).is_ok());
}

#[test]
fn does_not_reveal_the_times_of_a_forged_token() {
    let expired = mint(HS256, &with("exp", json!(1)));
    let foreign = rules_with(b"another hmac secret of 32 bytes.");
    assert_eq!(verify(&expired, &foreign, NOW).unwrap_err(), BAD_SIGNATURE);
    assert_eq!(refused(&expired), Refusal::TokenExpired);
}

#[test]
fn requires_the_configured_iss() {
    let rules = TokenRules {
        issuer: Some("https://app".into()),
        ..rules_with(SECRET)
    };
    for (iss, is_valid) in [
        (json!("https://app"), true),
        (json!("https://app/"), false),
        (json!("HTTPS://APP"), false),
        (json!(""), false),
        (json!(["https://app"]), false),
        (json!(null), false),
    ] {
        let token = mint(HS256, &with("iss", iss.clone()));
        assert_eq!(verify(&token, &rules, NOW).is_ok(), is_valid, "{iss}");
    }
    assert!(verify(&mint(HS256, &least()), &rules, NOW).is_err(), "none");
    assert!(
        verify_claims(&with("iss", json!("any"))).is_ok(),
        "not required"
    );
}

#[test]
fn requires_the_configured_aud() {
    let rules = TokenRules {
        audience: Some("snug".into()),
        ..rules_with(SECRET)
    };
    for (aud, is_valid) in [
        (json!("snug"), true),
        (json!(["snug"]), true),
        (json!(["other", "snug"]), true),
        (json!("snug2"), false),
        (json!("other snug"), false),
        (json!(["other"]), false),
        (json!([]), false),
        (json!([["snug"]]), false),
        (json!({ "snug": true }), false),
        (json!(null), false),
    ] {
        let token = mint(HS256, &with("aud", aud.clone()));
        assert_eq!(verify(&token, &rules, NOW).is_ok(), is_valid, "{aud}");
    }
    assert!(verify(&mint(HS256, &least()), &rules, NOW).is_err(), "none");
    assert!(
        verify_claims(&with("aud", json!("any"))).is_ok(),
        "not required"
    );
}

#[test]
fn requires_a_valid_user_id_as_sub() {
    for sub in [json!("a"), json!("用户"), json!("u".repeat(128))] {
        assert!(verify_claims(&with("sub", sub.clone())).is_ok(), "{sub}");
    }
    for sub in [
        json!(null),
        json!(""),
        json!(7),
        json!(["ann"]),
        json!("u".repeat(129)),
        json!("用".repeat(43)),
        json!("a\nb"),
        json!("\u{0}"),
        json!("\u{7f}"),
        json!("\u{9b}"),
    ] {
        assert!(is_invalid(&with("sub", sub.clone())), "{sub}");
    }
    assert!(is_invalid(&json!({ "exp": NOW_S + 60 })), "none");
}

#[test]
fn requires_info_to_be_an_object_within_its_limits() {
    let sized = |bytes: usize| json!({ "a": "x".repeat(bytes - r#"{"a":""}"#.len()) });
    assert!(verify_claims(&with("info", sized(INFO_BYTES_MAX))).is_ok());
    assert!(is_invalid(&with("info", sized(INFO_BYTES_MAX + 1))));
    let nested = |depth: usize| {
        let inner = (1..depth).fold(json!(1), |inner, _| json!([inner]));
        json!({ "a": inner })
    };
    assert!(verify_claims(&with("info", nested(NESTING_MAX))).is_ok());
    assert!(is_invalid(&with("info", nested(NESTING_MAX + 1))));
    for info in [json!([]), json!("ann"), json!(7), json!(true)] {
        assert!(is_invalid(&with("info", info.clone())), "{info}");
    }
    let without = verify_claims(&with("info", json!(false))).unwrap();
    assert!(without.info.is_none());
}

#[test]
fn turns_info_into_one_line() {
    let payload = "{\"sub\":\"ann\",\"exp\":1900000000,\"info\": {\n\"name\":\r\n\"Ann\"}\n}";
    let token = mint_text(HS256, payload);
    let claims = verify(&token, &rules_with(SECRET), NOW).unwrap();
    assert_eq!(claims.info.unwrap().get(), r#"{ "name":  "Ann"}"#);
}

#[test]
fn requires_limits_to_be_positive_integers() {
    for name in ["messages_per_second", "message_bytes"] {
        for value in [json!(1), json!(1.0), json!(null), json!(1_000_000)] {
            let limits = json!({ name: value });
            assert!(
                verify_claims(&with("limits", limits)).is_ok(),
                "{name} {value}"
            );
        }
        for value in [json!(0), json!(-1), json!(1.5), json!("5"), json!([5])] {
            let limits = json!({ name: value });
            assert!(is_invalid(&with("limits", limits)), "{name} {value}");
        }
    }
    for limits in [json!(5), json!("5"), json!(null)] {
        assert!(is_invalid(&with("limits", limits.clone())), "{limits}");
    }
}

#[test]
fn requires_rooms_to_be_a_list_or_a_map() {
    for rooms in [json!([]), json!({}), json!(["*"]), json!({ "a": [] })] {
        assert!(
            verify_claims(&with("rooms", rooms.clone())).is_ok(),
            "{rooms}"
        );
    }
    for rooms in [
        json!("lobby"),
        json!(null),
        json!(7),
        json!([7]),
        json!([["lobby"]]),
        json!({ "lobby": "receive" }),
        json!({ "lobby": null }),
        json!({ "lobby": [7] }),
    ] {
        assert!(is_invalid(&with("rooms", rooms.clone())), "{rooms}");
    }
}

/// It would be ambiguous which of the two counts.
#[test]
fn rejects_duplicate_claims() {
    let least = r#""sub":"ann","exp":1900000000"#;
    for twice in [
        r#""sub":"root""#,
        r#""exp":1900000001"#,
        r#""nbf":1,"nbf":2"#,
        r#""iat":1,"iat":2"#,
        r#""iss":"a","iss":"b""#,
        r#""aud":"a","aud":"b""#,
        r#""rooms":[],"rooms":["*"]"#,
        r#""rooms":{"a":[],"a":["moderate"]}"#,
        r#""info":{},"info":{}"#,
        r#""limits":{},"limits":{}"#,
        r#""limits":{"message_bytes":1,"message_bytes":2}"#,
    ] {
        refused_as_invalid(&mint_text(HS256, &format!("{{{least},{twice}}}")));
    }
    assert!(
        verify(
            &mint_text(HS256, &format!("{{{least}}}")),
            &rules_with(SECRET),
            NOW
        )
        .is_ok()
    );
}

#[test]
fn rejects_a_payload_that_is_not_an_object() {
    for payload in [
        "",
        "null",
        "7",
        "\"ann\"",
        "[[]]",
        r#"["ann",1900000000]"#,
        "{",
        "{}{}",
        "{\"sub\":\"\u{0}\"}",
    ] {
        refused_as_invalid(&mint_text(HS256, payload));
    }
}

/// Claimed limits can only tighten the operator's, so a huge one has no effect.
#[test]
fn accepts_limits_up_to_the_largest_integer() {
    let large = with(
        "limits",
        json!({ "messages_per_second": u64::MAX, "message_bytes": u64::MAX }),
    );
    assert!(verify_claims(&large).is_ok());
}

/// Verifies a token with these claims.
#[track_caller]
fn verify_text(claims: &str) -> Claims {
    verify(&mint_text(HS256, claims), &rules_with(SECRET), NOW).unwrap()
}
