//! Keeps clients from making Snug flood the application at `AUTH_URL`:
//! each join request with cookies is a request to it.

use std::net::Ipv6Addr;

use crate::{
    ids::{RoomName, Timestamp},
    limits::{SESSION_ASKERS_MAX, SESSION_COOKIE_BYTES_MAX, SESSION_REFUSAL_MS},
    protocol::refusal::Refusal,
    rate::{Bucket, Rate},
};

/// The requests to the application from clients with one address.
const ADDRESS_RATE: Rate = Rate {
    per_second: 10,
    burst: 100,
};
/// The requests to the application with the same cookies.
const COOKIE_RATE: Rate = Rate {
    per_second: 5,
    burst: 50,
};

/// A join request that the application has to decide on.
#[derive(Clone, Copy, Debug)]
pub struct SessionAsker<'a> {
    /// The requested room; `None` for a connection with several rooms.
    pub room: Option<&'a RoomName>,
    /// The client's IP address, if known.
    pub ip: Option<&'a str>,
    /// The `Cookie` header.
    pub cookie: Option<&'a str>,
    /// The `Origin` header.
    pub origin: Option<&'a str>,
}

/// The rate of each recent client, and the latest refusals, in one isolate.
#[derive(Debug, Default)]
pub struct SessionGuard {
    addresses: Buckets,
    cookies: Buckets,
    refusals: Vec<Refused>,
    /// The latest time so far. If the clock is set back, buckets would seem to be empty.
    now: Timestamp,
}

#[derive(Debug)]
struct Refused {
    asker: String,
    refusal: Refusal,
    until: Timestamp,
}

impl SessionGuard {
    /// Creates a guard without any memory.
    pub const fn new() -> Self {
        Self {
            addresses: Buckets::new(),
            cookies: Buckets::new(),
            refusals: Vec::new(),
            now: Timestamp(0),
        }
    }

    /// Checks that the application may be asked.
    ///
    /// # Errors
    ///
    /// The refusal that the application gave to the same request a moment ago, or `rate_limited`.
    pub fn ask(&mut self, asker: &SessionAsker<'_>, now: Timestamp) -> Result<(), Refusal> {
        self.now = self.now.max(now);
        let now = self.now;
        let key = asker.key();
        self.refusals.retain(|one| one.until > now);
        if let Some(one) = self
            .refusals
            .iter()
            .find(|one| Some(&one.asker) == key.as_ref())
        {
            return Err(one.refusal.clone());
        }
        if let Some(ip) = asker.ip {
            self.addresses.take(&network(ip), ADDRESS_RATE, now)?;
        }
        match asker.cookie {
            Some(cookie) if cookie.len() <= SESSION_COOKIE_BYTES_MAX => {
                self.cookies.take(cookie, COOKIE_RATE, now)
            }
            _ => Ok(()),
        }
    }

    /// Remembers a refusal by the application for [`SESSION_REFUSAL_MS`].
    pub fn remember(&mut self, asker: &SessionAsker<'_>, refusal: &Refusal, now: Timestamp) {
        if let Some(key) = asker.key() {
            if self.refusals.len() >= SESSION_ASKERS_MAX {
                self.refusals.remove(0);
            }
            self.refusals.push(Refused {
                asker: key,
                refusal: refusal.clone(),
                until: now.plus_ms(SESSION_REFUSAL_MS),
            });
        }
    }
}

impl SessionAsker<'_> {
    /// Returns all that the application's decision may depend on; `None` if it is too long to keep.
    fn key(&self) -> Option<String> {
        let cookie = self.cookie.unwrap_or_default();
        (cookie.len() <= SESSION_COOKIE_BYTES_MAX).then(|| {
            let [ip, origin] = [self.ip, self.origin].map(Option::unwrap_or_default);
            format!(
                "{}\n{ip}\n{origin}\n{cookie}",
                self.room.map_or("", RoomName::as_str)
            )
        })
    }
}

/// Returns the network of an IPv6 address (64 bits), in which a client can choose any address, or an IPv4
/// address as it is.
fn network(ip: &str) -> String {
    let v6 = ip.parse::<Ipv6Addr>();
    v6.map_or_else(
        |_| ip.to_owned(),
        |ip| format!("{:x?}", ip.segments().first_chunk::<4>()),
    )
}

/// Buckets by a text.
#[derive(Debug, Default)]
struct Buckets(Vec<(String, Bucket)>);

