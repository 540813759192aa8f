//! Tests of `config.rs`.

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::{Timestamp, auth::token, service_url::ServiceUrl};

use super::*;

mod identity;
mod services;

const SECRET: &str = "an hmac secret of 32 bytes or so";
const NOW: Timestamp = Timestamp(1_800_000_000_000);

#[test]
fn only_a_secret_is_required() {
    let config = read::<String>(&[]).unwrap();
    let expected = RoomRules {
        messages_have_info: true,
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
        let config = read(&[
            ("TOKEN_IN_QUERY", text),
            ("DEV_TOKENS", text),
            ("MESSAGES_WITHOUT_INFO", text),
        ])
        .unwrap();
        assert_eq!(config.admission.token_in_query, expected);
        assert_eq!(config.dev_token_issuer.is_some(), expected);
        assert_eq!(config.room.messages_have_info, !expected);
    }
    for name in ["TOKEN_IN_QUERY", "DEV_TOKENS", "MESSAGES_WITHOUT_INFO"] {
        for nonsense in ["", "1", "0", "yes", "TRUE", "True ", "on"] {
            let error = refused(&[(name, nonsense)]);
            assert_eq!(error.to_string(), format!("{name} must be true or false"));
        }
    }
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
fn requires_an_idle_timeout_of_two_ping_intervals() {
    assert!(read(&[("PING_MS", "5000"), ("IDLE_TIMEOUT_MS", "10000")]).is_ok());
    let error = refused(&[("PING_MS", "5000"), ("IDLE_TIMEOUT_MS", "9999")]);
    assert_eq!(error.name, "IDLE_TIMEOUT_MS");
    // Also if only one of them is set.
    assert_eq!(refused(&[("PING_MS", "45001")]).name, "IDLE_TIMEOUT_MS");
}

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
