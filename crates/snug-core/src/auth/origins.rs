//! The origins whose pages may connect.

use crate::{
    protocol::refusal::Refusal,
    service_url::{is_loopback_host, is_loopback_origin},
};

/// The longest origin that a refusal quotes, in bytes. Browsers do not send longer ones.
const QUOTED_BYTES_MAX: usize = 256;

/// The origins whose pages may connect: the host's own and the listed ones.
///
/// Browsers send `Origin` with every WebSocket but do not apply CORS to WebSockets. Without this
/// check, a page of another site could use a user's cookies or tokens (RFC 6455, section 10.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    any: bool,
    listed: Vec<String>,
    /// True if a request to a loopback host may come from any page of this machine.
    loopback: bool,
}

impl AllowedOrigins {
    /// Parses `*`, or origins separated by commas. `origin_of` returns the origin of a URL as browsers
    /// write it, or `None` if the text is not a URL with a host.
    ///
    /// # Errors
    ///
    /// What is wrong with the first entry that no browser could send. The text quotes an entry only as
    /// `origin_of` writes it, which is without a user and a password.
    pub fn parse(list: &str, origin_of: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        if list.trim() == "*" {
            return Ok(Self {
                any: true,
                ..Self::default()
            });
        }
        let entries = list.split(',').zip(1_usize..);
        let listed: Result<_, _> = entries
            .map(|(entry, number)| {
                let entry = entry.trim().to_ascii_lowercase();
                match origin_of(&entry).filter(|origin| !origin.contains('*')) {
                    Some(origin) if origin == entry => Ok(entry),
                    Some(origin) => Err(format!(
                        "must list origins exactly as browsers send them: write entry {number} as {origin}"
                    )),
                    None => Err(format!(
                        "must be '*', or origins such as https://example.com, separated by commas; entry {number} is not an origin"
                    )),
                }
            })
            .collect();
        Ok(Self {
            listed: listed?,
            ..Self::default()
        })
    }

    /// Adds the pages of this machine, on any port, for requests to a loopback host: a developer's
    /// page is rarely on the port of the Worker. A deployment's host is never a loopback host.
    #[must_use]
    pub fn and_loopback(self) -> Self {
        Self {
            loopback: true,
            ..self
        }
    }

    /// Checks the `Origin` header of a request to this host. A request without the header does not
    /// come from a browser and is allowed.
    ///
    /// # Errors
    ///
    /// `origin_forbidden` if the origin is not allowed.
    pub fn check(&self, origin: Option<&str>, host: &str) -> Result<(), Refusal> {
        match origin.filter(|origin| !self.allow(origin, host)) {
            Some(origin) => Err(Refusal::OriginForbidden(explain(origin))),
            None => Ok(()),
        }
    }

    /// Checks the `Origin` header of a request with cookies; `own` is the origin of its host.
    ///
    /// # Errors
    ///
    /// `origin_forbidden` if a page of the origin may not connect with cookies.
    pub fn check_cookies(&self, origin: Option<&str>, own: &str) -> Result<(), Refusal> {
        match origin.filter(|origin| !self.allow_cookies(origin, own)) {
            Some(origin) => Err(Refusal::OriginForbidden(format!(
                "Pages of {} may not connect with cookies: list the origin by name in ALLOWED_ORIGINS, or send a token",
                quote(origin)
            ))),
            None => Ok(()),
        }
    }

    /// Returns true if a page of this origin may connect to this host. `null` is never allowed,
    /// because any page can get that origin with a sandboxed frame.
    pub fn allow(&self, origin: &str, host: &str) -> bool {
        let Some((_, authority)) = origin.split_once("://") else {
            return false;
        };
        self.any || authority.eq_ignore_ascii_case(host) || self.lists(origin, host)
    }

    /// Returns true if a page of this origin may connect with cookies. As in CORS, `*` does not
    /// allow cookies. The scheme of the host's own origin must match, too. Otherwise, an attacker in
    /// the network could serve a page over plain HTTP in the host's name and use the cookies.
    pub fn allow_cookies(&self, origin: &str, own: &str) -> bool {
        let (_, host) = own.split_once("://").unwrap_or_default();
        origin.eq_ignore_ascii_case(own) || self.lists(origin, host)
    }

    fn lists(&self, origin: &str, host: &str) -> bool {
        let is_on_machine = || is_loopback_host(host) && is_loopback_origin(origin);
        self.listed.contains(&origin.to_ascii_lowercase()) || (self.loopback && is_on_machine())
    }
}

