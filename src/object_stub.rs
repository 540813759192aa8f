//! Sends requests to objects: rooms and gateways.

use std::sync::Once;

use js_sys::{Object, Reflect};
use snug_core::{
    GatewayName, Refusal, RoomName, config::Placement, limits::LINK_CALL_MS_MAX, link::call::Answer,
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{Env, Error, console_warn, wasm_bindgen_futures, web_sys};

use crate::{config, platform, problem::Problem, requests::fetch_object};

#[wasm_bindgen]
extern "C" {
    type RawNamespace;

    #[wasm_bindgen(method, catch)]
    fn jurisdiction(this: &RawNamespace, name: &str) -> Result<RawNamespace, JsValue>;
}

/// The header with the Worker's time, in milliseconds.
pub const TIME_HEADER: &str = "x-snug-time";
/// The error of the requests to an object that restarts because its clock has stopped.
pub const CLOCK_STOPPED: &str = "the object's clock has stopped";

/// The binding of a Durable Object namespace.
struct Binding {
    name: &'static str,
    class: &'static str,
}

const ROOMS: Binding = Binding {
    name: "ROOMS",
    class: "Room",
};
const GATEWAYS: Binding = Binding {
    name: "GATEWAYS",
    class: "Gateway",
};

/// The path of a join request to an object.
pub const JOIN_PATH: &str = "/join";
/// The path of a request of the HTTP API to an object.
pub const API_PATH: &str = "/api";
/// The path of a call over a link.
pub const CALL_PATH: &str = "/call";

/// A request to an object. It has no headers of a client, so that no client can forge them.
pub struct ObjectRequest<'a> {
    pub path: &'static str,
    pub headers: Vec<(&'a str, &'a str)>,
    /// A body makes it a POST request.
    pub body: Option<&'a JsValue>,
}

impl<'a> ObjectRequest<'a> {
    /// Creates the request of a call over a link.
    pub fn call(body: &'a JsValue) -> Self {
        Self {
            path: CALL_PATH,
            headers: Vec::new(),
            body: Some(body),
        }
    }
}

/// Sends a request to the object of a room.
///
/// The runtime itself resends a request that did not reach the object, if the body is not a stream.
///
/// # Errors
///
/// `misconfigured` if the deployment has no rooms; `overloaded` if the object has too many requests or restarts. The request must not be resent at once, because
/// that would make it worse. Otherwise the platform's error, if the object did not respond.
pub async fn fetch_room(
    env: &Env,
    room: &RoomName,
    request: &ObjectRequest<'_>,
) -> Result<web_sys::Response, Problem> {
    let placement = config::load(env)?.placement;
    let namespace = namespace_of(&ROOMS, env)?;
    fetch(namespace, room.as_str(), placement, request).await
}

/// Sends a request to the object of a gateway, which is created in `region` if it is new.
///
/// # Errors
///
/// `misconfigured` if the deployment has no gateways; else the errors of [`fetch_room`].
pub async fn fetch_gateway(
    env: &Env,
    gateway: &GatewayName,
    region: Option<&'static str>,
    request: &ObjectRequest<'_>,
) -> Result<web_sys::Response, Problem> {
    let placement = config::load(env)?.placement;
    let placement = Placement {
        location_hint: placement.location_hint.or(region),
        ..placement
    };
    let namespace = namespace_of(&GATEWAYS, env)?;
    fetch(namespace, gateway.as_str(), placement, request).await
}

/// Checks that the environment has the namespaces of both classes.
///
/// # Errors
///
/// What is missing, and what to add.
pub fn check_bindings(env: &Env) -> Result<(), String> {
    [ROOMS, GATEWAYS]
        .iter()
        .try_for_each(|binding| raw_namespace_of(binding, env).map(drop))
}

/// Makes a call over a link; returns `None` if there is no answer.
pub async fn answer_of(
    call: impl Future<Output = Result<web_sys::Response, Problem>>,
) -> Option<(Answer, web_sys::Response)> {
    let text = async {
        let response = call.await.ok()?;
        let text = wasm_bindgen_futures::JsFuture::from(response.text().ok()?);
        let text = text.await.ok()?.as_string()?;
        Some((Answer::decode(&text)?, response))
    };
    platform::within_ms(LINK_CALL_MS_MAX.into(), text).await?
}

