//! Sends requests to the objects of rooms.

use js_sys::{Object, Reflect};
use snug_core::{Refusal, RoomName};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{Env, Error, wasm_bindgen_futures, web_sys};

use crate::problem::Problem;

#[wasm_bindgen]
extern "C" {
    type RawNamespace;

    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn get_by_name(this: &RawNamespace, name: &str) -> Result<RawStub, JsValue>;

    type RawStub;

    #[wasm_bindgen(method, catch)]
    async fn fetch(
        this: &RawStub,
        url: &str,
        init: &web_sys::RequestInit,
    ) -> Result<JsValue, JsValue>;
}

/// The binding of the Durable Object namespace of rooms.
const ROOMS: &str = "ROOMS";

/// Sends a request to the object of a room, with only these headers and an optional body.
///
/// The runtime itself resends a request that did not reach the object, if the body is not a stream.
///
/// # Errors
///
/// `overloaded` if the object has too many requests. The request must not be resent at once, because
/// that would make it worse. Otherwise the platform's error, if the object did not respond.
pub async fn fetch(
    env: &Env,
    room: &RoomName,
    headers: &[(&str, &str)],
    body: Option<&JsValue>,
) -> Result<web_sys::Response, Problem> {
    let namespace = Reflect::get(env, &ROOMS.into()).map_err(Error::from)?;
    let namespace: &RawNamespace = namespace.unchecked_ref();
    let init = request_init(headers, body).map_err(Error::from)?;
    let stub = namespace.get_by_name(room.as_str()).map_err(Error::from)?;
    match stub.fetch("https://room/", &init).await {
        Ok(response) => Ok(response.unchecked_into()),
        Err(error) if is_overload(&error) => Err(Refusal::Overloaded.into()),
        Err(error) => Err(Error::from(error).into()),
    }
}

/// Returns true for the runtime's error about an object with too many requests.
fn is_overload(error: &JsValue) -> bool {
    Reflect::get(error, &"overloaded".into()).is_ok_and(|flag| flag.is_truthy())
}

fn request_init(
    headers: &[(&str, &str)],
    body: Option<&JsValue>,
) -> Result<web_sys::RequestInit, JsValue> {
    let fields = Object::new();
    for (header, value) in headers {
        Reflect::set(&fields, &(*header).into(), &(*value).into())?;
    }
    let init = web_sys::RequestInit::new();
    init.set_headers(&fields);
    if let Some(body) = body {
        init.set_method("POST");
        init.set_body(body);
    }
    Ok(init)
}
