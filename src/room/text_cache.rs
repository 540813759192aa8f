//! A cache that passes a text to JavaScript once.

use std::rc::Rc;

use js_sys::JsString;

/// The last encoded text. A text that is stored and then sent is encoded only once.
#[derive(Default)]
pub struct JsTextCache(Option<(Rc<str>, JsString)>);

impl JsTextCache {
    /// Returns the text as a JavaScript string.
    pub fn encode(&mut self, text: &Rc<str>) -> &JsString {
        let known = self.0.take().filter(|(last, _)| Rc::ptr_eq(last, text));
        let (_, encoded) = self
            .0
            .insert(known.unwrap_or_else(|| (text.clone(), JsString::from(&**text))));
        encoded
    }

    /// Drops the cached text.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}
