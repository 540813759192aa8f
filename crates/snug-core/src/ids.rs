//! Names and numbers as types: parsed once at the edge, then passed on as these types.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::limits::{ORIGIN_BYTES_MAX, ROOM_NAME_BYTES_MAX, SAFE_INTEGER_MAX, USER_BYTES_MAX};

/// A room's name: 1 to 128 characters of `A-Z a-z 0-9 _ - . : @ ~`, but not `.` or `..`, which have
/// another meaning in URLs (RFC 3986, section 5.2.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RoomName(Rc<str>);

impl RoomName {
    /// Parses a name; `None` if it is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=ROOM_NAME_BYTES_MAX).contains(&text.len());
        let is_dots = matches!(text, "." | "..");
        (fits && !is_dots && text.bytes().all(is_room_byte)).then(|| Self(text.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for RoomName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a room name"))
    }
}

fn is_room_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.:@~".contains(&byte)
}

/// A user's id, the token's `sub`: 1 to 128 bytes of UTF-8 without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UserId(Rc<str>);

impl UserId {
    /// Parses an id; `None` if it is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=USER_BYTES_MAX).contains(&text.len());
        (fits && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a user id"))
    }
}

/// The name of a gateway's object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GatewayName(Rc<str>);

impl GatewayName {
    /// Creates a name from the object's.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The origin of a page, from the `Origin` header. It is only logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin(Rc<str>);

impl Origin {
    /// Creates an origin from the header. Longer ones, which browsers do not send, are cut off.
    pub fn new(header: &str) -> Self {
        let mut end = ORIGIN_BYTES_MAX.min(header.len());
        while !header.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        Self(header.get(..end).unwrap_or_default().into())
    }
}

/// A short reference, by which the log line about a refusal or a closed connection is found: 40 bits,
/// written as 8 characters that are easy to tell apart (Crockford's Base32, in lower case).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference(u64);

impl Reference {
    const BITS: u32 = 40;
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// Creates a reference from random bits.
    pub fn new(bits: u64) -> Self {
        Self(bits >> (u64::BITS - Self::BITS))
    }

    /// Returns a number from 0 to `most`, which seems random.
    pub fn below(self, most: u64) -> u64 {
        self.0
            .checked_rem(most.saturating_add(1))
            .unwrap_or_default()
    }

    /// Creates the reference of an event. The core has no randomness, so the facts have to identify the
    /// event: for example, a connection's id and the time.
    pub fn of(facts: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        facts.hash(&mut hasher);
        Self::new(hasher.finish())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shift in (0..Self::BITS).step_by(5).rev() {
            let digit = usize::try_from((self.0 >> shift) & 31).unwrap_or_default();
            let digit = Self::DIGITS.get(digit).copied().unwrap_or_default();
            write!(f, "{}", char::from(digit))?;
        }
        Ok(())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Identifies a request that a room has made and whose result arrives in a later turn.
///
/// Rooms count from a random number, so that a late result of a request that the room made before it was
/// restored is not taken for that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(pub u64);

impl TaskId {
    /// Returns this id, and moves on to the next one.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self(self.0.wrapping_add(1)))
    }
}

/// Defines an id of 64 bits, written as 16 hexadecimal digits.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// Parses the 16 digits that `Display` writes.
            pub fn parse(text: &str) -> Option<Self> {
                parse_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| D::Error::custom(concat!("not ", $what)))
            }
        }
    };
}

hex_id! {
    /// The id of one connection: 64 random bits.
    ConnectionId, "a connection id"
}

hex_id! {
    /// The id of one incarnation of a link between a gateway and a room, drawn by the gateway.
    LinkId, "a link id"
}

fn parse_hex(text: &str) -> Option<u64> {
    let is_canonical = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| is_canonical)
}

/// The epoch in which an [`Offset`] counts. A new epoch starts if storage is lost or erased.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Epoch(Rc<str>);

impl Epoch {
    /// Creates an epoch from its stored text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A message's offset in its epoch: 1 for the first, then rising by one. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offset(pub u64);

impl From<u64> for Offset {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl Offset {
    /// An offset higher than that of any message.
    pub const END: Self = Self(SAFE_INTEGER_MAX);

    /// Returns the offset after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Milliseconds since 1970-01-01 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

impl From<u64> for Timestamp {
    fn from(ms: u64) -> Self {
        Self(ms)
    }
}

impl Timestamp {
    /// Returns the time this many milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to this time; 0 if `earlier` is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_are_limited_to_their_alphabet_and_length() {
        for good in ["a", "...", "team:7:general", "A-z_0.9~@x", &"r".repeat(128)] {
            assert_eq!(
                RoomName::parse(good).as_ref().map(RoomName::as_str),
                Some(good)
            );
        }
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "a*",
            "é",
            "a\0",
            &"r".repeat(129),
        ] {
            assert_eq!(RoomName::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn user_ids_are_limited_in_length_and_have_no_control_characters() {
        for good in ["a", "用户", "__proto__", " ", &"u".repeat(128)] {
            assert!(UserId::parse(good).is_some(), "{good:?}");
        }
        for bad in [
            "",
            "a\nb",
            "\u{7f}",
            "\u{85}",
            &"u".repeat(129),
            &"用".repeat(43),
        ] {
            assert_eq!(UserId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn origins_are_cut_off_at_their_limit() {
        let exact = "o".repeat(ORIGIN_BYTES_MAX);
        assert_eq!(&*Origin::new(&exact).0, exact);
        assert_eq!(&*Origin::new(&format!("{exact}o")).0, exact);
        let wide = format!("{}é", "o".repeat(ORIGIN_BYTES_MAX - 1));
        assert_eq!(Origin::new(&wide).0.len(), ORIGIN_BYTES_MAX - 1);
    }

    #[test]
    fn references_are_eight_characters_that_depend_on_all_facts() {
        assert_eq!(Reference::new(0).to_string(), "00000000");
        assert_eq!(Reference::new(u64::MAX).to_string(), "zzzzzzzz");
        assert_eq!(
            Reference::new(0x8421_0842_1000_0000).to_string(),
            "gggggggg"
        );
        let fact = Reference::of((ConnectionId(1), Timestamp(2)));
        assert_eq!(fact, Reference::of((ConnectionId(1), Timestamp(2))));
        assert_ne!(fact, Reference::of((ConnectionId(1), Timestamp(3))));
        assert_ne!(fact, Reference::of((ConnectionId(2), Timestamp(2))));
    }

    #[test]
    fn connection_ids_parse_their_own_text() {
        let id = ConnectionId(0x0123);
        assert_eq!(id.to_string(), "0000000000000123");
        assert_eq!(ConnectionId::parse(&id.to_string()), Some(id));
        for bad in ["", "123", "+000000000000123", "000000000000012g"] {
            assert_eq!(ConnectionId::parse(bad), None, "{bad:?}");
        }
    }
}