impl Buckets {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn take(&mut self, key: &str, rate: Rate, now: Timestamp) -> Result<(), Refusal> {
        if let Some((_, bucket)) = self.0.iter_mut().find(|(one, _)| one == key) {
            return bucket.take(rate, now).map_err(Refusal::rate_limited);
        }
        if self.0.len() >= SESSION_ASKERS_MAX {
            self.0.retain(|(_, bucket)| !bucket.is_full(now));
        }
        if self.0.len() >= SESSION_ASKERS_MAX {
            self.0.clear();
        }
        let mut bucket = Bucket::default();
        let taken = bucket.take(rate, now);
        self.0.push((key.to_owned(), bucket));
        taken.map_err(Refusal::rate_limited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const LIMITED: Result<(), Refusal> = Err(Refusal::RateLimited { seconds: 1 });

    fn room() -> RoomName {
        RoomName::parse("lobby").unwrap()
    }

    fn ask(
        guard: &mut SessionGuard,
        ip: &str,
        cookie: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let asker = SessionAsker {
            room: Some(&room()),
            ip: Some(ip),
            cookie: Some(cookie),
            origin: None,
        };
        guard.ask(&asker, now)
    }

    #[test]
    fn an_address_asks_a_hundred_times_and_then_slowly() {
        let mut guard = SessionGuard::new();
        for number in 0..100 {
            let asked = ask(&mut guard, "203.0.113.7", &number.to_string(), NOW);
            assert_eq!(asked, Ok(()));
        }
        assert_eq!(ask(&mut guard, "203.0.113.7", "x", NOW), LIMITED);
        assert_eq!(ask(&mut guard, "203.0.113.8", "x", NOW), Ok(()));
        let later = NOW.plus_ms(100);
        assert_eq!(ask(&mut guard, "203.0.113.7", "y", later), Ok(()));
        assert_eq!(ask(&mut guard, "203.0.113.7", "y", later), LIMITED);
    }

    #[test]
    fn a_client_can_ask_after_the_clock_was_set_back() {
        let mut guard = SessionGuard::new();
        for now in [NOW.plus_ms(3_600_000), NOW] {
            assert_eq!(ask(&mut guard, "203.0.113.7", "sid=1", now), Ok(()));
        }
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one() {
        let mut guard = SessionGuard::new();
        for number in 0..100 {
            let ip = format!("2001:db8:1:2:{number:x}::{number:x}");
            assert_eq!(ask(&mut guard, &ip, &number.to_string(), NOW), Ok(()));
        }
        assert_eq!(ask(&mut guard, "2001:db8:1:2::1", "x", NOW), LIMITED);
        assert_eq!(ask(&mut guard, "2001:db8:1:3::1", "x", NOW), Ok(()));
    }

    #[test]
    fn the_same_cookies_ask_fifty_times_and_then_slowly() {
        let mut guard = SessionGuard::new();
        for number in 0..50 {
            let ip = format!("203.0.113.{number}");
            assert_eq!(ask(&mut guard, &ip, "sid=1", NOW), Ok(()));
        }
        assert_eq!(ask(&mut guard, "203.0.113.99", "sid=1", NOW), LIMITED);
        assert_eq!(ask(&mut guard, "203.0.113.99", "sid=2", NOW), Ok(()));
        let later = NOW.plus_ms(200);
        assert_eq!(ask(&mut guard, "203.0.113.99", "sid=1", later), Ok(()));
    }

    #[test]
    fn a_refusal_is_remembered_for_a_second_and_for_the_same_request_only() {
        let mut guard = SessionGuard::new();
        let room = room();
        let asker = SessionAsker {
            room: Some(&room),
            ip: Some("203.0.113.7"),
            cookie: Some("sid=1"),
            origin: Some("https://app.example"),
        };
        guard.remember(&asker, &Refusal::NotSignedIn, NOW);
        let refused = Err(Refusal::NotSignedIn);
        assert_eq!(guard.ask(&asker, NOW.plus_ms(999)), refused);
        let other_room = RoomName::parse("vault").unwrap();
        for other in [
            SessionAsker {
                room: Some(&other_room),
                ..asker
            },
            SessionAsker { ip: None, ..asker },
            SessionAsker {
                cookie: Some("sid=2"),
                ..asker
            },
            SessionAsker {
                origin: None,
                ..asker
            },
        ] {
            assert_eq!(guard.ask(&other, NOW), Ok(()));
        }
        assert_eq!(guard.ask(&asker, NOW.plus_ms(1_000)), Ok(()));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut guard = SessionGuard::new();
        let room = room();
        let long = "x".repeat(SESSION_COOKIE_BYTES_MAX + 1);
        for number in 0..3 * SESSION_ASKERS_MAX {
            let (ip, cookie) = (format!("address {number}"), format!("sid={number}"));
            let asker = SessionAsker {
                room: Some(&room),
                ip: Some(&ip),
                cookie: Some(&cookie),
                origin: None,
            };
            assert_eq!(guard.ask(&asker, NOW), Ok(()));
            guard.remember(&asker, &Refusal::NotSignedIn, NOW);
            guard.remember(
                &SessionAsker {
                    cookie: Some(&long),
                    ..asker
                },
                &Refusal::NotSignedIn,
                NOW,
            );
        }
        let kept = [
            guard.addresses.0.len(),
            guard.cookies.0.len(),
            guard.refusals.len(),
        ];
        assert!(
            kept.iter().all(|len| *len <= SESSION_ASKERS_MAX),
            "{kept:?}"
        );
        assert_eq!(guard.refusals.len(), SESSION_ASKERS_MAX);
    }
}
