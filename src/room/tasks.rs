//! Requests that a room makes to other services. The room continues in the meantime, the object
//! stays awake, and the result is handled as a separate event.

use std::rc::Rc;

use snug_core::{
    ConnectionId, GatewayName, Input, TaskId,
    backend::{publish_hook::HookRequest, webhook::Delivery},
    link::{event::ToGateway, links::OutgoingCall},
    protocol::command::CommandId,
    room::io::DeliveryOutcome,
    secret::Secret,
};
use wasm_bindgen::JsValue;
use worker::console_error;

use super::Object;
use crate::{
    config,
    object::Host,
    object_stub::{self, ObjectRequest},
    platform, publish_hook, token, webhook,
};

impl Object {
    /// Verifies a new token, as for a join request.
    pub(super) fn check_token(
        self: &Rc<Self>,
        connection: ConnectionId,
        id: Option<CommandId>,
        token: Secret,
    ) {
        let object = self.clone();
        self.state().wait_until(async move {
            let run_to_end = |task| object.state().wait_until(task);
            let outcome = token::verify_new(&object.env, &token, run_to_end).await;
            let checked = Input::TokenChecked {
                connection,
                id,
                outcome,
            };
            if let Err(error) = object.turn(|_| checked) {
                console_error!("refresh: {error}");
            }
        });
    }

    /// Calls a gateway.
    pub(super) fn call_gateway(self: &Rc<Self>, call: OutgoingCall<GatewayName, ToGateway>) {
        let object = self.clone();
        self.state().wait_until(async move {
            let (id, gateway) = (call.id(), call.to.clone());
            let answer = match object.name() {
                Ok(room) => {
                    let body = JsValue::from(call.into_call(room).encode());
                    let request = ObjectRequest::call(&body);
                    let called = object_stub::fetch_gateway(&object.env, &gateway, None, &request);
                    object_stub::answer_of(called).await
                }
                Err(_) => None,
            };
            let answer = answer.map(|(answer, _)| answer);
            if let Err(error) = object.turn(|_| Input::CallSettled { call: id, answer }) {
                console_error!("gateway: {error}");
            }
        });
    }

    /// Sends a webhook delivery to the back end.
    pub(super) fn deliver(self: &Rc<Self>, task: TaskId, delivery: Delivery) {
        let object = self.clone();
        self.state().wait_until(async move {
            let outcome = match object.name() {
                Ok(room) => webhook::send(&object.env, &room, &delivery).await,
                Err(_) => DeliveryOutcome::Failed {
                    retry_after_ms: None,
                },
            };
            let delivered = Input::Delivered {
                task,
                outcome,
                // If it is missing, rooms that failed together also retry together.
                chance: platform::random().unwrap_or_default(),
            };
            if let Err(error) = object.turn(|_| delivered) {
                console_error!("delivery: {error}");
            }
        });
    }

    /// Calls the publish hook.
    pub(super) fn call_publish_hook(self: &Rc<Self>, task: TaskId, request: HookRequest) {
        let object = self.clone();
        self.state().wait_until(async move {
            let decisions = match config::load(&object.env) {
                Ok(config) => publish_hook::call(&config, &object.env, &request).await,
                Err(_) => None,
            };
            if let Err(error) = object.turn(|_| Input::HookDecided { task, decisions }) {
                console_error!("publish hook: {error}");
            }
        });
    }
}
