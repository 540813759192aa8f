//! Time, randomness, and platform calls that worker-rs lacks or that panic there when they throw.

use std::{pin::pin, time::Duration};

use futures::{
    FutureExt,
    future::{Either, select},
};
use js_sys::{Date, Function, JsString, Object, Promise, Reflect};
use snug_core::Timestamp;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use web_sys::Url;
use worker::{
    Delay, Request, Result, State, Storage, WebSocket, console_error, console_warn,
    wasm_bindgen_futures::{self, JsFuture},
    worker_sys::{DurableObjectState, WebSocketRequestResponsePair},
};

#[wasm_bindgen]
extern "C" {
    type RawWebSocket;

    #[wasm_bindgen(method, catch)]
    fn send(this: &RawWebSocket, text: &JsString) -> std::result::Result<(), JsValue>;

    #[wasm_bindgen(method, getter, js_name = bufferedAmount)]
    fn buffered_amount(this: &RawWebSocket) -> Option<f64>;

    #[wasm_bindgen(method, catch, js_name = serializeAttachment)]
    fn serialize_attachment(
        this: &RawWebSocket,
        attachment: &JsValue,
    ) -> std::result::Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = deserializeAttachment)]
    fn deserialize_attachment(this: &RawWebSocket) -> std::result::Result<JsValue, JsValue>;

    type RawState;

    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    fn auto_response_timestamp(
        this: &RawState,
        socket: &worker::web_sys::WebSocket,
    ) -> std::result::Result<Option<Date>, JsValue>;

    #[wasm_bindgen(catch, js_name = queueMicrotask)]
    fn queue_microtask(task: &Function) -> std::result::Result<(), JsValue>;

    type RawCache;

    #[wasm_bindgen(catch, js_namespace = caches, js_name = open)]
    async fn open_cache(name: &str) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = match)]
    async fn find(this: &RawCache, url: &str) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn put(
        this: &RawCache,
        url: &str,
        response: &web_sys::Response,
    ) -> std::result::Result<JsValue, JsValue>;

    type RawStorage;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &RawStorage,
        body: &mut dyn FnMut() -> std::result::Result<(), JsValue>,
    ) -> std::result::Result<(), JsValue>;
}

/// Returns the current time. It does not advance while a handler runs.
pub fn now() -> Timestamp {
    Timestamp(worker::Date::now().as_millis())
}

/// Formats a time as ISO 8601, in UTC with milliseconds. The core has no calendar.
pub fn iso(at: Timestamp) -> String {
    let date = Date::new(&JsValue::from_f64((at.0 as f64).min(DATE_MS_MAX)));
    date.to_iso_string().into()
}

/// The latest time that a `Date` can represent (ECMA-262, section 21.4.1.1).
const DATE_MS_MAX: f64 = 8.64e15;

/// Parses the request's URL with the runtime's parser: one in Wasm would be a quarter of its size.
///
/// The parser's error is dropped, because it contains the query and thus perhaps a token.
pub fn url(request: &Request) -> Option<Url> {
    Url::new(&request.inner().url()).ok()
}

/// Returns the origin of a URL as browsers send it (the Fetch standard's serialization); `None` if the
/// text is not a URL with a host. Other than `URL.origin`, includes the origins of applications, such as
/// `tauri://localhost`.
pub fn origin_of(text: &str) -> Option<String> {
    let url = Url::new(text).ok()?;
    let host = url.host();
    (!host.is_empty()).then(|| format!("{}//{host}", url.protocol()))
}

