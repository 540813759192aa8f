//! Reads HTTP bodies up to a size limit.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use web_sys::{ReadableStream, ReadableStreamDefaultReader};
use worker::wasm_bindgen_futures;

#[wasm_bindgen]
extern "C" {
    type RawReader;

    #[wasm_bindgen(method, catch)]
    async fn read(this: &RawReader) -> Result<JsValue, JsValue>;
}

/// Reads a body, or returns `None` if it is longer than `bytes_max`.
///
/// # Errors
///
/// The platform's error if the body ends early.
pub async fn read(stream: &ReadableStream, bytes_max: usize) -> Result<Option<Vec<u8>>, JsValue> {
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let raw: &RawReader = reader.unchecked_ref();
    let mut bytes = Vec::new();
    loop {
        let step = raw.read().await?;
        if Reflect::get(&step, &"done".into())?.is_truthy() {
            return Ok(Some(bytes));
        }
        let chunk: Uint8Array = Reflect::get(&step, &"value".into())?.unchecked_into();
        let length = usize::try_from(chunk.length()).unwrap_or(usize::MAX);
        if bytes.len().saturating_add(length) > bytes_max {
            let _cancelled = reader.cancel();
            return Ok(None);
        }
        bytes.extend(chunk.to_vec());
    }
}
