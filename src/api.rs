//! The HTTP API: checks a request, forwards it to the room's object, and returns the response.

use std::cell::RefCell;

use futures::future::join_all;
use js_sys::{JsString, Uint8Array};
use snug_core::{
    Origin, Refusal, RoomName,
    auth::{self, room_guard::RoomRates, token::Claims},
    backend::{
        api::{
            ApiOperation, ApiRequest, BODY_TOO_LONG, MultiRoomPublish, RequestedAction,
            check_no_options,
        },
        body_reads::BodyReads,
    },
    limits::{BODY_MS_MAX, FRAME_BYTES_MAX},
    log::Requester,
};
use wasm_bindgen::JsValue;
use worker::{Env, Error, Response, ResponseBuilder, wasm_bindgen_futures::JsFuture, web_sys};

use crate::{
    body,
    incoming::Incoming,
    join::ascii,
    object_stub::{API_PATH, ObjectRequest},
    platform,
    problem::Problem,
    room_guard,
};

/// The header that carries the [`ApiRequest`] to the room's object.
pub const API_REQUEST_HEADER: &str = "x-snug-api-request";

/// An operation on a room. Its options are not parsed yet.
#[derive(Clone, Copy)]
pub enum Endpoint {
    Publish,
    Messages,
    DeleteMessages,
    Edit,
    Append,
    Delete,
    Members,
    Kick,
    Describe,
    Erase,
    DeadEvents,
}

/// Handles a request about one room. `item` is the path's segment with a user id or an offset, if it has one.
///
/// # Errors
///
/// Any refusal of admission or of the room.
pub async fn handle(
    incoming: &Incoming<'_>,
    room: &str,
    item: &str,
    endpoint: Endpoint,
    requester: &mut Requester,
) -> Result<web_sys::Response, Problem> {
    incoming.config()?;
    let room = auth::parse_room_name(room)?;
    let query = check_origin(incoming)?;
    let operation = match endpoint {
        Endpoint::Publish => ApiOperation::Publish.without_options(&query)?,
        Endpoint::Messages => ApiOperation::messages(&query)?,
        Endpoint::DeleteMessages => ApiOperation::delete_messages(&query)?,
        Endpoint::Edit | Endpoint::Append | Endpoint::Delete => {
            let if_match = incoming.header("if-match")?;
            let if_match = if_match.as_deref();
            match endpoint {
                Endpoint::Edit => {
                    ApiOperation::change(item, RequestedAction::Edit, if_match, &query)?
                }
                Endpoint::Append => {
                    ApiOperation::change(item, RequestedAction::Append, if_match, &query)?
                }
                _ => ApiOperation::delete(item, if_match, &query)?,
            }
        }
        Endpoint::Members => ApiOperation::Members.without_options(&query)?,
        Endpoint::Kick => ApiOperation::kick(auth::parse_user_id(item)?, &query)?,
        Endpoint::Describe => ApiOperation::Describe.without_options(&query)?,
        Endpoint::Erase => ApiOperation::Erase.without_options(&query)?,
        Endpoint::DeadEvents => ApiOperation::dead_events(&query)?,
    };
    let claims = authenticate(incoming).await?;
    requester.user = Some(claims.user.clone());
    let has_body = operation.has_body();
    let api_request = ApiRequest::admit(claims, &room, operation, requester.origin.clone())?;
    let body = match has_body {
        // Bytes and not the stream: the runtime resends a request that did not reach the object,
        // but only if it can send the body again.
        true => Some(read_bytes(incoming.request).await?.into()),
        false => None,
    };
    forward(&room, &api_request, body.as_ref(), incoming.env).await
}

