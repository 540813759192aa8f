//! Time, and waiting.

use std::{pin::pin, time::Duration};

use futures::{
    FutureExt,
    future::{Either, select},
};
use js_sys::Date;
use snug_core::Timestamp;
use wasm_bindgen::JsValue;
use worker::{Delay, wasm_bindgen_futures};

/// Returns the current time. It does not advance while a handler runs.
pub fn now() -> Timestamp {
    // worker-rs creates a `Date` object.
    Timestamp(Date::now() as u64)
}

/// Formats a time as ISO 8601, in UTC with milliseconds. The core has no calendar.
pub fn iso(at: Timestamp) -> String {
    let date = Date::new(&JsValue::from_f64((at.0 as f64).min(DATE_MS_MAX)));
    date.to_iso_string().into()
}

/// The latest time that a `Date` can represent (ECMA-262, section 21.4.1.1).
const DATE_MS_MAX: f64 = 8.64e15;

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
