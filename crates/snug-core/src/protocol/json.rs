//! Checks of JSON that is passed on as written.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::limits::NESTING_MAX;

/// Returns true if every client's parser can be expected to read the text: valid JSON, nested at
/// most [`NESTING_MAX`] deep, without numbers beyond a double or unpaired surrogates.
///
/// serde_json checks the last three in what it parses, but not in raw values.
pub fn is_readable(text: &str) -> bool {
    let mut json = serde_json::Deserializer::from_str(text);
    Readable {
        depth_left: NESTING_MAX,
    }
    .deserialize(&mut json)
    .is_ok()
        && json.end().is_ok()
}

/// Returns a field of an object that is not among `known`.
pub fn unknown_field(object: &str, known: &[&str]) -> Option<String> {
    let fields: BTreeMap<String, IgnoredAny> = serde_json::from_str(object).ok()?;
    fields
        .into_keys()
        .find(|name| !known.contains(&name.as_str()))
}

/// Reads a value to its end and discards it.
#[derive(Clone, Copy)]
struct Readable {
    depth_left: usize,
}

impl Readable {
    /// Returns the state for one level deeper.
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1);
        depth_left
            .map(|depth_left| Self { depth_left })
            .ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Readable {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while array.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while object.next_key_seed(inner)?.is_some() {
            object.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// Returns the text without a byte order mark at its start, which some tools write before JSON and
/// which a reader may skip (RFC 8259, section 8.1).
pub fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Returns a whole number from 0 up, however it is written: in JSON, `7.0` and `7e0` are the same
/// number as `7`, and some libraries write all numbers so. Returns `None` for any other value. A
/// number beyond 2^64 counts as 2^64 - 1.
pub fn whole_number(raw: &RawValue) -> Option<u64> {
    raw.get().parse().ok().or_else(|| {
        let number = number(raw)?;
        // The conversion saturates.
        (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
    })
}

/// Returns a number. Unlike serde_json, which may be off by one bit, this is exact; a number beyond a
/// double is infinite.
pub fn number(raw: &RawValue) -> Option<f64> {
    // JSON's other literals are no numbers in Rust either.
    raw.get().parse().ok()
}

/// Deserializes an optional whole number: see [`whole_number`].
///
/// # Errors
///
/// The deserializer's error if the value is neither `null` nor such a number, or does not fit.
pub fn optional_whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(deserializer)?;
    let number = |raw| whole_number(raw).and_then(|number| T::try_from(number).ok());
    let fits = |raw| number(raw).ok_or_else(|| D::Error::custom("not a whole number"));
    raw.map(fits).transpose()
}

/// Returns what kind of value this is, to follow "it is".
pub fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The reason why the members of an object cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembersError {
    /// The text is not JSON.
    NotJson,
    /// The value is not an object, but of this kind.
    NotAnObject(&'static str),
    /// The object has this member twice.
    Twice(&'static str),
}

/// Returns those members of an object that have one of these names, as written.
///
/// # Errors
///
/// See [`MembersError`]. Duplicates of other members are ignored.
pub fn members<'a>(
    text: &'a str,
    names: &[&'static str],
) -> Result<BTreeMap<&'static str, &'a RawValue>, MembersError> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|_| MembersError::NotJson)?;
    if !is_object(whole) {
        return Err(MembersError::NotAnObject(kind(whole)));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let found = json.deserialize_map(Named { names });
    found.map_err(|_| MembersError::NotJson)?
}

/// Reads the members with these names.
struct Named<'n> {
    names: &'n [&'static str],
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Result<BTreeMap<&'static str, &'de RawValue>, MembersError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        let mut twice = None;
        while let Some(key) = object.next_key::<String>()? {
            let Some(name) = self.names.iter().find(|name| **name == key) else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            if members.insert(*name, object.next_value()?).is_some() {
                twice.get_or_insert(*name);
            }
        }
        Ok(twice.map_or(Ok(members), |name| Err(MembersError::Twice(name))))
    }
}

