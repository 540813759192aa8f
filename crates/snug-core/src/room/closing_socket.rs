//! A socket that the room has closed, until its disconnect is reported.

use serde::{Deserialize, Serialize};

use crate::{
    ids::UserId,
    room::connection::{VERSION, version},
};

/// A socket that the room has closed and whose disconnect has not been reported yet. It still counts
/// toward its user's connections and toward the platform's limit, because a client that ignores the
/// close could otherwise open any number of sockets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClosingSocket {
    #[serde(default = "version")]
    v: u8,
    /// The socket's user; `None` if its attachment was unreadable.
    #[serde(deserialize_with = "Option::deserialize")]
    pub closing: Option<UserId>,
}

impl ClosingSocket {
    /// Creates the state of a socket of this user.
    pub fn new(closing: Option<UserId>) -> Self {
        Self {
            v: VERSION,
            closing,
        }
    }

    /// Returns the attachment.
    pub fn attachment(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an attachment; `None` if it is of another form.
    pub fn restore(attachment: &str) -> Option<Self> {
        serde_json::from_str(attachment).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restores_the_attachment_of_every_earlier_version() {
        let closing = ClosingSocket::restore(r#"{"v":1,"closing":"ann"}"#).unwrap();
        assert_eq!(closing.closing, UserId::parse("ann"));
    }
}
