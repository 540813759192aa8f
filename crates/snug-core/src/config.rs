//! The operator's settings, read and validated once. `PROTOCOL.md` has the table.

mod reader;
pub mod settings;

use std::rc::Rc;

use self::{
    reader::{Settings, config_error},
    settings::*,
};
use crate::{
    application::{Application, Place},
    auth::{
        AdmissionRules, AllowedOrigins,
        token::{DevTokenIssuer, HmacAlgorithm, Key, KeySet, TokenRules},
    },
    backend::webhook::{EventKind, EventKinds, Signer},
    limits::{JOINS_BURST_MIN, JOINS_PER_SECOND, SOCKETS_MAX, WINDOW_MS_MAX},
    rate::Rate,
    storage::retention::Retention,
};

/// The least bytes of an HMAC secret: the hash's size, as RFC 7518, section 3.2 requires for HS256.
const SECRET_BYTES_MIN: usize = 32;

/// All settings of an operator.
pub struct Config {
    /// The rules for join requests and API requests.
    pub admission: AdmissionRules,
    /// The rules of a room.
    pub room: Rc<RoomRules>,
    /// The rules of a gateway.
    pub gateway: Rc<GatewayRules>,
    /// The application's back end.
    pub backend: Backend,
    /// The issuer of development tokens, if enabled.
    pub dev_token_issuer: Option<Rc<DevTokenIssuer>>,
    /// The place of the objects of rooms.
    pub placement: Placement,
}

/// The place in which Cloudflare runs the objects of rooms and stores their data.
///
/// Source of the names: <https://developers.cloudflare.com/durable-objects/reference/data-location/>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The jurisdiction that rooms do not leave. The same room name means another room in another
    /// jurisdiction.
    pub jurisdiction: Option<&'static str>,
    /// The region in which to create new objects, if possible.
    pub location_hint: Option<&'static str>,
}

/// The application's back end, and the signer of requests to it.
#[derive(Default)]
pub struct Backend {
    /// Signs the requests. It has a secret if either is a URL.
    pub signer: Signer,
    /// The application that receives events.
    pub webhook: Option<Application>,
    /// The application that decides about messages.
    pub publish_hook: Option<Application>,
}

/// The treatment of a message without a timely decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFallback {
    /// The message is rejected, and may be sent again.
    Refuse,
    /// The message is stored.
    Allow,
}

/// The limits and times of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRules {
    /// True if each message has its author's public profile.
    pub messages_have_info: bool,
    /// Bytes of one command.
    pub message_bytes_max: usize,
    /// The rate of commands of one connection.
    pub rate: Rate,
    /// The rate of API requests and messages of one caller with `serve`.
    pub serve_rate: Rate,
    /// Connections of the room.
    pub connections_max: usize,
    /// Connections of one user to the room.
    pub connections_per_user_max: usize,
    /// Sockets of the room, including those that are being closed. Not a setting.
    pub sockets_max: usize,
    /// The retention of messages.
    pub retention: Retention,
    /// The kinds of webhook events to record; empty without a webhook.
    pub events: EventKinds,
    /// The fallback of the publish hook; `None` without a publish hook.
    pub publish_fallback: Option<PublishFallback>,
    /// The time for which a connection outlives its token, to allow for clock skew.
    pub leeway_ms: u64,
    /// The grace period of a member without connections.
    pub presence_grace_ms: u64,
    /// The longest flush window; 0 disables it.
    pub window_ms_max: u64,
    /// The interval in which clients should ping.
    pub ping_ms: u64,
    /// The idle timeout of a connection.
    pub idle_timeout_ms: u64,
}

/// The limits of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRules {
    /// The limits of each session: those of a connection to a room.
    pub room: Rc<RoomRules>,
    /// Sessions of the gateway, including those that are being closed.
    pub connections_max: usize,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A variable or a secret.
    Text(String),
    /// A service binding.
    Service,
}

impl<T: Into<String>> From<T> for Value {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

/// An invalid setting. Contains its name and the fault, never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The setting's name.
    pub name: &'static str,
    /// The fault, or the accepted values.
    pub message: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.message)
    }
}