/// Returns why pages of this origin may not connect, and what to do.
fn explain(origin: &str) -> String {
    if origin.eq_ignore_ascii_case("null") {
        return "Pages without an origin, such as files and sandboxed frames, may not connect: open the page from a web server".into();
    }
    format!(
        "Pages of {} may not connect: add the origin to ALLOWED_ORIGINS",
        quote(origin)
    )
}

fn quote(origin: &str) -> &str {
    if origin.is_empty() || origin.len() > QUOTED_BYTES_MAX {
        return "this origin";
    }
    origin
}

/// For tests: returns the origins in `https://a.example, …` without a URL parser.
#[cfg(test)]
#[allow(clippy::panic)]
pub(crate) fn origins(list: &str) -> AllowedOrigins {
    AllowedOrigins::parse(list, &|url| Some(url.to_owned())).unwrap_or_else(|why| panic!("{why}"))
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
        let list = origins(" https://app.example , Tauri://localhost");
        let (none, any) = (AllowedOrigins::default(), origins(" * "));
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
    fn parses_a_list_of_origins_and_explains_what_is_wrong_with_another() {
        // As a URL parser does: without a path and a default port, and in ASCII.
        let origin_of = |url: &str| match url {
            "https://a.example"
            | "https://a.example/"
            | "https://a.example:443"
            | "https://user@a.example" => Some("https://a.example".to_owned()),
            "http://localhost:3000" | "tauri://localhost" | "https://*.example" => Some(url.into()),
            "https://bücher.example" => Some("https://xn--bcher-kva.example".into()),
            _ => None,
        };
        let parse = |list: &str| AllowedOrigins::parse(list, &origin_of);
        for good in [
            "*",
            "https://a.example",
            " HTTP://LOCALHOST:3000 ,https://a.example,Tauri://localhost",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("https://a.example/", "write entry 1 as https://a.example"),
            (
                "tauri://localhost, https://a.example:443",
                "write entry 2 as https://a.example",
            ),
            (
                "https://user@a.example",
                "write entry 1 as https://a.example",
            ),
            (
                "https://bücher.example",
                "write entry 1 as https://xn--bcher-kva.example",
            ),
            ("https://*.example", "entry 1 is not an origin"),
            ("", "entry 1 is not an origin"),
            ("https://a.example,", "entry 2 is not an origin"),
            ("*,https://a.example", "entry 1 is not an origin"),
            ("null", "entry 1 is not an origin"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.ends_with(why), "{bad}: {error}");
        }
    }

    #[test]
    fn allows_pages_of_this_machine_to_connect_to_this_machine_only() {
        let origins = origins("https://app.example").and_loopback();
        let local = [
            "http://localhost:5173",
            "http://localhost",
            "https://localhost:3000",
            "http://127.0.0.1:3000",
            "http://127.8.9.10:1",
            "http://[::1]:5173",
            "http://app.localhost:5173",
        ];
        let remote = [
            "null",
            "http://evil.example",
            "http://localhost.evil.example:5173",
            "http://192.168.0.7:5173",
            "http://evil.example:8787",
            "http://localhost@evil.example",
            "http://.localhost",
            "chrome-extension://localhost",
        ];
        for host in ["localhost:8787", "127.0.0.1:8787", "[::1]:8787"] {
            for origin in local {
                assert!(origins.allow(origin, host), "{origin} to {host}");
                assert!(origins.allow_cookies(origin, &format!("http://{host}")));
            }
            for origin in remote {
                assert!(!origins.allow(origin, host), "{origin} to {host}");
            }
            assert!(origins.allow("https://app.example", host));
        }
        for origin in local {
            for host in ["chat.example", "192.168.0.7:8787", "localhost.example:8787"] {
                assert!(!origins.allow(origin, host), "{origin} to {host}");
                assert!(!origins.allow_cookies(origin, &format!("http://{host}")));
            }
            assert!(!AllowedOrigins::default().allow(origin, "127.0.0.1:8787"));
        }
    }

    #[test]
    fn a_refusal_names_the_origin_and_what_to_do() {
        let detail = |origin: &str| match AllowedOrigins::default().check(Some(origin), "b") {
            Err(Refusal::OriginForbidden(detail)) => detail,
            other => format!("{other:?}"),
        };
        assert_eq!(
            detail("https://app.example"),
            "Pages of https://app.example may not connect: add the origin to ALLOWED_ORIGINS"
        );
        assert!(detail("null").contains("open the page from a web server"));
        for odd in ["", &"x".repeat(QUOTED_BYTES_MAX + 1)] {
            assert!(detail(odd).starts_with("Pages of this origin may not"));
        }
    }
}
