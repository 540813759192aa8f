//! The payload of a message or of an appended text, by which each delivered copy is recognized.

use std::{fmt::Write, sync::LazyLock};

use memchr::{memchr_iter, memmem::Finder};

/// The beginning of every payload that is an object. No server writes it by itself.
static START: LazyLock<Finder> = LazyLock::new(|| Finder::new(br#"{"sender":"#));

/// The beginning of every payload that is a text. Snug does not write it by itself, either.
const TEXT_START: u8 = b'<';

/// The sender of a message, its room and number, and the time when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The index among the senders of the room.
    pub sender: u32,
    pub room: u32,
    /// Counts each sender's messages in the room, starting with 1.
    pub number: u32,
    /// In nanoseconds since the run began. Latency counts from here, even if the message is sent later.
    pub due: u64,
}

impl Payload {
    /// Writes a JSON object, padded to this many bytes.
    pub fn write(&self, bytes: usize, out: &mut String) {
        let Self {
            sender,
            room,
            number,
            due,
        } = self;
        let start = out.len();
        // Writing to a String does not fail.
        let _ = write!(
            out,
            r#"{{"sender":{sender},"room":{room},"number":{number},"due":{due},"filler":""#
        );
        let end = r#""}"#;
        let filler = bytes.saturating_sub(out.len() - start + end.len());
        out.extend(std::iter::repeat_n('x', filler));
        out.push_str(end);
    }

    /// Writes a text that needs no escapes in JSON, padded to this many bytes.
    pub fn write_text(&self, bytes: usize, out: &mut String) {
        let Self {
            sender,
            room,
            number,
            due,
        } = self;
        let start = out.len();
        // Writing to a String does not fail.
        let _ = write!(out, "<{sender}:{room}:{number}:{due}>");
        let filler = bytes.saturating_sub(out.len() - start);
        out.extend(std::iter::repeat_n('x', filler));
    }

    /// Finds all payloads that are texts: several if texts were appended together.
    pub fn find_texts(text: &[u8]) -> impl Iterator<Item = Self> {
        memchr_iter(TEXT_START, text).filter_map(|start| {
            let mut rest = &text[start + 1..];
            let mut next = |after: u8| {
                let (number, tail) = leading_number(rest)?;
                let (first, tail) = tail.split_first()?;
                rest = tail;
                (*first == after).then_some(number)
            };
            Some(Self {
                sender: u32::try_from(next(b':')?).ok()?,
                room: u32::try_from(next(b':')?).ok()?,
                number: u32::try_from(next(b':')?).ok()?,
                due: next(b'>')?,
            })
        })
    }

    /// Finds the first payload in a text that is an object.
    pub fn find(text: &[u8]) -> Option<Self> {
        let start = START.find(text)?;
        let mut rest = &text[start + START.needle().len()..];
        let mut next = |after: &[u8]| {
            let (number, tail) = leading_number(rest)?;
            rest = tail.strip_prefix(after)?;
            Some(number)
        };
        Some(Self {
            sender: u32::try_from(next(br#","room":"#)?).ok()?,
            room: u32::try_from(next(br#","number":"#)?).ok()?,
            number: u32::try_from(next(br#","due":"#)?).ok()?,
            due: next(b",")?,
        })
    }
}

/// Reads the number at the beginning of a text, and returns it with the rest.
pub fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Payload = Payload {
        sender: 3,
        room: 400,
        number: 17,
        due: 1_234_567,
    };

    #[test]
    fn finds_a_payload_inside_other_text() {
        let mut text = String::from(r#"{"type":"message","data":"#);
        STAMP.write(150, &mut text);
        text.push('}');
        assert_eq!(Payload::find(text.as_bytes()), Some(STAMP));
    }

    #[test]
    fn pads_a_payload_to_the_requested_length() {
        let mut text = String::new();
        STAMP.write(150, &mut text);
        assert_eq!(text.len(), 150);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn writes_a_payload_that_is_longer_than_requested() {
        let mut text = String::new();
        STAMP.write(0, &mut text);
        assert_eq!(Payload::find(text.as_bytes()), Some(STAMP));
    }

    #[test]
    fn finds_all_texts_that_were_appended_together() {
        let mut text = String::from(r#"{"type":"change","text":""#);
        STAMP.write_text(40, &mut text);
        let next = Payload {
            number: 18,
            ..STAMP
        };
        next.write_text(40, &mut text);
        text.push_str(r#""}"#);
        let found: Vec<_> = Payload::find_texts(text.as_bytes()).collect();
        assert_eq!(found, [STAMP, next]);
        assert_eq!(text.len(), r#"{"type":"change","text":""}"#.len() + 80);
        assert_eq!(Payload::find_texts(b"<1:2><1:2:3:4").count(), 0);
    }

    #[test]
    fn finds_no_payload_in_other_text() {
        for text in [
            "",
            "{}",
            r#"{"sender":"#,
            r#"{"sender":1,"room":2,"number":3}"#,
        ] {
            assert_eq!(Payload::find(text.as_bytes()), None, "{text}");
        }
    }
}
