//! The origins whose pages may connect.

use crate::protocol::refusal::Refusal;

/// The origins whose pages may connect: the host's own, and those listed.
///
/// Browsers send `Origin` with every WebSocket but do not apply CORS to WebSockets. Without this
/// check, a page of another site could use a user's cookies or tokens (RFC 6455, section 10.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    any: bool,
    listed: Vec<String>,
}

impl AllowedOrigins {
    /// Parses `*`, or origins separated by commas. Returns `None` if one is not an origin.
    pub fn parse(list: &str) -> Option<Self> {
        if list.trim() == "*" {
            return Some(Self {
                any: true,
                listed: Vec::new(),
            });
        }
        let listed: Vec<_> = list
            .split(',')
            .map(|one| one.trim().to_ascii_lowercase())
            .collect();
        listed
            .iter()
            .all(|one| is_origin(one))
            .then_some(Self { any: false, listed })
    }

    /// Checks the `Origin` header of a request to this host. A request without the header does not
    /// come from a browser and is allowed.
    ///
    /// # Errors
    ///
    /// `origin_forbidden` if the origin is not allowed.
    pub fn check(&self, origin: Option<&str>, host: &str) -> Result<(), Refusal> {
        let is_allowed = origin.is_none_or(|origin| self.allow(origin, host));
        is_allowed.then_some(()).ok_or(Refusal::OriginForbidden)
    }

    /// Returns true if a page of this origin may connect to this host. `null` is never allowed,
    /// because any page can get that origin with a sandboxed frame.
    pub fn allow(&self, origin: &str, host: &str) -> bool {
        let Some((_, authority)) = origin.split_once("://") else {
            return false;
        };
        self.any || authority.eq_ignore_ascii_case(host) || self.lists(origin)
    }

    /// Returns true if a page of this origin may connect with cookies. As in CORS, `*` does not
    /// allow cookies. The scheme of the host's own origin must match, too: otherwise an attacker
    /// who can impersonate the host over plain HTTP could use the cookies.
    pub fn allow_cookies(&self, origin: &str, own: &str) -> bool {
        origin.eq_ignore_ascii_case(own) || self.lists(origin)
    }

    fn lists(&self, origin: &str) -> bool {
        self.listed.contains(&origin.to_ascii_lowercase())
    }
}

/// Returns true if the text is a scheme, a host and optionally a port, as browsers write an origin.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !host.is_empty()
            && !host.contains(['/', '?', '#', '*', '@', ' '])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_the_hosts_own_origin_and_listed_origins() {
        let own = [
            "https://chat.example:8787",
            "http://chat.example:8787",
            "HTTPS://CHAT.EXAMPLE:8787",
        ];
        let listed = [
            "https://app.example",
            "https://APP.example",
            "tauri://localhost",
        ];
        let forbidden = [
            "null",
            "",
            "https://chat.example",
            "https://chat.example:8788",
            "https://chat.example:8787.evil.example",
            "https://evil.example",
            "http://app.example",
            "https://app.example:444",
            "https://app.example.evil.example",
            "https://sub.app.example",
            "https://app.example/",
            "app.example",
        ];
        let list = AllowedOrigins::parse(" https://app.example , Tauri://localhost").unwrap();
        let (none, any) = (
            AllowedOrigins::default(),
            AllowedOrigins::parse(" * ").unwrap(),
        );
        let host = "chat.example:8787";
        for origin in own {
            assert!(none.allow(origin, host), "{origin}");
            assert!(none.allow(origin, "Chat.Example:8787"), "{origin}");
            assert!(list.allow(origin, host), "{origin}");
        }
        for origin in listed {
            assert!(!none.allow(origin, host), "{origin}");
            assert!(list.allow(origin, host), "{origin}");
        }
        for origin in forbidden {
            assert!(!none.allow(origin, host), "{origin}");
            assert!(!list.allow(origin, host), "{origin}");
        }
        assert!(any.allow("https://evil.example", host));
        for origin in ["null", "NULL", ""] {
            assert!(!any.allow(origin, host), "{origin}");
        }
    }

    #[test]
    fn parses_a_list_of_origins_and_rejects_anything_else() {
        for good in [
            "*",
            "https://a.example",
            "http://localhost:3000,https://b",
            "http://[::1]:80",
        ] {
            assert!(AllowedOrigins::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            ",",
            "https://a.example,",
            "a.example",
            "https://",
            "://a",
            "https://a.example/",
            "https://a.example/path",
            "https://*.example",
            "*,https://a.example",
            "https://user@a.example",
            "https://a.example https://b.example",
            "https://a?b",
            "null",
        ] {
            assert!(AllowedOrigins::parse(bad).is_none(), "{bad}");
        }
    }
}
