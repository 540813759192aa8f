//! What a message carries, so that each of its copies is known again.

use std::{fmt::Write, sync::LazyLock};

use memchr::memmem::Finder;

/// The beginning of every stamped message, which no server writes by itself.
static START: LazyLock<Finder> = LazyLock::new(|| Finder::new(br#"{"sender":"#));

/// Who sent a message, the how manieth of that sender it is, and when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub sender: u32,
    /// From 1 on.
    pub number: u32,
    /// In nanoseconds of the generator's clock.
    pub due: u64,
}

impl Stamp {
    /// Writes a JSON object of that many bytes, or of as many as it needs.
    pub fn write(&self, bytes: usize, out: &mut String) {
        let Self {
            sender,
            number,
            due,
        } = self;
        let start = out.len();
        // Writing to a String does not fail.
        let _ = write!(
            out,
            r#"{{"sender":{sender},"number":{number},"due":{due},"filler":""#
        );
        let end = r#""}"#;
        let filler = bytes.saturating_sub(out.len() - start + end.len());
        out.extend(std::iter::repeat_n('x', filler));
        out.push_str(end);
    }

    /// The first stamp in a text.
    pub fn find(text: &[u8]) -> Option<Self> {
        let start = START.find(text)?;
        let mut rest = &text[start + START.needle().len()..];
        let mut next = |after: &[u8]| {
            let (number, tail) = leading_number(rest)?;
            rest = tail.strip_prefix(after)?;
            Some(number)
        };
        Some(Self {
            sender: u32::try_from(next(br#","number":"#)?).ok()?,
            number: u32::try_from(next(br#","due":"#)?).ok()?,
            due: next(b",")?,
        })
    }
}

/// The number that a text begins with, and what follows it.
pub fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        sender: 3,
        number: 17,
        due: 1_234_567,
    };

    #[test]
    fn is_found_again_wherever_it_stands() {
        let mut text = String::from(r#"{"type":"message","data":"#);
        STAMP.write(150, &mut text);
        text.push('}');
        assert_eq!(Stamp::find(text.as_bytes()), Some(STAMP));
    }

    #[test]
    fn is_as_long_as_asked() {
        let mut text = String::new();
        STAMP.write(150, &mut text);
        assert_eq!(text.len(), 150);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn is_as_long_as_needed() {
        let mut text = String::new();
        STAMP.write(0, &mut text);
        assert_eq!(Stamp::find(text.as_bytes()), Some(STAMP));
    }

    #[test]
    fn is_not_found_in_other_text() {
        for text in ["", "{}", r#"{"sender":"#, r#"{"sender":1,"number":2}"#] {
            assert_eq!(Stamp::find(text.as_bytes()), None, "{text}");
        }
    }
}
