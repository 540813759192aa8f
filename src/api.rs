//! HTTP for the application's back end: checks who asks and what for, then hands the call to the
//! room's object, and its answer back.

use futures::future::join_all;
use js_sys::JsString;
use serde::Serialize;
use snug_core::{
    Refusal, RoomName,
    call::{Ask, BODY_TOO_LONG, Broadcast, Call},
    door,
    limits::FRAME_BYTES_MAX,
    token::Claims,
};
use wasm_bindgen::JsValue;
use worker::{
    Context, Env, Error, Request, Response, console_error, wasm_bindgen_futures::JsFuture, web_sys,
};

use crate::{
    body, config, platform,
    problem::Problem,
    upgrade::{ROOMS, ascii, claims_of},
};

/// Carries the [`Call`] to the room's object, as the door's header does an admission.
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
    let room = door::room_named(room)?;
    let query = check_origin(request, env)?;
    let ask = match wish {
        Wish::Publish => Ask::Publish,
        Wish::Messages => Ask::messages(&query)?,
        Wish::Members => Ask::Members,
        Wish::Kick { user } => Ask::kick(door::user_named(user)?, &query)?,
        Wish::Describe => Ask::Describe,
        Wish::Erase => Ask::Erase,
        Wish::DeadEvents => Ask::dead_events(&query)?,
    };
    let claims = authenticate(request, env, context).await?;
    let has_body = ask == Ask::Publish;
    let call = Call::admit(claims, &room, ask)?;
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
    let broadcast = Broadcast::read(&body, most)?;
    // One JavaScript string for all of them.
    let messages: JsValue = JsString::from(broadcast.messages).into();
    let each = broadcast
        .rooms
        .iter()
        .map(|room| publish_in(room, &claims, &messages, env));
    let results = join_all(each).await;
    Ok(Response::from_json(&Results { results })?)
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<RoomResult<'a>>,
}

/// What came of one room.
#[derive(Serialize)]
struct RoomResult<'a> {
    room: &'a str,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    /// The room's own answer.
    Published(serde_json::Map<String, serde_json::Value>),
    Refused {
        error: serde_json::Value,
    },
}

async fn publish_in<'a>(
    name: &'a str,
    claims: &Claims,
    messages: &JsValue,
    env: &Env,
) -> RoomResult<'a> {
    let outcome = match try_publish(name, claims, messages, env).await {
        Ok(outcome) => outcome,
        Err(problem) => Outcome::refused(problem),
    };
    RoomResult {
        room: name,
        outcome,
    }
}

async fn try_publish(
    name: &str,
    claims: &Claims,
    messages: &JsValue,
    env: &Env,
) -> Result<Outcome, Problem> {
    let room = RoomName::parse(name).ok_or(Refusal::BadRoom)?;
    let call = Call::admit(claims.clone(), &room, Ask::Publish)?;
    let response = forward(&room, &call, Some(messages), env).await?;
    let text = JsFuture::from(response.text().map_err(Error::from)?).await;
    let text = text.map_err(Error::from)?.as_string().unwrap_or_default();
    let answer = serde_json::from_str(&text).map_err(Error::from)?;
    Ok(match answer {
        serde_json::Value::Object(published) if response.ok() => Outcome::Published(published),
        error => Outcome::Refused { error },
    })
}

impl Outcome {
    fn refused(problem: Problem) -> Self {
        let refusal = match problem {
            Problem::Refused(refusal) => refusal,
            Problem::Fault(error) => {
                console_error!("fault: {error}");
                Refusal::Internal
            }
        };
        // A problem is an object of texts and a number.
        let error = serde_json::to_value(refusal.body()).unwrap_or_default();
        Self::Refused { error }
    }
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
    let token = door::bearer_token(authorization.as_deref())?;
    let config = config::load(env)?;
    Ok(claims_of(&token, &config.door.tokens, context).await?)
}

async fn forward(
    room: &RoomName,
    call: &Call,
    body: Option<&JsValue>,
    env: &Env,
) -> worker::Result<web_sys::Response> {
    let call = ascii(&serde_json::to_string(call)?);
    let headers = [(CALL_HEADER, call.as_str())];
    platform::ask_object(env, ROOMS, room.as_str(), &headers, body).await
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
