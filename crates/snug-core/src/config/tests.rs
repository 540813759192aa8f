//! Tests of `config.rs`.

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::{Timestamp, auth::token, service_url::ServiceUrl};

use super::*;

const SECRET: &str = "an hmac secret of 32 bytes or so";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[test]
fn only_a_secret_is_required() {
    let config = read::<String>(&[]).unwrap();
    let expected = RoomRules {
        message_bytes_max: 65_536,
        rate: Rate {
            per_second: 50,
            burst: 100,
        },
        serve_rate: Rate {
            per_second: 1_000,
            burst: 2_000,
        },
        connections_max: 30_000,
        connections_per_user_max: 20,
        sockets_max: SOCKETS_MAX as usize,
        retention: Retention {
            messages_max: 10_000,
            seconds_max: 604_800,
            bytes_max: 67_108_864,
        },
        events: EventKinds::default(),
        publish_fallback: None,
        leeway_ms: 5_000,
        presence_grace_ms: 5_000,
        ping_ms: 30_000,
        window_ms_max: WINDOW_MS_MAX,
        idle_timeout_ms: 90_000,
    };
    assert_eq!(*config.room, expected);
    assert_eq!(config.admission.tokens.issuer, None);
    assert_eq!(config.admission.tokens.audience, None);
    assert_eq!(config.admission.tokens.leeway_ms, 5_000);
    assert_eq!(config.admission.tokens.secrets.len(), 1);
    assert_eq!(config.admission.origins, AllowedOrigins::default());
    assert!(!config.admission.token_in_query);
    assert!(config.dev_token_issuer.is_none());
    assert_eq!(config.placement, Placement::default());
}

#[test]
fn a_service_binding_takes_the_place_of_a_url_and_needs_no_secret() {
    let config = read(&[
        ("AUTH", Value::Service),
        ("PUBLISH", Value::Service),
        ("WEBHOOK", Value::Service),
    ])
    .unwrap();
    let bound = |setting| {
        let place = Place::Binding;
        Some(Application { setting, place })
    };
    assert_eq!(config.admission.application, bound("AUTH"));
    assert_eq!(config.backend.publish_hook, bound("PUBLISH"));
    assert_eq!(config.backend.webhook, bound("WEBHOOK"));
    assert_eq!(config.room.publish_fallback, Some(PublishFallback::Refuse));
    assert_eq!(config.room.events, EventKinds::by_default());
    // The receiver knows who calls, and needs the id to handle a delivery once.
    let headers = config.backend.signer.headers("7", "{}", NOW);
    let expected = [("webhook-id", "7"), ("webhook-timestamp", "1800000000")];
    assert_eq!(headers, expected.map(|(name, value)| (name, value.into())));
}

#[test]
fn a_service_binding_excludes_the_url_and_is_no_variable() {
    let url = || Value::from("https://app.example/");
    for (binding, address) in [
        ("AUTH", "AUTH_URL"),
        ("PUBLISH", "PUBLISH_URL"),
        ("WEBHOOK", "WEBHOOK_URL"),
    ] {
        let error = refused(&[(binding, Value::Service), (address, url())]);
        let message = format!("{binding} and {address} are both set: keep one of them");
        assert_eq!(error.to_string(), message);
        let error = refused(&[(binding, url())]);
        let message = format!("{binding} must be a service binding, and not a variable");
        assert_eq!(error.to_string(), message);
    }
    let error = refused(&[("MESSAGE_BYTES_MAX", Value::Service)]);
    assert_eq!(error.name, "MESSAGE_BYTES_MAX");
}

#[test]
fn parses_every_jurisdiction_and_location_hint() {
    let values_of = |setting: Setting| match setting.kind {
        Kind::Choice { values, .. } => values,
        _ => panic!("not a choice"),
    };
    for name in values_of(JURISDICTION) {
        let config = read(&[("JURISDICTION", *name)]).unwrap();
        assert_eq!(config.placement.jurisdiction, Some(*name));
    }
    for name in values_of(LOCATION_HINT) {
        let config = read(&[("LOCATION_HINT", *name)]).unwrap();
        assert_eq!(config.placement.location_hint, Some(*name));
    }
    let error = read(&[("JURISDICTION", "ch")]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "JURISDICTION must be eu, us, fedramp or fedramp-high"
    );
}