impl Config {
    /// Reads the settings; `lookup` returns a setting's value, or `None` if it is not set, and
    /// `origin_of` a URL's origin: see [`AllowedOrigins::parse`].
    ///
    /// # Errors
    ///
    /// The first invalid setting.
    pub fn read(
        lookup: &dyn Fn(&str) -> Option<Value>,
        origin_of: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let settings = Settings { lookup, origin_of };
        let ping_ms = settings.number(&PING_MS)?;
        let leeway_seconds = settings.number(&JWT_LEEWAY_SECONDS)?;
        let application = settings.application(&AUTH_URL, &AUTH)?;
        let tokens = settings.tokens(leeway_seconds)?;
        let dev_token_issuer = settings.dev_token_issuer(&tokens)?;
        let backend = settings.backend()?;
        if !tokens.has_keys() && application.is_none() {
            let message = "is not set, and neither is JWT_JWKS, JWKS_URL, AUTH_URL or AUTH: set one of them so that users can join";
            return Err(config_error(&JWT_SECRET, message));
        }
        let room = Rc::new(RoomRules {
            messages_have_info: !settings.flag(&MESSAGES_WITHOUT_INFO)?,
            message_bytes_max: settings.number(&MESSAGE_BYTES_MAX)? as usize,
            rate: Rate {
                per_second: settings.number(&MESSAGES_PER_SECOND)? as u32,
                burst: settings.number(&MESSAGES_BURST)? as u32,
            },
            serve_rate: Rate {
                per_second: settings.number(&SERVE_PER_SECOND)? as u32,
                burst: settings.number(&SERVE_BURST)? as u32,
            },
            connections_max: settings.number(&CONNECTIONS_MAX)? as usize,
            sockets_max: SOCKETS_MAX as usize,
            connections_per_user_max: settings.number(&CONNECTIONS_PER_USER_MAX)? as usize,
            retention: settings.retention()?,
            events: settings.events(&backend)?,
            publish_fallback: settings.publish_fallback(&backend)?,
            leeway_ms: leeway_seconds.saturating_mul(1000),
            presence_grace_ms: settings.number(&PRESENCE_GRACE_MS)?,
            window_ms_max: WINDOW_MS_MAX,
            ping_ms,
            idle_timeout_ms: settings.number_from(&IDLE_TIMEOUT_MS, ping_ms.saturating_mul(2))?,
        });
        let gateway = Rc::new(GatewayRules {
            room: room.clone(),
            connections_max: settings.number(&GATEWAY_CONNECTIONS_MAX)? as usize,
        });
        Ok(Self {
            dev_token_issuer,
            admission: AdmissionRules {
                tokens,
                application,
                origins: settings.origins()?,
                token_in_query: settings.flag(&TOKEN_IN_QUERY)?,
            },
            room,
            gateway,
            backend,
            placement: Placement {
                jurisdiction: settings.choice(&JURISDICTION)?,
                location_hint: settings.choice(&LOCATION_HINT)?,
            },
        })
    }
}

