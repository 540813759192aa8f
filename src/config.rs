//! Reads the Worker's environment into a [`Config`], once per isolate.

use std::{cell::OnceCell, rc::Rc};

use js_sys::{JSON, Reflect};
use snug_core::{
    Config, Refusal,
    config::{ConfigError, Value},
};
use wasm_bindgen::JsValue;
use worker::{Env, console_error};

use crate::platform;

thread_local! {
    static CONFIG: OnceCell<Result<Rc<Config>, ConfigError>> = const { OnceCell::new() };
}

/// Returns the settings.
///
/// # Errors
///
/// `misconfigured` if a setting is invalid; the text names it.
pub fn load(env: &Env) -> Result<Rc<Config>, Refusal> {
    read(env).map_err(|error| Refusal::Misconfigured(error.to_string()))
}

/// Returns the settings. The first call reads them and logs an invalid one.
///
/// # Errors
///
/// The first invalid setting.
pub fn read(env: &Env) -> Result<Rc<Config>, ConfigError> {
    CONFIG.with(|config| {
        config
            .get_or_init(|| {
                Config::read(&|name| setting(env, name), &platform::origin_of)
                    .map(Rc::new)
                    .inspect_err(|error| console_error!("misconfigured: {error}"))
            })
            .clone()
    })
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
