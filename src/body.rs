//! Reads HTTP bodies up to a size limit. Their chunks stay in JavaScript: the memory of Wasm never shrinks.

use js_sys::{Array, Reflect, Uint8Array};
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
pub async fn read(
    stream: &ReadableStream,
    bytes_max: usize,
) -> Result<Option<Uint8Array>, JsValue> {
    let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let raw: &RawReader = reader.unchecked_ref();
    let (chunks, mut bytes) = (Array::new(), 0_u32);
    loop {
        let step = raw.read().await?;
        if Reflect::get(&step, &"done".into())?.is_truthy() {
            return Ok(Some(joined(&chunks, bytes)));
        }
        let chunk: Uint8Array = Reflect::get(&step, &"value".into())?.unchecked_into();
        bytes = bytes.saturating_add(chunk.length());
        if bytes > bytes_max {
            let _cancelled = reader.cancel();
            return Ok(None);
        }
        chunks.push(&chunk);
    }
}

fn joined(chunks: &Array, bytes: u32) -> Uint8Array {
    let body = Uint8Array::new_with_length(bytes);
    let mut offset = 0_u32;
    for index in 0..chunks.length() {
        let chunk: Uint8Array = chunks.get(index).unchecked_into();
        body.set(&chunk, offset);
        offset = offset.saturating_add(chunk.length());
    }
    body
}

/// Reads the body of a request of another object as text.
///
/// # Errors
///
/// The platform's error if the body ends early.
pub async fn text(request: &web_sys::Request) -> Result<String, JsValue> {
    let text = wasm_bindgen_futures::JsFuture::from(request.text()?).await?;
    Ok(text.as_string().unwrap_or_default())
}
