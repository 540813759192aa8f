//! WebSockets that can hibernate.

use js_sys::{Date, JsString};
use snug_core::Timestamp;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{
    Result, State, WebSocket,
    worker_sys::{WebSocketRequestResponsePair, ext::WebSocketExt},
};

#[wasm_bindgen]
extern "C" {
    type RawWebSocket;

    // worker-rs takes a Rust string, which it converts for each socket.
    #[wasm_bindgen(method, catch)]
    fn send(this: &RawWebSocket, text: &JsString) -> std::result::Result<(), JsValue>;

    // worker-rs lacks it.
    #[wasm_bindgen(method, getter, js_name = bufferedAmount)]
    fn buffered_amount(this: &RawWebSocket) -> Option<f64>;

    type RawState;

    // worker-rs lacks it.
    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    fn auto_response_timestamp(
        this: &RawState,
        socket: &worker::web_sys::WebSocket,
    ) -> std::result::Result<Option<Date>, JsValue>;
}

/// Sends one text frame. It takes a JavaScript string, so that a text for many sockets is converted
/// once.
pub fn send(socket: &WebSocket, text: &JsString) -> Result<()> {
    Ok(raw_socket(socket).send(text)?)
}

/// Returns the bytes that were sent but not passed to the kernel yet, because the client reads too
/// slowly. Returns 0 if the runtime does not report them.
pub fn queued_bytes(socket: &WebSocket) -> u64 {
    raw_socket(socket).buffered_amount().unwrap_or_default() as u64
}

/// Sets a socket's attachment, which survives hibernation; `None` removes it.
pub fn attach(socket: &WebSocket, attachment: Option<&str>) -> Result<()> {
    // worker-rs converts attachments with serde_wasm_bindgen; a text needs no conversion.
    let raw: &worker::web_sys::WebSocket = socket.as_ref();
    let value = attachment.map_or(JsValue::NULL, JsValue::from_str);
    Ok(raw.serialize_attachment(value)?)
}

/// Returns a socket's attachment.
pub fn attachment(socket: &WebSocket) -> Option<String> {
    let raw: &worker::web_sys::WebSocket = socket.as_ref();
    raw.deserialize_attachment().ok()?.as_string()
}

/// Makes the runtime answer one text with another without waking the object.
pub fn set_auto_response(state: &State, request: &str, response: &str) -> Result<()> {
    let pair = WebSocketRequestResponsePair::new(request, response)?;
    Ok(state.as_raw().set_websocket_auto_response(&pair)?)
}

/// Returns the time at which the runtime last did so for a socket.
pub fn auto_responded_at(state: &State, socket: &WebSocket) -> Option<Timestamp> {
    let raw: &RawState = state.as_raw().unchecked_ref();
    let date = raw.auto_response_timestamp(socket.as_ref()).ok()??;
    Some(Timestamp(date.get_time() as u64))
}

// worker-rs panics in the following calls if they throw.

/// Accepts a socket as one that can hibernate.
pub fn accept(state: &State, socket: &WebSocket, tag: &str) -> Result<()> {
    Ok(state
        .as_raw()
        .accept_websocket_with_tags(socket.as_ref(), vec![tag.into()])?)
}

/// Returns all sockets of the object, including closing ones.
pub fn sockets(state: &State) -> Result<Vec<WebSocket>> {
    Ok(state
        .as_raw()
        .get_websockets()?
        .into_iter()
        .map(Into::into)
        .collect())
}

/// Returns the tag with which a socket was accepted.
pub fn tag(state: &State, socket: &WebSocket) -> Option<String> {
    state
        .as_raw()
        .get_tags(socket.as_ref())
        .ok()?
        .into_iter()
        .next()
}

fn raw_socket(socket: &WebSocket) -> &RawWebSocket {
    let raw: &worker::web_sys::WebSocket = socket.as_ref();
    raw.unchecked_ref()
}