/// Returns true if the value is an object.
pub fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// Returns the same value without line breaks, because frames join objects by `\n`.
///
/// In JSON, a line break is either white space or escaped (RFC 8259, section 7), so a space can
/// replace it.
pub fn one_line(raw: &RawValue) -> Cow<'_, RawValue> {
    if !raw.get().contains(['\n', '\r']) {
        return Cow::Borrowed(raw);
    }
    let line = raw.get().replace(['\n', '\r'], " ");
    RawValue::from_string(line).map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned)
}

/// Deserializes a field so that `null` differs from absence.
pub(crate) fn some_raw<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Returns a text as a JSON string.
pub(crate) fn string(text: &str) -> Box<RawValue> {
    // Serializing a string cannot fail.
    serde_json::value::to_raw_value(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Returns the `data` of an object; `None` if it has none.
pub(crate) fn data_of(object: &str) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct OnlyData<'a> {
        #[serde(borrow, default, deserialize_with = "some_raw")]
        data: Option<&'a RawValue>,
    }
    let only: OnlyData<'_> = serde_json::from_str(object).ok()?;
    only.data.map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_json_that_some_parsers_reject() {
        for good in [
            "1",
            "null",
            "-0.5e-300",
            "1e308",
            r#""\ud83d\udc4b""#,
            r#"{"":[true,{}]}"#,
            r#"["[[[["]"#,
        ] {
            assert!(is_readable(good), "{good}");
        }
        for bad in [
            "",
            "1e309",
            r#""\ud800""#,
            r#"{"\udc4b":1}"#,
            "[1,]",
            "01",
            "1 2",
            "\"\n\"",
            "NaN",
        ] {
            assert!(!is_readable(bad), "{bad}");
        }
    }

    #[test]
    fn counts_arrays_and_objects_as_nesting() {
        let nested = |depth: usize| {
            format!(
                "{}1{}",
                r#"[{"a":"#.repeat(depth / 2),
                "}]".repeat(depth / 2)
            )
        };
        assert!(is_readable(&nested(NESTING_MAX)));
        assert!(!is_readable(&nested(NESTING_MAX + 2)));
    }

    #[test]
    fn one_line_keeps_the_value() {
        let raw = RawValue::from_string("{\"a\":\r\n [1,\n\"\\n\"]}".into()).unwrap();
        assert_eq!(one_line(&raw).get(), r#"{"a":   [1, "\n"]}"#);
    }

    #[test]
    fn reads_a_whole_number_however_it_is_written() {
        let raw = |text: &str| RawValue::from_string(text.into()).unwrap();
        for (text, number) in [
            ("7", 7),
            ("7.0", 7),
            ("7e0", 7),
            ("0.7E1", 7),
            ("-0.0", 0),
            ("9007199254740991.0", 9_007_199_254_740_991),
            ("18446744073709551615", u64::MAX),
            ("1e300", u64::MAX),
        ] {
            assert_eq!(whole_number(&raw(text)), Some(number), "{text}");
        }
        for text in ["7.5", "-7", "-7.0", "1e-3", "\"7\"", "null", "[7]", "true"] {
            assert_eq!(whole_number(&raw(text)), None, "{text}");
        }
    }

    #[test]
    fn reads_the_named_members_and_reports_duplicates() {
        let read = |text| members(text, &["a", "b"]);
        let found = read(r#" {"\u0061": [1] , "x": 1, "x": 2, "b": null} "#).unwrap();
        let texts: Vec<_> = found.values().map(|raw| raw.get()).collect();
        assert_eq!(texts, ["[1]", "null"]);
        for (text, error) in [
            (r#"{"b":1,"\u0062":1}"#, MembersError::Twice("b")),
            ("[1]", MembersError::NotAnObject("a list")),
            ("null", MembersError::NotAnObject("null")),
            ("", MembersError::NotJson),
            ("{", MembersError::NotJson),
            ("{}{}", MembersError::NotJson),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text}");
        }
    }
}
