//! URLs of other servers in the operator's settings, and the check for loopback hosts.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A URL whose host is authentic: `https`, or `http` to a loopback host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// Parses a URL; `None` if it is invalid. User names and passwords are rejected, because the URL
    /// may be logged.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\<>\"`{}|^".contains(&byte);
        let (scheme, rest) = text.split_once("://")?;
        let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(host_end)?;
        let host = host(authority)?;
        let is_trusted = match scheme {
            "https" => true,
            "http" => is_loopback(host),
            _ => false,
        };
        let is_whole = text.bytes().all(is_plain) && !path.contains('#');
        (is_trusted && is_whole).then(|| Self(text.into()))
    }

    /// Returns the URL as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns true if a host, with an optional port, is a loopback address or `localhost`, which always
/// resolves to one (RFC 6761, section 6.3).
pub fn is_loopback_host(authority: &str) -> bool {
    host(authority).is_some_and(is_loopback)
}

/// Returns true if a browser's page has this origin only if it was loaded from its own machine: from
/// a loopback host, or a name under `localhost`, which browsers resolve to one.
pub fn is_loopback_origin(origin: &str) -> bool {
    let origin = origin.to_ascii_lowercase();
    let Some(("http" | "https", authority)) = origin.split_once("://") else {
        return false;
    };
    host(authority).is_some_and(|host| {
        let name = host.strip_suffix(".localhost");
        let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '?', '#', '\\']);
        is_loopback(host) || name.is_some_and(is_name)
    })
}

/// Returns the authority's host; `None` unless it is just a host and an optional port.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.rfind(']') {
        Some(end) => authority.split_at_checked(end.checked_add(1)?)?,
        None => authority.split_at_checked(authority.find(':').unwrap_or(authority.len()))?,
    };
    let is_port = |port: &str| {
        let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
        is_digits && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    let has_port = port.strip_prefix(':').map_or(port.is_empty(), is_port);
    let is_host = !host.is_empty() && !host.contains('@');
    (is_host && has_port).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_https_urls_and_http_urls_to_loopback_hosts() {
        for text in [
            "https://id.example",
            "https://id.example/realms/a/certs?x=1&y=%20",
            "https://id.example:8443/jwks",
            "https://[2001:db8::1]/jwks",
            "http://localhost/jwks",
            "http://localhost:8080",
            "http://127.0.0.1:9000/auth.php",
            "http://127.8.9.10/",
            "http://[::1]:8080/jwks",
        ] {
            let address = ServiceUrl::parse(text);
            assert_eq!(address.as_ref().map(ServiceUrl::as_str), Some(text));
        }
    }

    #[test]
    fn rejects_all_other_urls() {
        for text in [
            "",
            "id.example/jwks",
            "//id.example/jwks",
            "http://id.example/jwks",
            "http://10.0.0.1/jwks",
            "http://0.0.0.0/jwks",
            "http://localhost.evil.example/",
            "http://127.0.0.1.evil.example/",
            "http://127.1/",
            "http://[::2]/",
            "http://[::1].evil.example/",
            "http://localhost@evil.example/",
            "http://localhost:80@evil.example/",
            "http://localhost\\@evil.example/",
            "http://evil.example#@localhost/",
            "https://user:password@id.example/",
            "https://",
            "https:///jwks",
            "https://:443/",
            "https://id.example:0/",
            "https://id.example:https/",
            "https://id.example:+80/",
            "https://id.example:/",
            "https://id.example:99999/",
            "https://id.example/a b",
            "https://id.example/\n",
            "https://id.example/ü",
            "https://id.example/jwks#keys",
            "ftp://id.example/",
            "file:///etc/passwd",
            "HTTPS://id.example/",
            " https://id.example/",
        ] {
            assert_eq!(ServiceUrl::parse(text), None, "{text}");
        }
    }

    #[test]
    fn recognizes_loopback_hosts_only() {
        for authority in [
            "localhost",
            "localhost:8787",
            "127.0.0.1",
            "127.255.255.254:65535",
            "[::1]",
            "[::1]:8787",
        ] {
            assert!(is_loopback_host(authority), "{authority}");
        }
        for authority in [
            "",
            ":8787",
            "chat.example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "localhost.",
            "chat.localhost",
            "0.0.0.0",
            "128.0.0.1",
            "192.168.0.1:8787",
            "[::]",
            "[::2]:8787",
            "[::ffff:127.0.0.1]",
            "::1",
            "localhost@example.com",
            "localhost:",
            "localhost:0",
        ] {
            assert!(!is_loopback_host(authority), "{authority}");
        }
    }
}