#[test]
fn back_end_urls_require_a_signing_secret() {
    let secret = format!("whsec_{}", "A".repeat(32));
    let url = "https://app.example/hooks";
    let set = |more: &[(&'static str, &str)]| {
        let secret = [("WEBHOOK_SECRET", secret.as_str())];
        read(&[&secret, more].concat()).unwrap()
    };
    let config = set(&[("WEBHOOK_URL", url), ("PUBLISH_URL", url)]);
    let at_url = |setting| {
        let place = Place::Url(ServiceUrl::parse(url).unwrap());
        Some(Application { setting, place })
    };
    assert_eq!(config.backend.webhook, at_url("WEBHOOK_URL"));
    assert_eq!(config.backend.publish_hook, at_url("PUBLISH_URL"));
    assert_eq!(config.backend.signer.headers("id", "", NOW).len(), 3);
    assert_eq!(config.room.events, EventKinds::by_default());
    assert_eq!(config.room.publish_fallback, Some(PublishFallback::Refuse));
    let config = set(&[
        ("WEBHOOK_URL", url),
        ("WEBHOOK_EVENTS", "*"),
        ("PUBLISH_URL", url),
        ("PUBLISH_FALLBACK", "allow"),
    ]);
    assert_eq!(config.room.events, EventKinds::parse("*").unwrap());
    assert_eq!(config.room.publish_fallback, Some(PublishFallback::Allow));
    // Without URLs, nothing is sent.
    let config = set(&[("WEBHOOK_EVENTS", "*"), ("PUBLISH_FALLBACK", "allow")]);
    assert_eq!(config.room.events, EventKinds::default());
    assert_eq!(config.room.publish_fallback, None);
    let refused = |settings: &[(&'static str, &str)]| read(settings).err().map(|it| it.name);
    for (settings, name) in [
        (&[("WEBHOOK_URL", url)][..], "WEBHOOK_SECRET"),
        (&[("PUBLISH_URL", url)], "WEBHOOK_SECRET"),
        (&[("WEBHOOK_SECRET_PREVIOUS", &secret)], "WEBHOOK_SECRET"),
        (&[("WEBHOOK_SECRET", "short")], "WEBHOOK_SECRET"),
        (
            &[("WEBHOOK_SECRET_PREVIOUS", "short")],
            "WEBHOOK_SECRET_PREVIOUS",
        ),
        (&[("WEBHOOK_URL", "http://app.example")], "WEBHOOK_URL"),
        (&[("PUBLISH_URL", "")], "PUBLISH_URL"),
        (&[("WEBHOOK_EVENTS", "all")], "WEBHOOK_EVENTS"),
        (&[("PUBLISH_FALLBACK", "store")], "PUBLISH_FALLBACK"),
    ] {
        assert_eq!(refused(settings), Some(name), "{settings:?}");
    }
}

#[test]
fn accepts_every_number_within_its_range_only() {
    for (name, least, most, value) in numbers() {
        for (number, fits) in [
            (least.checked_sub(1), false),
            (Some(least), true),
            (Some(most), true),
            (most.checked_add(1), false),
        ] {
            let Some(number) = number else { continue };
            // The idle timeout must be at least two ping intervals.
            let mut settings = vec![(name, number.to_string())];
            if name == "PING_MS" {
                settings.push(("IDLE_TIMEOUT_MS", (24 * 3_600_000).to_string()));
            }
            match read(&settings) {
                Ok(config) => {
                    assert!(fits, "{name}={number}");
                    assert_eq!(value(&config), number, "{name}");
                }
                Err(error) => {
                    assert!(!fits, "{name}={number}: {error}");
                    assert_eq!(error.name, name);
                    let bounds = format!("{name} must be a whole number from {least} to {most}");
                    assert_eq!(error.to_string(), bounds);
                }
            }
        }
    }
}

#[test]
fn rejects_text_that_is_not_a_whole_number() {
    for (name, ..) in numbers() {
        for nonsense in [
            "", " ", "many", "1.5", "-1", "1e3", "0x40", " 64", "64 ", "NaN",
        ] {
            let error = refused(&[(name, nonsense)]);
            assert_eq!(error.name, name, "{nonsense:?}");
        }
    }
}

#[test]
fn accepts_only_true_or_false_as_flags() {
    for (text, expected) in [("true", true), ("false", false)] {
        let config = read(&[("TOKEN_IN_QUERY", text), ("DEV_TOKENS", text)]).unwrap();
        assert_eq!(config.admission.token_in_query, expected);
        assert_eq!(config.dev_token_issuer.is_some(), expected);
    }
    for name in ["TOKEN_IN_QUERY", "DEV_TOKENS"] {
        for nonsense in ["", "1", "0", "yes", "TRUE", "True ", "on"] {
            let error = refused(&[(name, nonsense)]);
            assert_eq!(error.to_string(), format!("{name} must be true or false"));
        }
    }
}

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
fn accepts_any_text_that_is_not_empty() {
    let config = read(&[("JWT_ISSUER", "https://a"), ("JWT_AUDIENCE", "snug")]).unwrap();
    assert_eq!(config.admission.tokens.issuer.as_deref(), Some("https://a"));
    assert_eq!(config.admission.tokens.audience.as_deref(), Some("snug"));
    for name in ["JWT_ISSUER", "JWT_AUDIENCE", "JWT_HMAC_ALGORITHM"] {
        assert_eq!(refused(&[(name, "")]).name, name);
    }
}

#[test]
fn parses_origins_and_rejects_invalid_ones() {
    let config = read(&[("ALLOWED_ORIGINS", "https://a.example")]).unwrap();
    assert!(
        config
            .admission
            .origins
            .allow("https://a.example", "b.example")
    );
    for nonsense in ["", "a.example", "https://a.example/path"] {
        assert_eq!(
            refused(&[("ALLOWED_ORIGINS", nonsense)]).name,
            "ALLOWED_ORIGINS"
        );
    }
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
fn requires_an_idle_timeout_of_two_ping_intervals() {
    assert!(read(&[("PING_MS", "5000"), ("IDLE_TIMEOUT_MS", "10000")]).is_ok());
    let error = refused(&[("PING_MS", "5000"), ("IDLE_TIMEOUT_MS", "9999")]);
    assert_eq!(error.name, "IDLE_TIMEOUT_MS");
    // Also if only one of them is set.
    assert_eq!(refused(&[("PING_MS", "45001")]).name, "IDLE_TIMEOUT_MS");
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

#[test]
fn requires_https_urls_or_loopback_hosts() {
    for name in ["JWKS_URL", "AUTH_URL"] {
        for good in ["https://id.example/x", "http://127.0.0.1:9000"] {
            assert!(read(&[(name, good)]).is_ok());
        }
        for bad in [
            "",
            "id.example",
            "http://id.example/x",
            "https://u:p@id.example",
        ] {
            assert_eq!(refused(&[(name, bad)]).name, name, "{bad}");
        }
    }
}

/// RFC 8037, appendix A.2.
const JWKS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

#[test]
fn errors_never_contain_the_value() {
    let value = "s3cr3t-valu3";
    let names = [
        "JWT_SECRET",
        "JWT_SECRET_PREVIOUS",
        "JWT_HMAC_ALGORITHM",
        "ALLOWED_ORIGINS",
        "TOKEN_IN_QUERY",
        "DEV_TOKENS",
        "JWT_JWKS",
        "JWKS_URL",
        "AUTH_URL",
    ];
    for name in names.into_iter().chain(numbers().map(|(name, ..)| name)) {
        for value in [value.to_owned(), format!("base64url:{value}!")] {
            let error = refused(&[(name, value)]);
            assert_eq!(error.name, name);
            assert!(error.to_string().starts_with(name), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{name}");
        }
    }
}

/// Returns each number's name, least and largest value, and how a configuration holds it.
fn numbers() -> impl Iterator<Item = (&'static str, u64, u64, fn(&Config) -> u64)> {
    SETTINGS.iter().filter_map(|setting| match setting.kind {
        // Two of the default ping intervals.
        Kind::Number { max, .. } if setting.name == "IDLE_TIMEOUT_MS" => {
            Some((setting.name, 60_000, max, value_of(setting.name)))
        }
        Kind::Number { min, max, .. } => Some((setting.name, min, max, value_of(setting.name))),
        _ => None,
    })
}

fn value_of(name: &str) -> fn(&Config) -> u64 {
    match name {
        "JWT_LEEWAY_SECONDS" => |config| config.admission.tokens.leeway_ms / 1000,
        "MESSAGE_BYTES_MAX" => |config| config.room.message_bytes_max as u64,
        "MESSAGES_PER_SECOND" => |config| config.room.rate.per_second.into(),
        "MESSAGES_BURST" => |config| config.room.rate.burst.into(),
        "SERVE_PER_SECOND" => |config| config.room.serve_rate.per_second.into(),
        "SERVE_BURST" => |config| config.room.serve_rate.burst.into(),
        "CONNECTIONS_MAX" => |config| config.room.connections_max as u64,
        "CONNECTIONS_PER_USER_MAX" => |config| config.room.connections_per_user_max as u64,
        "GATEWAY_CONNECTIONS_MAX" => |config| config.gateway.connections_max as u64,
        "PRESENCE_GRACE_MS" => |config| config.room.presence_grace_ms,
        "PING_MS" => |config| config.room.ping_ms,
        "IDLE_TIMEOUT_MS" => |config| config.room.idle_timeout_ms,
        "HISTORY_MESSAGES_MAX" => |config| config.room.retention.messages_max,
        "HISTORY_SECONDS_MAX" => |config| config.room.retention.seconds_max,
        "HISTORY_BYTES_MAX" => |config| config.room.retention.bytes_max,
        other => panic!("{other} has no value here"),
    }
}

/// Reads these settings, with a secret if they contain none.
fn read<T: Into<Value> + Clone>(settings: &[(&str, T)]) -> Result<Config, ConfigError> {
    let lookup = |name: &str| {
        let set = settings.iter().find(|(set, _)| *set == name);
        set.map(|(_, value)| value.clone().into())
            .or_else(|| (name == "JWT_SECRET").then(|| SECRET.into()))
    };
    let origin_of = |url: &str| (url == "https://a.example").then(|| url.to_owned());
    Config::read(&lookup, &origin_of)
}

#[track_caller]
fn refused<T: Into<Value> + Clone>(settings: &[(&str, T)]) -> ConfigError {
    read(settings).err().expect("a setting that cannot be used")
}
