//! The storage of an object, and its alarm.

use js_sys::{Date, Object, Promise};
use snug_core::Timestamp;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{
    Result, Storage, console_error,
    wasm_bindgen_futures::{self, JsFuture},
};

#[wasm_bindgen]
extern "C" {
    type RawStorage;

    // worker-rs lacks it.
    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &RawStorage,
        body: &mut dyn FnMut() -> std::result::Result<(), JsValue>,
    ) -> std::result::Result<(), JsValue>;
}

// The calls of worker-rs for the alarm and for all of storage are futures, and nothing is awaited in a turn.

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

fn no_options() -> Object {
    JsValue::UNDEFINED.unchecked_into()
}
