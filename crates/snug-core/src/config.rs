//! The operator's settings, read once and typed. `PROTOCOL.md` has the table.

use std::rc::Rc;

use base64ct::{Base64UrlUnpadded, Encoding};

use crate::{
    auth::{
        AdmissionRules, AllowedOrigins,
        token::{DevTokenIssuer, HmacAlgorithm, Key, KeySet, TokenRules},
    },
    backend::webhook::{EventKinds, Signer},
    limits::{FRAME_BYTES_MAX, SAFE_INTEGER_MAX, SOCKETS_MAX, WINDOW_MS_MAX},
    rate::Rate,
    service_url::ServiceUrl,
    storage::retention::Retention,
};

/// Fewest bytes of an HMAC secret: the hash's size, as RFC 7518, section 3.2 asks of HS256.
const SECRET_BYTES_MIN: usize = 32;

/// Everything an operator can set.
pub struct Config {
    /// Who is let in.
    pub door: AdmissionRules,
    /// What a room allows.
    pub room: Rc<RoomRules>,
    /// What is sent to the application's back end.
    pub back_end: Backend,
    /// What makes development tokens, where it is wanted.
    pub mint: Option<Rc<DevTokenIssuer>>,
}

/// What is sent to the application's back end of its own accord.
#[derive(Default)]
pub struct Backend {
    /// Signs all of it; there where any address is.
    pub signer: Option<Signer>,
    /// Where events go.
    pub webhook: Option<ServiceUrl>,
    /// Who judges messages before they are stored.
    pub judge: Option<ServiceUrl>,
}

/// What becomes of a message that is not judged in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFallback {
    /// It is refused, and may be sent again.
    Refuse,
    /// It is stored.
    Allow,
}

/// What a room allows, and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRules {
    /// Bytes of one command.
    pub message_bytes_max: usize,
    /// Commands of one connection.
    pub rate: Rate,
    /// Requests and messages over HTTP of one caller that may `serve`.
    pub serve_rate: Rate,
    /// Connections of the room.
    pub connections_max: usize,
    /// Connections of one user to the room.
    pub connections_per_user_max: usize,
    /// How much of what was said is kept.
    pub retention: Retention,
    /// What the back end is told of; nothing where it has no address for that.
    pub events: EventKinds,
    /// Whether the back end judges what members publish, and what becomes of it where it does not
    /// in time.
    pub judged: Option<PublishFallback>,
    /// How long a connection outlives its token, for clocks that differ.
    pub leeway_ms: u64,
    /// How long a member that dropped may be away before it has left.
    pub presence_grace_ms: u64,
    /// How long the room gathers at most while it is busy; 0 never does.
    pub window_ms_max: u64,
    /// How often clients are asked to ping.
    pub ping_ms: u64,
    /// How long a socket may be silent.
    pub idle_timeout_ms: u64,
}

/// A setting that cannot be used. Names it and says what is wanted, never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The setting's name.
    pub name: &'static str,
    /// What it should be.
    pub wanted: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.wanted)
    }
}

