//! HTTP for the application's back end: checks who asks and what for, then hands the call to the
//! room's object, and its answer back.

use futures::future::join_all;
use js_sys::JsString;
use snug_core::{
    Refusal, RoomName,
    auth::{self, token::Claims},
    backend::api::{ApiOperation, ApiRequest, BODY_TOO_LONG, MultiRoomPublish},
    limits::FRAME_BYTES_MAX,
};
use wasm_bindgen::JsValue;
use worker::{
    Context, Env, Error, Request, Response, ResponseBuilder, wasm_bindgen_futures::JsFuture,
    web_sys,
};

use crate::{
    body, config,
    join::{ROOMS, ascii, claims_of},
    platform,
    problem::Problem,
};

/// Carries the [`ApiRequest`] to the room's object, as the door's header does an admission.
pub const CALL_HEADER: &str = "x-snug-call";

/// What a path and a method ask of a room; the query is yet to be read.
pub enum Wish<'a> {
    Publish,
    Messages,
    Members,
    Kick { user: &'a str },
    Describe,
    Erase,
    DeadEvents,
}

/// Answers a request about one room.
///
/// # Errors
///
/// Every refusal of the door and of the room.
pub async fn call(
    request: &Request,
    room: &str,
    wish: Wish<'_>,
    env: &Env,
    context: &Context,
) -> Result<web_sys::Response, Problem> {
    config::load(env)?;
    let room = auth::parse_room_name(room)?;
    let query = check_origin(request, env)?;
    let ask = match wish {
        Wish::Publish => ApiOperation::Publish,
        Wish::Messages => ApiOperation::messages(&query)?,
        Wish::Members => ApiOperation::Members,
        Wish::Kick { user } => ApiOperation::kick(auth::parse_user_id(user)?, &query)?,
        Wish::Describe => ApiOperation::Describe,
        Wish::Erase => ApiOperation::Erase,
        Wish::DeadEvents => ApiOperation::dead_events(&query)?,
    };
    let claims = authenticate(request, env, context).await?;
    let has_body = ask == ApiOperation::Publish;
    let call = ApiRequest::admit(claims, &room, ask)?;
    // Passed on as it comes: the object reads it, no further than it may be long.
    let stream = request.inner().body().filter(|_| has_body);
    Ok(forward(&room, &call, stream.map(JsValue::from).as_ref(), env).await?)
}

/// Publishes the same messages in several rooms.
///
/// # Errors
///
/// What is wrong with the request as a whole. What keeps one room from it is told in its place.
pub async fn publish(request: &Request, env: &Env, context: &Context) -> Result<Response, Problem> {
    let config = config::load(env)?;
    check_origin(request, env)?;
    let claims = authenticate(request, env, context).await?;
    let body = read_body(request).await?;
    let most = claims
        .limits
        .message_bytes_max(config.room.message_bytes_max);
    let broadcast = MultiRoomPublish::read(&body, most)?;
    // One JavaScript string for all of them.
    let messages: JsValue = JsString::from(broadcast.messages).into();
    let each = broadcast
        .rooms
        .iter()
        .map(|room| publish_in(room, &claims, &messages, env));
    let results = join_all(each).await.join(",");
    let body = format!(r#"{{"results":[{results}]}}"#);
    let builder = ResponseBuilder::new().with_header("content-type", "application/json")?;
    let builder = builder.with_header("cache-control", "no-store")?;
    Ok(builder.fixed(body.into_bytes()))
}

/// What came of one room, as JSON.
async fn publish_in(name: &str, claims: &Claims, messages: &JsValue, env: &Env) -> String {
    // A text that was read from JSON can be written to it.
    let room = serde_json::to_string(name).unwrap_or_default();
    match try_publish(name, claims, messages, env).await {
        // The room's own answer is an object with something in it.
        Ok((true, published)) => format!(r#"{{"room":{room},{}"#, fields(&published)),
        Ok((false, problem)) => format!(r#"{{"room":{room},"error":{problem}}}"#),
        Err(problem) => {
            let refusal = problem.into_refusal();
            // A problem is an object of texts and a number.
            let problem = serde_json::to_string(&refusal.body()).unwrap_or_default();
            format!(r#"{{"room":{room},"error":{problem}}}"#)
        }
    }
}

/// An object's text after its first brace.
fn fields(object: &str) -> &str {
    object.strip_prefix('{').unwrap_or("}")
}

/// Whether the room has published the messages, and what it says.
async fn try_publish(
    name: &str,
    claims: &Claims,
    messages: &JsValue,
    env: &Env,
) -> Result<(bool, String), Problem> {
    let room = RoomName::parse(name).ok_or(Refusal::BadRoom)?;
    let call = ApiRequest::admit(claims.clone(), &room, ApiOperation::Publish)?;
    let response = forward(&room, &call, Some(messages), env).await?;
    let text = JsFuture::from(response.text().map_err(Error::from)?).await;
    let text = text.map_err(Error::from)?.as_string().unwrap_or_default();
    Ok((response.ok(), text))
}

/// Looks where the page is from that asks, where one does. The query, for what it is worth.
fn check_origin(request: &Request, env: &Env) -> Result<String, Problem> {
    let url = platform::url(request).ok_or(Refusal::BadRequest("The URL cannot be read"))?;
    let origin = request.headers().get("origin")?;
    let origins = &config::load(env)?.door.origins;
    origins.check(origin.as_deref(), &url.host())?;
    Ok(url.search().trim_start_matches('?').to_owned())
}

/// Who asks. Nothing but a token in its header counts, so that no page can use a visitor's cookies.
async fn authenticate(request: &Request, env: &Env, context: &Context) -> Result<Claims, Problem> {
    let authorization = request.headers().get("authorization")?;
    let token = auth::bearer_token(authorization.as_deref())?;
    let config = config::load(env)?;
    Ok(claims_of(&token, &config.door.tokens, context).await?)
}

async fn forward(
    room: &RoomName,
    call: &ApiRequest,
    body: Option<&JsValue>,
    env: &Env,
) -> worker::Result<web_sys::Response> {
    let call = ascii(&serde_json::to_string(call)?);
    let headers = [(CALL_HEADER, call.as_str())];
    platform::fetch_object(env, ROOMS, room.as_str(), &headers, body).await
}

/// The body as text; an empty one where there is none.
///
/// # Errors
///
/// `too_large`, `bad_request`.
pub async fn read_body(request: &Request) -> Result<String, Refusal> {
    let Some(stream) = request.inner().body() else {
        return Ok(String::new());
    };
    let bytes = body::read(&stream, FRAME_BYTES_MAX).await;
    let bytes = bytes.map_err(|_| Refusal::BadRequest("The body ended too soon"))?;
    let bytes = bytes.ok_or(BODY_TOO_LONG)?;
    String::from_utf8(bytes).map_err(|_| Refusal::BadRequest("The body is not UTF-8"))
}
