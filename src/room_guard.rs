//! Requests to the objects of rooms, counted if a room is not in use.

use std::cell::RefCell;

use snug_core::{
    RoomName, UserId,
    auth::room_guard::{RoomGuard, RoomRates, RoomUse},
};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, Error, web_sys};

use crate::{
    object_stub::{self, ObjectRequest},
    platform,
    problem::Problem,
};

/// The header with which a room's object reports a [`RoomUse`].
pub const ROOM_USE_HEADER: &str = "x-snug-room-use";
/// The header of a request that must not create a room.
pub const NO_NEW_ROOM_HEADER: &str = "x-snug-no-new-room";

thread_local! {
    static GUARD: RefCell<RoomGuard> = const { RefCell::new(RoomGuard::new()) };
}

/// Sends a user's request to the object of a room, as [`object_stub::fetch_room`] does.
///
/// # Errors
///
/// `rate_limited` if the user has sent too many requests to rooms that are not in use; the errors of
/// [`object_stub::fetch_room`].
pub async fn fetch(
    env: &Env,
    room: &RoomName,
    user: &UserId,
    rates: RoomRates,
    mut request: ObjectRequest<'_>,
) -> Result<web_sys::Response, Problem> {
    let may_create = GUARD.with_borrow_mut(|guard| guard.check(user, rates, platform::now()))?;
    if !may_create {
        request.headers.push((NO_NEW_ROOM_HEADER, "1"));
    }
    let response = object_stub::fetch_room(env, room, &request).await?;
    let found = response.headers().get(ROOM_USE_HEADER);
    let Some(found) = found.map_err(Error::from)? else {
        return Ok(response);
    };
    if let Some(found) = RoomUse::named(&found) {
        GUARD.with_borrow_mut(|guard| guard.count(user, rates, found, platform::now()));
    }
    Ok(without_report(&response).map_err(Error::from)?)
}

/// Copies a response without the report, which clients do not get. A socket comes along.
fn without_report(response: &web_sys::Response) -> Result<web_sys::Response, JsValue> {
    let copy = web_sys::Response::new_with_opt_readable_stream_and_init(
        response.body().as_ref(),
        response.unchecked_ref(),
    )?;
    copy.headers().delete(ROOM_USE_HEADER)?;
    Ok(copy)
}