impl Config {
    /// Reads the settings; `lookup` gives a setting's text, or `None` where it is not set.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let settings = Settings { lookup };
        let ping_ms = settings.number("PING_MS", 30_000, 100, DAY_MS / 2)?;
        let leeway_seconds = settings.number("JWT_LEEWAY_SECONDS", 5, 0, 3600)?;
        let application = settings.address("AUTH_URL")?;
        let tokens = settings.tokens(leeway_seconds)?;
        let mint = settings.mint(&tokens)?;
        let back_end = settings.back_end()?;
        if !tokens.has_keys() && application.is_none() {
            let wanted_one = "is not set, nor JWT_JWKS, JWKS_URL or AUTH_URL: nobody can be let in";
            return Err(wanted("JWT_SECRET", wanted_one));
        }
        Ok(Self {
            mint,
            door: AdmissionRules {
                tokens,
                application,
                origins: settings.origins()?,
                token_in_query: settings.flag("TOKEN_IN_QUERY", false)?,
            },
            room: Rc::new(RoomRules {
                message_bytes_max: settings.number(
                    "MESSAGE_BYTES_MAX",
                    65_536,
                    64,
                    FRAME_BYTES_MAX as u64,
                )? as usize,
                rate: Rate {
                    per_second: settings.number("MESSAGES_PER_SECOND", 50, 1, 1_000_000)? as u32,
                    burst: settings.number("MESSAGES_BURST", 100, 1, 1_000_000)? as u32,
                },
                serve_rate: Rate {
                    per_second: settings.number("SERVE_PER_SECOND", 1_000, 1, 1_000_000)? as u32,
                    burst: settings.number("SERVE_BURST", 2_000, 1, 1_000_000)? as u32,
                },
                connections_max: settings.number("CONNECTIONS_MAX", 30_000, 1, SOCKETS_MAX)?
                    as usize,
                connections_per_user_max: settings.number(
                    "CONNECTIONS_PER_USER_MAX",
                    20,
                    1,
                    SOCKETS_MAX,
                )? as usize,
                retention: settings.retention()?,
                events: settings.events(&back_end)?,
                judged: settings.judged(&back_end)?,
                leeway_ms: leeway_seconds.saturating_mul(1000),
                presence_grace_ms: settings.number("PRESENCE_GRACE_MS", 5_000, 0, DAY_MS)?,
                window_ms_max: WINDOW_MS_MAX,
                ping_ms,
                idle_timeout_ms: settings.number(
                    "IDLE_TIMEOUT_MS",
                    90_000,
                    // One ping may be late.
                    ping_ms.saturating_mul(2),
                    DAY_MS,
                )?,
            }),
            back_end,
        })
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
impl RoomRules {
    /// What a room allows where the operator sets nothing but a secret.
    pub(crate) fn by_default() -> Self {
        let secret = |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(SECRET_BYTES_MIN));
        (*Config::read(&secret)
            .unwrap_or_else(|error| panic!("{error}"))
            .room)
            .clone()
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

struct Settings<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Settings<'_> {
    /// A text that is not empty: an empty one is more likely a slip than a wish.
    fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        match (self.lookup)(name) {
            Some(text) if text.is_empty() => Err(wanted(name, "is set but empty")),
            text => Ok(text),
        }
    }

