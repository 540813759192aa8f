//! Requests that a gateway makes. It continues in the meantime, the object stays awake, and the result is
//! handled as a separate event.

use std::rc::Rc;

use snug_core::{
    ConnectionId, RoomName,
    auth::room_guard::RoomUse,
    gateway::io::{Input, TokenCheck},
    link::{event::ToRoom, links::OutgoingCall},
    secret::Secret,
};
use wasm_bindgen::JsValue;
use worker::{console_error, web_sys};

use super::Object;
use crate::{
    object::Host,
    object_stub::{self, ObjectRequest},
    room_guard::ROOM_USE_HEADER,
    token,
};

impl Object {
    /// Verifies a token, as for a join request.
    pub(super) fn check_token(
        self: &Rc<Self>,
        connection: ConnectionId,
        check: TokenCheck,
        token: Secret,
    ) {
        let object = self.clone();
        self.state().wait_until(async move {
            let run_to_end = |task| object.state().wait_until(task);
            let outcome = token::verify_new(&object.env, &token, run_to_end).await;
            let checked = Input::TokenChecked {
                connection,
                check,
                outcome,
            };
            if let Err(error) = object.turn(|_| checked) {
                console_error!("token: {error}");
            }
        });
    }

    /// Calls a room.
    pub(super) fn call_room(self: &Rc<Self>, call: OutgoingCall<RoomName, ToRoom>) {
        let object = self.clone();
        self.state().wait_until(async move {
            let (id, room) = (call.id(), call.to.clone());
            let answer = match object.name() {
                Ok(gateway) => {
                    let body = JsValue::from(call.into_call(gateway).encode());
                    let request = ObjectRequest::call(&body);
                    let called = object_stub::fetch_room(&object.env, &room, &request);
                    object_stub::answer_of(called).await
                }
                Err(_) => None,
            };
            let found = answer.as_ref().and_then(|(_, response)| use_of(response));
            let settled = Input::CallSettled {
                call: id,
                answer: answer.map(|(answer, _)| answer),
                found,
            };
            if let Err(error) = object.turn(|_| settled) {
                console_error!("room: {error}");
            }
        });
    }
}

/// Returns what a room's object reports about its use.
fn use_of(response: &web_sys::Response) -> Option<RoomUse> {
    let found = response.headers().get(ROOM_USE_HEADER).ok().flatten()?;
    RoomUse::named(&found)
}
