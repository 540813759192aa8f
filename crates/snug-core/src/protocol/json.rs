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
}
