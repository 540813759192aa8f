//! A cache that passes a text to JavaScript once.

use std::rc::Rc;

use js_sys::JsString;

/// The text that was stored last, and the one that was sent last. Most texts that are stored are then
/// sent, perhaps after others.
#[derive(Default)]
pub struct JsTextCache {
    stored: Option<Encoded>,
    sent: Option<Encoded>,
}

type Encoded = (Rc<str>, JsString);

impl JsTextCache {
    /// Returns a text that is stored as a JavaScript string.
    pub fn keep(&mut self, text: &Rc<str>) -> &JsString {
        encode(&mut self.stored, text)
    }

    /// Returns a text that is sent as a JavaScript string.
    pub fn encode(&mut self, text: &Rc<str>) -> &JsString {
        let is_stored = is_of(&self.stored, text);
        encode(
            if is_stored {
                &mut self.stored
            } else {
                &mut self.sent
            },
            text,
        )
    }

    /// Drops the cached texts.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

fn is_of(slot: &Option<Encoded>, text: &Rc<str>) -> bool {
    slot.as_ref()
        .is_some_and(|(known, _)| Rc::ptr_eq(known, text))
}

fn encode<'a>(slot: &'a mut Option<Encoded>, text: &Rc<str>) -> &'a JsString {
    let known = slot.take().filter(|(known, _)| Rc::ptr_eq(known, text));
    let (_, encoded) =
        slot.insert(known.unwrap_or_else(|| (text.clone(), JsString::from(&**text))));
    encoded
}
