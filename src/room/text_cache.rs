//! JsTextCache as JavaScript has them.

use std::rc::Rc;

use js_sys::JsString;

/// The last text that was encoded. What is stored is sent right after, and crosses once.
#[derive(Default)]
pub struct JsTextCache(Option<(Rc<str>, JsString)>);

impl JsTextCache {
    /// The text as a JavaScript string.
    pub fn encode(&mut self, text: &Rc<str>) -> &JsString {
        let known = self.0.take().filter(|(last, _)| Rc::ptr_eq(last, text));
        let (_, encoded) = self
            .0
            .insert(known.unwrap_or_else(|| (text.clone(), JsString::from(&**text))));
        encoded
    }

    /// Lets go of it.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}
