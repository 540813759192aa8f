//! The life of an object.

use js_sys::{Function, Reflect};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{Result, State};

#[wasm_bindgen]
extern "C" {
    // worker-rs lacks it.
    #[wasm_bindgen(catch, js_name = queueMicrotask)]
    fn queue_microtask(task: &Function) -> std::result::Result<(), JsValue>;
}

/// Ends the object, with its sockets and its requests, which fail with this error. The next request starts
/// a new one. Happens once the current event has left Wasm, whose memory other objects use.
pub fn abort(state: &State, error: &str) -> Result<()> {
    let raw: &JsValue = state.as_raw().as_ref();
    let abort: Function = Reflect::get(raw, &"abort".into())?.dyn_into()?;
    let task = abort.bind1(raw, &error.into());
    queue_microtask(task.unchecked_ref())?;
    Ok(())
}
