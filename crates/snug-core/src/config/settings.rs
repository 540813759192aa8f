//! The settings: one table of their names, defaults and ranges. PROTOCOL.md and the READMEs list the same,
//! which a test compares.

use crate::limits::{FRAME_BYTES_MAX, SAFE_INTEGER_MAX, SOCKETS_MAX};

/// A variable or a secret of the Worker.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// The accepted values.
    pub kind: Kind,
}

/// The values that a setting accepts.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number.
    Number {
        /// The value if it is not set.
        default: u64,
        /// The least value.
        min: u64,
        /// The largest value.
        max: u64,
    },
    /// `true` or `false`; `false` if it is not set.
    Flag,
    /// One of these.
    Choice {
        /// The values.
        values: &'static [&'static str],
        /// The value if it is not set; `None` if that has a meaning of its own.
        default: Option<&'static str>,
    },
    /// A text of its own form, such as a URL or a list.
    Text,
    /// A text that is never shown.
    Secret,
    /// A service binding.
    Service,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

const fn number(default: u64, min: u64, max: u64) -> Kind {
    Kind::Number { default, min, max }
}

const fn choice(values: &'static [&'static str], default: Option<&'static str>) -> Kind {
    Kind::Choice { values, default }
}

macro_rules! settings {
    ($($NAME:ident: $kind:expr,)+) => {
        $(pub(super) const $NAME: Setting = Setting {
            name: stringify!($NAME),
            kind: $kind,
        };)+

        /// All settings.
        pub const SETTINGS: &[Setting] = &[$($NAME,)+];
    };
}

settings! {
    JWT_SECRET: Kind::Secret,
    JWT_SECRET_PREVIOUS: Kind::Secret,
    JWT_HMAC_ALGORITHM: choice(&["HS256", "HS384", "HS512"], Some("HS256")),
    JWT_JWKS: Kind::Text,
    JWKS_URL: Kind::Text,
    JWT_ISSUER: Kind::Text,
    JWT_AUDIENCE: Kind::Text,
    JWT_LEEWAY_SECONDS: number(5, 0, 3600),
    AUTH_URL: Kind::Text,
    AUTH: Kind::Service,
    ALLOWED_ORIGINS: Kind::Text,
    TOKEN_IN_QUERY: Kind::Flag,
    DEV_TOKENS: Kind::Flag,
    MESSAGES_WITHOUT_INFO: Kind::Flag,
    MESSAGE_BYTES_MAX: number(65_536, 64, FRAME_BYTES_MAX as u64),
    MESSAGES_PER_SECOND: number(50, 1, 1_000_000),
    MESSAGES_BURST: number(100, 1, 1_000_000),
    SERVE_PER_SECOND: number(1_000, 1, 1_000_000),
    SERVE_BURST: number(2_000, 1, 1_000_000),
    CONNECTIONS_MAX: number(30_000, 1, SOCKETS_MAX),
    GATEWAY_CONNECTIONS_MAX: number(4_000, 1, SOCKETS_MAX),
    CONNECTIONS_PER_USER_MAX: number(20, 1, SOCKETS_MAX),
    PRESENCE_GRACE_MS: number(5_000, 0, DAY_MS),
    PING_MS: number(30_000, 100, DAY_MS / 2),
    // At least twice PING_MS, which leaves time for one late ping.
    IDLE_TIMEOUT_MS: number(90_000, 200, DAY_MS),
    HISTORY_MESSAGES_MAX: number(10_000, 0, SAFE_INTEGER_MAX),
    HISTORY_SECONDS_MAX: number(604_800, 1, SAFE_INTEGER_MAX),
    HISTORY_BYTES_MAX: number(67_108_864, 1, SAFE_INTEGER_MAX),
    WEBHOOK_URL: Kind::Text,
    WEBHOOK: Kind::Service,
    WEBHOOK_SECRET: Kind::Secret,
    WEBHOOK_SECRET_PREVIOUS: Kind::Secret,
    WEBHOOK_EVENTS: Kind::Text,
    PUBLISH_URL: Kind::Text,
    PUBLISH: Kind::Service,
    PUBLISH_FALLBACK: choice(&["refuse", "allow"], Some("refuse")),
    // Source: https://developers.cloudflare.com/durable-objects/reference/data-location/
    JURISDICTION: choice(&["eu", "us", "fedramp", "fedramp-high"], None),
    LOCATION_HINT: choice(
        &["wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se", "oc", "afr", "me"],
        None,
    ),
}

impl Setting {
    /// Returns the value if it is not set, as the documents write it; `None` if there is none.
    pub fn default(&self) -> Option<String> {
        match self.kind {
            Kind::Number { default, .. } => Some(default.to_string()),
            Kind::Flag => Some("`false`".to_owned()),
            Kind::Choice { default, .. } => default.map(|value| format!("`{value}`")),
            Kind::Text | Kind::Secret | Kind::Service => None,
        }
    }
}