async fn fetch(
    namespace: RawNamespace,
    name: &str,
    placement: Placement,
    request: &ObjectRequest<'_>,
) -> Result<web_sys::Response, Problem> {
    let (namespace, options) = placed(namespace, placement).map_err(Error::from)?;
    let now = platform::now().0.to_string();
    let headers = request.headers.iter().copied();
    let headers = headers.chain([(TIME_HEADER, now.as_str())]);
    let url = format!("https://object{}", request.path);
    let fetched = fetch_object(&namespace, name, &options, &url, headers, request.body);
    match fetched.await {
        Ok(response) => Ok(response.unchecked_into()),
        Err(error) if is_overload(&error) || is_restart(&error) => Err(Refusal::Overloaded.into()),
        Err(error) => Err(Error::from(error).into()),
    }
}

/// Returns a namespace.
///
/// # Errors
///
/// `misconfigured` if the environment has no such binding.
fn namespace_of(binding: &Binding, env: &Env) -> Result<RawNamespace, Refusal> {
    raw_namespace_of(binding, env).map_err(Refusal::Misconfigured)
}

fn raw_namespace_of(Binding { name, class }: &Binding, env: &Env) -> Result<RawNamespace, String> {
    let namespace = Reflect::get(env, &(*name).into()).unwrap_or_default();
    let method = Reflect::get(&namespace, &"getByName".into());
    if method.is_ok_and(|method| method.is_function()) {
        return Ok(namespace.unchecked_into());
    }
    Err(format!(
        "{name} is missing: add the Durable Object binding and the migration of the class {class} to wrangler's configuration; a wrangler environment needs bindings of its own"
    ))
}

/// Returns the part of a namespace that is in the right place, and the options for new objects.
fn placed(
    namespace: RawNamespace,
    placement: Placement,
) -> Result<(RawNamespace, JsValue), JsValue> {
    let namespace = match placement.jurisdiction {
        Some(name) => within_jurisdiction(namespace, name)?,
        None => namespace,
    };
    let options = match placement.location_hint {
        Some(hint) => {
            let options = Object::new();
            Reflect::set(&options, &"locationHint".into(), &hint.into())?;
            options.into()
        }
        None => JsValue::UNDEFINED,
    };
    Ok((namespace, options))
}

/// Returns the part of a namespace that is restricted to a jurisdiction.
///
/// workerd outside of Cloudflare has no jurisdictions and throws. Then the whole namespace is used,
/// so that the same settings work in development. Any other error is returned.
fn within_jurisdiction(namespace: RawNamespace, name: &str) -> Result<RawNamespace, JsValue> {
    match namespace.jurisdiction(name) {
        Err(error) if is_not_implemented(&error) => {
            static WARNED: Once = Once::new();
            WARNED.call_once(|| {
                console_warn!(
                    "JURISDICTION has no effect: this runtime does not have jurisdictions"
                );
            });
            Ok(namespace)
        }
        restricted => restricted,
    }
}

/// Returns true for workerd's error "Jurisdiction restrictions are not implemented in workerd."
fn is_not_implemented(error: &JsValue) -> bool {
    let error = error.dyn_ref::<js_sys::Error>();
    error.is_some_and(|error| String::from(error.message()).contains("not implemented in workerd"))
}

/// Returns true for the runtime's error about an object with too many requests.
fn is_overload(error: &JsValue) -> bool {
    Reflect::get(error, &"overloaded".into()).is_ok_and(|flag| flag.is_truthy())
}

/// Returns true for the error of an object that restarts because its clock has stopped.
fn is_restart(error: &JsValue) -> bool {
    let error = error.dyn_ref::<js_sys::Error>();
    error.is_some_and(|error| String::from(error.message()).contains(CLOCK_STOPPED))
}