impl RoomRules {
    /// Returns the rate of a user's joins. Its burst lets all of the user's connections come back, even
    /// if the room refuses some of them at first.
    pub fn join_rate(&self) -> Rate {
        let twice = self.connections_per_user_max.saturating_mul(2);
        Rate {
            per_second: JOINS_PER_SECOND,
            burst: u32::try_from(twice)
                .unwrap_or(u32::MAX)
                .max(JOINS_BURST_MIN),
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
impl RoomRules {
    /// Returns the rules if the operator sets nothing but a secret.
    pub(crate) fn by_default() -> Self {
        let secret =
            |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(SECRET_BYTES_MIN).into());
        (*Config::read(&secret, &|_| None)
            .unwrap_or_else(|error| panic!("{error}"))
            .room)
            .clone()
    }
}

impl Settings<'_> {
    fn tokens(&self, leeway_seconds: u64) -> Result<TokenRules, ConfigError> {
        let algorithm = match self.choice(&JWT_HMAC_ALGORITHM)? {
            Some("HS384") => HmacAlgorithm::Hs384,
            Some("HS512") => HmacAlgorithm::Hs512,
            _ => HmacAlgorithm::Hs256,
        };
        let secrets = [
            self.secret(&JWT_SECRET)?,
            self.secret(&JWT_SECRET_PREVIOUS)?,
        ];
        if let [None, Some(_)] = secrets {
            let message = "is not set, though JWT_SECRET_PREVIOUS is";
            return Err(config_error(&JWT_SECRET, message));
        }
        let public = match self.text(&JWT_JWKS)? {
            Some(set) => {
                KeySet::read_strictly(&set).map_err(|error| config_error(&JWT_JWKS, error))?
            }
            None => KeySet::default(),
        };
        Ok(TokenRules {
            secrets: (secrets.iter().flatten())
                .map(|secret| Rc::new(Key::hmac(algorithm, secret)))
                .collect(),
            public,
            provider: self.address(&JWKS_URL)?,
            issuer: self.text(&JWT_ISSUER)?,
            audience: self.text(&JWT_AUDIENCE)?,
            leeway_ms: leeway_seconds.saturating_mul(1000),
        })
    }

    fn dev_token_issuer(
        &self,
        tokens: &TokenRules,
    ) -> Result<Option<Rc<DevTokenIssuer>>, ConfigError> {
        if !self.flag(&DEV_TOKENS)? {
            return Ok(None);
        }
        let message = "is true, though there is no JWT_SECRET to sign with";
        let dev_token_issuer =
            DevTokenIssuer::new(tokens).ok_or_else(|| config_error(&DEV_TOKENS, message))?;
        Ok(Some(Rc::new(dev_token_issuer)))
    }

    fn backend(&self) -> Result<Backend, ConfigError> {
        let secret = |setting: &Setting| {
            let message = "must be 'whsec_' followed by the base64 of 24 to 64 bytes";
            let read = |text: String| Signer::read_secret(&text);
            let text = self.value(setting);
            text.map(|text| read(text).ok_or_else(|| config_error(setting, message)))
                .transpose()
        };
        let current = secret(&WEBHOOK_SECRET)?;
        let previous = secret(&WEBHOOK_SECRET_PREVIOUS)?;
        if current.is_none() && previous.is_some() {
            let message = "is not set, though WEBHOOK_SECRET_PREVIOUS is";
            return Err(config_error(&WEBHOOK_SECRET, message));
        }
        let webhook = self.application(&WEBHOOK_URL, &WEBHOOK)?;
        let publish_hook = self.application(&PUBLISH_URL, &PUBLISH)?;
        // An application at a URL has to verify that Snug calls. A binding can be called by the Worker alone.
        let has_url =
            |one: &Option<Application>| matches!(one, Some(one) if one.place != Place::Binding);
        if current.is_none() && (has_url(&webhook) || has_url(&publish_hook)) {
            let message = "is not set, though WEBHOOK_URL or PUBLISH_URL is";
            return Err(config_error(&WEBHOOK_SECRET, message));
        }
        let secrets: Vec<_> = current.into_iter().chain(previous).collect();
        Ok(Backend {
            signer: Signer::new(&secrets),
            webhook,
            publish_hook,
        })
    }

    fn events(&self, backend: &Backend) -> Result<EventKinds, ConfigError> {
        let events = match self.value(&WEBHOOK_EVENTS) {
            None => EventKinds::by_default(),
            Some(list) => EventKinds::parse(&list).ok_or_else(|| {
                let names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
                let names = names.join(", ");
                let message = format!("must be '*', or names such as {names}, separated by commas");
                config_error(&WEBHOOK_EVENTS, message)
            })?,
        };
        Ok(match backend.webhook {
            Some(_) => events,
            None => EventKinds::default(),
        })
    }

    fn publish_fallback(&self, backend: &Backend) -> Result<Option<PublishFallback>, ConfigError> {
        let fallback = match self.choice(&PUBLISH_FALLBACK)? {
            Some("allow") => PublishFallback::Allow,
            _ => PublishFallback::Refuse,
        };
        Ok(backend.publish_hook.as_ref().map(|_| fallback))
    }

    fn origins(&self) -> Result<AllowedOrigins, ConfigError> {
        let listed = self.listed_origins()?;
        // A developer's pages may use every token, so they may connect, too.
        let has_dev_tokens = self.flag(&DEV_TOKENS)?;
        Ok(if has_dev_tokens {
            listed.and_loopback()
        } else {
            listed
        })
    }

    fn listed_origins(&self) -> Result<AllowedOrigins, ConfigError> {
        let Some(text) = self.value(&ALLOWED_ORIGINS) else {
            return Ok(AllowedOrigins::default());
        };
        AllowedOrigins::parse(&text, self.origin_of)
            .map_err(|message| config_error(&ALLOWED_ORIGINS, message))
    }

    fn retention(&self) -> Result<Retention, ConfigError> {
        Ok(Retention {
            messages_max: self.number(&HISTORY_MESSAGES_MAX)?,
            seconds_max: self.number(&HISTORY_SECONDS_MAX)?,
            bytes_max: self.number(&HISTORY_BYTES_MAX)?,
        })
    }
}

#[cfg(test)]
mod tests;
