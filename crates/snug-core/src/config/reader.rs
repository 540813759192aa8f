//! Reads one setting of each kind, and says what is wrong with it.

use base64ct::{Base64UrlUnpadded, Encoding};

use super::{
    ConfigError, SECRET_BYTES_MIN, Value,
    settings::{Kind, Setting},
};
use crate::{
    application::{Application, Place},
    service_url::ServiceUrl,
};

/// The operator's settings, unread.
pub(super) struct Settings<'a> {
    /// Returns the value of a setting, or `None` if it is not set.
    pub(super) lookup: &'a dyn Fn(&str) -> Option<Value>,
    /// Returns a URL's origin.
    pub(super) origin_of: &'a dyn Fn(&str) -> Option<String>,
}

impl Settings<'_> {
    /// Reads a text. An empty one is rejected, because it is probably a mistake.
    pub(super) fn text(&self, setting: &Setting) -> Result<Option<String>, ConfigError> {
        match self.value(setting) {
            Some(text) if text.is_empty() => Err(config_error(setting, "is set but empty")),
            text => Ok(text),
        }
    }

    pub(super) fn number(&self, setting: &Setting) -> Result<u64, ConfigError> {
        self.number_from(setting, 0)
    }

    /// Reads a number, whose least value is at least `min`.
    pub(super) fn number_from(&self, setting: &Setting, min: u64) -> Result<u64, ConfigError> {
        let Kind::Number {
            default,
            min: own_min,
            max,
        } = setting.kind
        else {
            return Err(config_error(setting, "is not a number"));
        };
        let min = own_min.max(min);
        // The default can be out of range, too, if another setting determines the range.
        self.value(setting)
            .map_or(Some(default), |text| text.parse().ok())
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| {
                let message = format!("must be a whole number from {min} to {max}");
                config_error(setting, message)
            })
    }

    pub(super) fn flag(&self, setting: &Setting) -> Result<bool, ConfigError> {
        match self.value(setting).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(config_error(setting, "must be true or false")),
        }
    }

    pub(super) fn choice(&self, setting: &Setting) -> Result<Option<&'static str>, ConfigError> {
        let Kind::Choice { values, default } = setting.kind else {
            return Err(config_error(setting, "is not a choice"));
        };
        let Some(text) = self.text(setting)? else {
            return Ok(default);
        };
        let value = values.iter().find(|value| **value == text).copied();
        let message = || config_error(setting, format!("must be {}", one_of(values)));
        value.map(Some).ok_or_else(message)
    }

    pub(super) fn address(&self, setting: &Setting) -> Result<Option<ServiceUrl>, ConfigError> {
        let parse = |text: String| {
            ServiceUrl::parse(&text).ok_or_else(|| {
                config_error(
                    setting,
                    "must be an https:// URL, or http:// to a loopback host, without a user or password",
                )
            })
        };
        self.text(setting)?.map(parse).transpose()
    }

    /// Reads the place of the application, from two settings that exclude each other.
    pub(super) fn application(
        &self,
        url: &Setting,
        binding: &Setting,
    ) -> Result<Option<Application>, ConfigError> {
        let address = self.address(url)?;
        let (setting, place) = match ((self.lookup)(binding.name), address) {
            (None, None) => return Ok(None),
            (None, Some(address)) => (url, Place::Url(address)),
            (Some(Value::Service), None) => (binding, Place::Binding),
            (Some(Value::Service), Some(_)) => {
                let message = format!("and {} are both set: keep one of them", url.name);
                return Err(config_error(binding, message));
            }
            (Some(Value::Text(_)), _) => {
                let message = "must be a service binding, and not a variable";
                return Err(config_error(binding, message));
            }
        };
        Ok(Some(Application {
            setting: setting.name,
            place,
        }))
    }

    /// Returns what a setting was set to, if it was.
    pub(super) fn value(&self, setting: &Setting) -> Option<String> {
        match (self.lookup)(setting.name)? {
            Value::Text(text) => Some(text),
            // No setting accepts this text.
            Value::Service => Some("a service binding".into()),
        }
    }

    /// Reads a secret: the text's bytes, or the decoded part after `base64url:`.
    pub(super) fn secret(&self, setting: &Setting) -> Result<Option<Vec<u8>>, ConfigError> {
        let Some(text) = self.value(setting) else {
            return Ok(None);
        };
        let bytes = match text.strip_prefix("base64url:") {
            None => text.into_bytes(),
            Some(encoded) => Base64UrlUnpadded::decode_vec(encoded.trim_end_matches('='))
                .map_err(|_| config_error(setting, "must be base64url after 'base64url:'"))?,
        };
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(config_error(
                setting,
                format!("must have at least {SECRET_BYTES_MIN} bytes"),
            ));
        }
        Ok(Some(bytes))
    }
}

/// Returns the error of a setting.
pub(super) fn config_error(setting: &Setting, message: impl Into<String>) -> ConfigError {
    ConfigError {
        name: setting.name,
        message: message.into(),
    }
}

/// Returns `a or b`, or `a, b or c`.
fn one_of(values: &[&str]) -> String {
    match values {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        values => values.concat(),
    }
}