/// Returns 64 random bits.
pub fn random() -> Result<u64> {
    getrandom::u64().map_err(|error| worker::Error::RustError(error.to_string()))
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

/// Runs a task after `ms` milliseconds, outside of the current event. The object does not hibernate
/// in the meantime.
pub fn run_in_ms(ms: u64, task: impl FnOnce() + 'static) {
    let delay = Delay::from(Duration::from_millis(ms));
    wasm_bindgen_futures::spawn_local(delay.map(|()| task()));
}

/// Waits for `ms` milliseconds.
pub async fn wait_ms(ms: u64) {
    Delay::from(Duration::from_millis(ms)).await;
}

/// Awaits a task, or returns `None` after `ms` milliseconds.
pub async fn within_ms<T>(ms: u64, task: impl Future<Output = T>) -> Option<T> {
    match select(pin!(task), pin!(wait_ms(ms))).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// Returns a text from the cache that the isolates of a data center share, or `None` if there is
/// no such cache.
pub async fn cached(url: &str) -> Option<String> {
    let cache = shared_cache().await.ok()?;
    let response = cache.find(url).await.ok()?;
    let response: web_sys::Response = response.dyn_into().ok()?;
    JsFuture::from(response.text().ok()?)
        .await
        .ok()?
        .as_string()
}

/// Stores a text in the shared cache.
pub async fn cache(url: &str, text: &str, seconds: u32) {
    // The error is not logged, because it contains the URL.
    if try_cache(url, text, seconds).await.is_err() {
        console_warn!("cache: not written");
    }
}

async fn try_cache(url: &str, text: &str, seconds: u32) -> std::result::Result<(), JsValue> {
    let response = web_sys::Response::new_with_opt_str(Some(text))?;
    let max_age = format!("max-age={seconds}");
    response.headers().set("cache-control", &max_age)?;
    shared_cache().await?.put(url, &response).await?;
    Ok(())
}

async fn shared_cache() -> std::result::Result<RawCache, JsValue> {
    Ok(open_cache("snug").await?.unchecked_into())
}

/// Sets a socket's attachment, which survives hibernation; `None` removes it.
pub fn attach(socket: &WebSocket, attachment: Option<&str>) -> Result<()> {
    let value = attachment.map_or(JsValue::NULL, JsValue::from_str);
    Ok(raw_socket(socket).serialize_attachment(&value)?)
}

/// Returns a socket's attachment.
pub fn attachment(socket: &WebSocket) -> Option<String> {
    raw_socket(socket)
        .deserialize_attachment()
        .ok()?
        .as_string()
}

/// Makes the runtime answer one text with another without waking the object.
pub fn set_auto_response(state: &State, request: &str, response: &str) -> Result<()> {
    let pair = WebSocketRequestResponsePair::new(request, response)?;
    Ok(state.as_raw().set_websocket_auto_response(&pair)?)
}

/// Returns the time at which the runtime last did so for a socket.
pub fn auto_responded_at(state: &State, socket: &WebSocket) -> Option<Timestamp> {
    let raw: &RawState = raw_state(state).unchecked_ref();
    let date = raw.auto_response_timestamp(socket.as_ref()).ok()??;
    Some(Timestamp(date.get_time() as u64))
}

/// Accepts a socket as one that can hibernate.
pub fn accept(state: &State, socket: &WebSocket, tag: &str) -> Result<()> {
    Ok(raw_state(state).accept_websocket_with_tags(socket.as_ref(), vec![tag.into()])?)
}

/// Returns all sockets of the object, including closing ones.
pub fn sockets(state: &State) -> Result<Vec<WebSocket>> {
    Ok(raw_state(state)
        .get_websockets()?
        .into_iter()
        .map(Into::into)
        .collect())
}

/// Returns the tag with which a socket was accepted.
pub fn tag(state: &State, socket: &WebSocket) -> Option<String> {
    raw_state(state)
        .get_tags(socket.as_ref())
        .ok()?
        .into_iter()
        .next()
}

/// The latest time for an alarm: the runtime rejects dates after 2189.
const ALARM_MS_MAX: f64 = 6.9e12;

/// Sets the object's only alarm, as one of the writes of this turn.
pub fn set_alarm(storage: &Storage, at: Timestamp) -> Result<()> {
    let date = Date::new(&JsValue::from_f64((at.0 as f64).min(ALARM_MS_MAX)));
    log_failure(storage.as_raw().set_alarm(date, no_options())?);
    Ok(())
}

/// Deletes the alarm.
pub fn delete_alarm(storage: &Storage) -> Result<()> {
    log_failure(storage.as_raw().delete_alarm(no_options())?);
    Ok(())
}

/// Ends the object, with its sockets and its requests, which fail with this error. The next request starts
/// a new one. Happens once the current event has left Wasm, whose memory other objects use.
pub fn abort(state: &State, error: &str) -> Result<()> {
    let raw: &JsValue = raw_state(state).as_ref();
    let abort: Function = Reflect::get(raw, &"abort".into())?.dyn_into()?;
    let task = abort.bind1(raw, &error.into());
    queue_microtask(task.unchecked_ref())?;
    Ok(())
}

/// Deletes all of an object's storage, with the alarm (the default since compatibility date 2026-02-24).
pub fn delete_all(storage: &Storage) -> Result<()> {
    log_failure(storage.as_raw().delete_all()?);
    Ok(())
}

/// Logs a failed call for the alarm or all of storage. Its success need not be awaited: if the write fails, the output gate
/// breaks and the object restarts.
fn log_failure(alarm: Promise) {
    wasm_bindgen_futures::spawn_local(async {
        if let Err(error) = JsFuture::from(alarm).await {
            console_error!("alarm: {}", worker::Error::from(error));
        }
    });
}

/// Runs the body in a transaction: if it fails, none of its writes take effect.
pub fn transaction(storage: &Storage, mut body: impl FnMut() -> Result<()>) -> Result<()> {
    let raw: &RawStorage = storage.as_raw().unchecked_ref();
    Ok(raw.transaction_sync(&mut || body().map_err(JsValue::from))?)
}

fn raw_socket(socket: &WebSocket) -> &RawWebSocket {
    let raw: &worker::web_sys::WebSocket = socket.as_ref();
    raw.unchecked_ref()
}

fn raw_state(state: &State) -> &DurableObjectState {
    state.as_raw()
}

fn no_options() -> Object {
    JsValue::UNDEFINED.unchecked_into()
}