    fn number(
        &self,
        name: &'static str,
        default: u64,
        min: u64,
        max: u64,
    ) -> Result<u64, ConfigError> {
        // A default may be out of bounds too, where another setting bounds it.
        (self.lookup)(name)
            .map_or(Some(default), |text| text.parse().ok())
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| wanted(name, format!("must be a whole number from {min} to {max}")))
    }

    fn flag(&self, name: &'static str, default: bool) -> Result<bool, ConfigError> {
        match (self.lookup)(name).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(wanted(name, "must be true or false")),
        }
    }

    fn tokens(&self, leeway_seconds: u64) -> Result<TokenRules, ConfigError> {
        let algorithm = match self.text("JWT_HMAC_ALGORITHM")?.as_deref() {
            None | Some("HS256") => HmacAlgorithm::Hs256,
            Some("HS384") => HmacAlgorithm::Hs384,
            Some("HS512") => HmacAlgorithm::Hs512,
            Some(_) => {
                return Err(wanted(
                    "JWT_HMAC_ALGORITHM",
                    "must be HS256, HS384 or HS512",
                ));
            }
        };
        let secrets = [
            self.secret("JWT_SECRET")?,
            self.secret("JWT_SECRET_PREVIOUS")?,
        ];
        if let [None, Some(_)] = secrets {
            let wanted_too = "is not set, though JWT_SECRET_PREVIOUS is";
            return Err(wanted("JWT_SECRET", wanted_too));
        }
        let public = match self.text("JWT_JWKS")? {
            Some(set) => KeySet::read_strictly(&set).map_err(|error| wanted("JWT_JWKS", error))?,
            None => KeySet::default(),
        };
        Ok(TokenRules {
            secrets: (secrets.iter().flatten())
                .map(|secret| Rc::new(Key::hmac(algorithm, secret)))
                .collect(),
            public,
            provider: self.address("JWKS_URL")?,
            issuer: self.text("JWT_ISSUER")?,
            audience: self.text("JWT_AUDIENCE")?,
            leeway_ms: leeway_seconds.saturating_mul(1000),
        })
    }

    fn mint(&self, tokens: &TokenRules) -> Result<Option<Rc<DevTokenIssuer>>, ConfigError> {
        if !self.flag("DEV_TOKENS", false)? {
            return Ok(None);
        }
        let wanted_secret = "is true, though there is no JWT_SECRET to sign with";
        let mint =
            DevTokenIssuer::new(tokens).ok_or_else(|| wanted("DEV_TOKENS", wanted_secret))?;
        Ok(Some(Rc::new(mint)))
    }

    fn address(&self, name: &'static str) -> Result<Option<ServiceUrl>, ConfigError> {
        let parse = |text: String| {
            ServiceUrl::parse(&text).ok_or_else(|| {
                wanted(
                    name,
                    "must be an https:// address, or http:// to this machine, without a user or password",
                )
            })
        };
        self.text(name)?.map(parse).transpose()
    }

    /// A secret's bytes: the text's own, or what follows `base64url:`.
    fn secret(&self, name: &'static str) -> Result<Option<Vec<u8>>, ConfigError> {
        let Some(text) = (self.lookup)(name) else {
            return Ok(None);
        };
        let bytes = match text.strip_prefix("base64url:") {
            None => text.into_bytes(),
            Some(encoded) => Base64UrlUnpadded::decode_vec(encoded.trim_end_matches('='))
                .map_err(|_| wanted(name, "is not base64url after its 'base64url:'"))?,
        };
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(wanted(
                name,
                format!("must hold at least {SECRET_BYTES_MIN} bytes"),
            ));
        }
        Ok(Some(bytes))
    }

    fn back_end(&self) -> Result<Backend, ConfigError> {
        let secret = |name: &'static str| {
            let wanted_form = "must be 'whsec_' and the base64 of 24 to 64 bytes";
            let read = |text: String| Signer::read_secret(&text);
            let text = (self.lookup)(name);
            text.map(|text| read(text).ok_or_else(|| wanted(name, wanted_form)))
                .transpose()
        };
        let current = secret("WEBHOOK_SECRET")?;
        let previous = secret("WEBHOOK_SECRET_PREVIOUS")?;
        if current.is_none() && previous.is_some() {
            let wanted_too = "is not set, though WEBHOOK_SECRET_PREVIOUS is";
            return Err(wanted("WEBHOOK_SECRET", wanted_too));
        }
        let (webhook, judge) = (self.address("WEBHOOK_URL")?, self.address("PUBLISH_URL")?);
        if current.is_none() && (webhook.is_some() || judge.is_some()) {
            let wanted_too = "is not set, though WEBHOOK_URL or PUBLISH_URL is";
            return Err(wanted("WEBHOOK_SECRET", wanted_too));
        }
        let secrets: Vec<_> = current.into_iter().chain(previous).collect();
        Ok(Backend {
            signer: (!secrets.is_empty()).then(|| Signer::new(&secrets)),
            webhook,
            judge,
        })
    }

    fn events(&self, back_end: &Backend) -> Result<EventKinds, ConfigError> {
        let wanted_names = "must be '*', or names such as room.occupied, room.vacated, member.joined, member.left, message.published, separated by commas";
        let events = match (self.lookup)("WEBHOOK_EVENTS") {
            None => EventKinds::by_default(),
            Some(list) => {
                EventKinds::parse(&list).ok_or_else(|| wanted("WEBHOOK_EVENTS", wanted_names))?
            }
        };
        Ok(match back_end.webhook {
            Some(_) => events,
            None => EventKinds::default(),
        })
    }

    fn judged(&self, back_end: &Backend) -> Result<Option<PublishFallback>, ConfigError> {
        let fallback = match (self.lookup)("PUBLISH_FALLBACK").as_deref() {
            None | Some("refuse") => PublishFallback::Refuse,
            Some("allow") => PublishFallback::Allow,
            Some(_) => return Err(wanted("PUBLISH_FALLBACK", "must be refuse or allow")),
        };
        Ok(back_end.judge.as_ref().map(|_| fallback))
    }

    fn origins(&self) -> Result<AllowedOrigins, ConfigError> {
        let Some(text) = (self.lookup)("ALLOWED_ORIGINS") else {
            return Ok(AllowedOrigins::default());
        };
        AllowedOrigins::parse(&text).ok_or_else(|| {
            wanted(
                "ALLOWED_ORIGINS",
                "must be '*', or origins such as https://example.com, separated by commas",
            )
        })
    }

    fn retention(&self) -> Result<Retention, ConfigError> {
        Ok(Retention {
            messages_max: self.number("HISTORY_MESSAGES_MAX", 10_000, 0, SAFE_INTEGER_MAX)?,
            seconds_max: self.number("HISTORY_SECONDS_MAX", 604_800, 1, SAFE_INTEGER_MAX)?,
            bytes_max: self.number("HISTORY_BYTES_MAX", 67_108_864, 1, SAFE_INTEGER_MAX)?,
        })
    }
}

fn wanted(name: &'static str, wanted: impl Into<String>) -> ConfigError {
    ConfigError {
        name,
        wanted: wanted.into(),
    }
}

#[cfg(test)]
mod tests;
