//! Reads the Worker's environment into a [`Config`], once for each environment.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use js_sys::{JSON, Reflect};
use snug_core::{
    Config, Refusal,
    config::{ConfigError, Value},
};
use wasm_bindgen::JsValue;
use worker::{Env, console_error};

use crate::platform;

/// The environments whose settings an isolate keeps.
///
/// The platform passes one and the same object to all requests and objects of an isolate. An application that mounts
/// Snug in its own Worker may pass others, for example with another secret for each of its customers.
const ENVIRONMENTS_MAX: usize = 8;

/// The settings of an environment, which is the object itself and not its contents.
struct Known {
    env: JsValue,
    config: Result<Rc<Config>, ConfigError>,
}

thread_local! {
    /// The environments that were read last, the newest one at the end.
    static KNOWN: RefCell<VecDeque<Known>> = const { RefCell::new(VecDeque::new()) };
}

/// Returns the settings.
///
/// # Errors
///
/// `misconfigured` if a setting is invalid; the text names it.
pub fn load(env: &Env) -> Result<Rc<Config>, Refusal> {
    read(env).map_err(|error| Refusal::Misconfigured(error.to_string()))
}

/// Returns the settings. The first call with an environment reads them, and logs the first invalid one.
///
/// # Errors
///
/// The first invalid setting.
pub fn read(env: &Env) -> Result<Rc<Config>, ConfigError> {
    let known = KNOWN.with_borrow(|known| {
        let same = known.iter().find(|known| known.env == **env)?;
        Some(same.config.clone())
    });
    if let Some(config) = known {
        return config;
    }
    let config = Config::read(&|name| setting(env, name), &platform::origin_of)
        .map(Rc::new)
        .inspect_err(|error| console_error!("misconfigured: {error}"));
    KNOWN.with_borrow_mut(|known| {
        if known.len() == ENVIRONMENTS_MAX {
            known.pop_front();
        }
        known.push_back(Known {
            env: env.into(),
            config: config.clone(),
        });
    });
    config
}

/// Returns a setting. In wrangler.toml, `vars` may also be numbers, booleans and objects.
fn setting(env: &Env, name: &str) -> Option<Value> {
    let value = Reflect::get(env, &JsValue::from_str(name)).ok()?;
    if value.is_undefined() {
        return None;
    }
    if is_service(&value) {
        return Some(Value::Service);
    }
    let text = value
        .as_string()
        .or_else(|| JSON::stringify(&value).ok()?.as_string());
    text.map(Value::Text)
}

/// Returns true for a service binding: it has a method that an object of `vars` cannot have.
fn is_service(value: &JsValue) -> bool {
    let fetch = Reflect::get(value, &JsValue::from_str("fetch"));
    value.is_object() && fetch.is_ok_and(|fetch| fetch.is_function())
}