/// Publishes the same messages to several rooms.
///
/// # Errors
///
/// Any refusal of the request as a whole. A refusal by one room is part of the response.
pub async fn publish(
    incoming: &Incoming<'_>,
    requester: &mut Requester,
) -> Result<Response, Problem> {
    let config = incoming.config()?;
    check_no_options(&check_origin(incoming)?)?;
    let claims = authenticate(incoming).await?;
    requester.user = Some(claims.user.clone());
    // A caller that may publish in no room does not get to send a body.
    if !claims.grants.has_anywhere(ApiOperation::Publish.needs()) {
        return Err(Refusal::NotGranted(ApiOperation::Publish.needs()).into());
    }
    let body = text(&read_bytes(incoming.request).await?)?;
    let bytes_max = claims
        .limits
        .message_bytes_max(config.room.message_bytes_max);
    let broadcast = MultiRoomPublish::read(&body, bytes_max)?;
    // One JavaScript string, shared by all rooms.
    let messages: JsValue = JsString::from(broadcast.messages).into();
    let each = broadcast
        .rooms
        .iter()
        .map(|room| publish_in(room, &claims, &messages, incoming, requester));
    let results = join_all(each).await.join(",");
    let body = format!(r#"{{"results":[{results}]}}"#);
    let builder = ResponseBuilder::new().with_header("content-type", "application/json")?;
    let builder = builder.with_header("cache-control", "no-store")?;
    Ok(builder.fixed(body.into_bytes()))
}

/// Publishes to one room, and returns the result as JSON.
async fn publish_in(
    name: &str,
    claims: &Claims,
    messages: &JsValue,
    incoming: &Incoming<'_>,
    requester: &Requester,
) -> String {
    // Serializing a string cannot fail.
    let room = serde_json::to_string(name).unwrap_or_default();
    let origin = requester.origin.clone();
    match try_publish(name, claims, messages, origin, incoming.env).await {
        // A room's response is a JSON object that is not empty.
        Ok((true, published)) => format!(r#"{{"room":{room},{}"#, fields(&published)),
        Ok((false, problem)) => format!(r#"{{"room":{room},"error":{problem}}}"#),
        Err(problem) => {
            let requester = Requester {
                room: RoomName::parse(name),
                ..requester.clone()
            };
            let logged = incoming.with_spawn(|spawn| problem.log(&requester, spawn));
            let (refusal, reference) = logged;
            // Serializing strings and a number cannot fail.
            let problem = serde_json::to_string(&refusal.body(reference)).unwrap_or_default();
            format!(r#"{{"room":{room},"error":{problem}}}"#)
        }
    }
}

/// Returns the text of a JSON object after its opening brace.
fn fields(object: &str) -> &str {
    object.strip_prefix('{').unwrap_or("}")
}

/// Publishes to one room, and returns whether it succeeded and the response body.
async fn try_publish(
    name: &str,
    claims: &Claims,
    messages: &JsValue,
    origin: Option<Origin>,
    env: &Env,
) -> Result<(bool, String), Problem> {
    let room = RoomName::parse(name).ok_or(Refusal::BadRoom)?;
    let api_request = ApiRequest::admit(claims.clone(), &room, ApiOperation::Publish, origin)?;
    let response = forward(&room, &api_request, Some(messages), env).await?;
    let text = JsFuture::from(response.text().map_err(Error::from)?).await;
    let text = text.map_err(Error::from)?.as_string().unwrap_or_default();
    Ok((response.ok(), text))
}

/// Checks the origin of a request from a page, and returns the query.
fn check_origin(incoming: &Incoming<'_>) -> Result<String, Problem> {
    let url = incoming.url()?;
    let origins = &incoming.config()?.admission.origins;
    origins.check(incoming.origin(), &url.host)?;
    auth::check_query(&url.query)?;
    Ok(url.query.clone())
}

/// Verifies the caller's token. Only the header counts, so that no page can use a user's cookies.
async fn authenticate(incoming: &Incoming<'_>) -> Result<Claims, Problem> {
    if incoming.is_trusted {
        let claims = Claims::of_application(platform::now());
        return claims.ok_or_else(|| Refusal::Internal.into());
    }
    let token = auth::bearer_token(incoming.parts.authorization.as_deref())?;
    let rules = &incoming.config()?.admission.tokens;
    Ok(incoming.verify(&token, rules).await?)
}

async fn forward(
    room: &RoomName,
    api_request: &ApiRequest,
    body: Option<&JsValue>,
    env: &Env,
) -> Result<web_sys::Response, Problem> {
    let json = serde_json::to_string(api_request).map_err(Error::from)?;
    let json = ascii(&json);
    let request = ObjectRequest {
        path: API_PATH,
        headers: vec![(API_REQUEST_HEADER, json.as_str())],
        body,
    };
    let caller = &api_request.caller;
    let rates = RoomRates::new(caller.can);
    room_guard::fetch(env, room, &caller.user, rates, request).await
}

/// Returns a body as text.
///
/// # Errors
///
/// `bad_request` if it is not UTF-8.
pub fn text(body: &Uint8Array) -> Result<String, Refusal> {
    String::from_utf8(body.to_vec()).map_err(|_| Refusal::BadRequest("The body is not UTF-8"))
}

thread_local! {
    /// The bodies that this isolate is reading.
    static BODY_READS: RefCell<BodyReads> = const { RefCell::new(BodyReads::new()) };
}

/// Reads the body of a client's request. Returns an empty body if there is none.
///
/// # Errors
///
/// `too_large` if it is over the limit, `overloaded` if the isolate reads too many, `bad_request` if it
/// is incomplete or takes too long.
async fn read_bytes(request: &web_sys::Request) -> Result<Uint8Array, Problem> {
    let length = request.headers().get("content-length");
    let length = length.map_err(Error::from)?;
    let length = length.and_then(|length| length.parse().ok());
    let started = BODY_READS.with_borrow_mut(|reads| reads.start(length, platform::now()))?;
    let body = platform::within_ms(BODY_MS_MAX, read_body(request)).await;
    BODY_READS.with_borrow_mut(|reads| reads.end(started));
    Ok(body.unwrap_or(Err(BODY_TOO_SLOW))?)
}

const BODY_TOO_SLOW: Refusal = Refusal::BadRequest("The body did not arrive within 10 seconds");

/// Reads a body without a time limit: [`read_bytes`] limits it, or the body has arrived.
///
/// # Errors
///
/// `too_large` if it is over the limit, `bad_request` if it is incomplete.
pub async fn read_body(request: &web_sys::Request) -> Result<Uint8Array, Refusal> {
    let Some(stream) = request.body() else {
        return Ok(Uint8Array::new_with_length(0));
    };
    let body = body::read(&stream, FRAME_BYTES_MAX).await;
    let body = body.map_err(|_| Refusal::BadRequest("The body ended too soon"))?;
    body.ok_or(BODY_TOO_LONG)
}
