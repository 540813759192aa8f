//! The routes: which handler a path and a method have.

use snug_core::{Refusal, auth, log::Requester};
use worker::{Response, ResponseBuilder, web_sys};

use crate::{
    api::{self, Endpoint},
    config, connect,
    cors::{self, Readers},
    dev_token,
    incoming::Incoming,
    join, object_stub,
    problem::Problem,
};

/// The handler of a request.
#[derive(Clone, Copy)]
enum Handler {
    Health,
    Description,
    PublishToRooms,
    Join,
    Connect,
    Api(Endpoint),
    DevToken,
}

/// The methods of a path, and the handler of each.
type Methods = &'static [(&'static str, Handler)];

/// Returns the methods of a path; `None` if the path does not exist.
fn methods_of(segments: &[&str]) -> Option<Methods> {
    use Handler::{Api, Connect, Description, DevToken, Health, Join, PublishToRooms};
    Some(match segments {
        ["healthz"] => &[("GET", Health), ("HEAD", Health)],
        ["openapi.json"] => &[("GET", Description), ("HEAD", Description)],
        ["v1", "socket"] => &[("GET", Connect)],
        ["v1", "publish"] => &[("POST", PublishToRooms)],
        ["v1", "rooms", _, "socket"] => &[("GET", Join)],
        ["v1", "rooms", _] => &[
            ("GET", Api(Endpoint::Describe)),
            ("DELETE", Api(Endpoint::Erase)),
        ],
        ["v1", "rooms", _, "messages"] => &[
            ("GET", Api(Endpoint::Messages)),
            ("POST", Api(Endpoint::Publish)),
            ("DELETE", Api(Endpoint::DeleteMessages)),
        ],
        ["v1", "rooms", _, "messages", _] => &[
            ("DELETE", Api(Endpoint::Delete)),
            ("PATCH", Api(Endpoint::Edit)),
        ],
        ["v1", "rooms", _, "messages", _, "append"] => &[("POST", Api(Endpoint::Append))],
        ["v1", "rooms", _, "members"] => &[("GET", Api(Endpoint::Members))],
        ["v1", "rooms", _, "members", _] => &[("DELETE", Api(Endpoint::Kick))],
        ["v1", "rooms", _, "webhooks", "dead"] => &[("GET", Api(Endpoint::DeadEvents))],
        ["dev", "token"] => &[("POST", DevToken)],
        _ => return None,
    })
}

/// Handles a request, and turns an error into a problem response. A room's response is returned
/// unchanged, because building a new one would be a large part of the cost of a join.
pub async fn route(incoming: &Incoming<'_>) -> worker::Result<web_sys::Response> {
    let mut requester = incoming.requester();
    let (response, readers) = match dispatch(incoming, &mut requester).await {
        Ok(response) => (response, Readers::AllowedPages),
        Err(problem) => {
            let response = incoming.with_spawn(|spawn| problem.into_response(&requester, spawn))?;
            (response.into(), Readers::AnyPage)
        }
    };
    cors::allow_reading(incoming, response, readers)
}

async fn dispatch(
    incoming: &Incoming<'_>,
    requester: &mut Requester,
) -> Result<web_sys::Response, Problem> {
    let path = &incoming.parts.path;
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let methods = methods_of(&segments).ok_or(Refusal::NotFound)?;
    if let ["dev", ..] = *segments
        && dev_token::issuer(incoming).is_none()
    {
        return Err(Refusal::NotFound.into());
    }
    let room = match *segments {
        ["v1", "rooms", room, ..] => room,
        _ => "",
    };
    requester.room = auth::parse_room_name(room).ok();
    let names = || methods.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    if cors::is_preflight(incoming) {
        return Ok(cors::preflight(incoming, &names())?.into());
    }
    let handler = methods
        .iter()
        .find(|(name, _)| incoming.parts.method == *name);
    let Some((_, handler)) = handler else {
        return Err(Refusal::MethodNotAllowed(names()).into());
    };
    Ok(match handler {
        Handler::Health => health(incoming)?.into(),
        Handler::Description => description()?.into(),
        Handler::PublishToRooms => api::publish(incoming, requester).await?.into(),
        Handler::Join => join::join(incoming, room, requester).await?,
        Handler::Connect => connect::connect(incoming, requester).await?,
        Handler::Api(endpoint) => {
            let item = segments.get(4).copied().unwrap_or_default();
            api::handle(incoming, room, item, *endpoint, requester).await?
        }
        Handler::DevToken => dev_token::handle(incoming).await?.into(),
    })
}

/// The description of the HTTP API.
const OPENAPI: &str = include_str!("../openapi.json");

fn description() -> Result<Response, Problem> {
    let builder = ResponseBuilder::new().with_header("content-type", "application/json")?;
    Ok(builder.fixed(OPENAPI.into()))
}

/// Returns the version if the settings are valid and the bindings exist, so that a deployment's health check fails
/// otherwise.
fn health(incoming: &Incoming<'_>) -> Result<Response, Problem> {
    config::read(incoming.env).map_err(|error| Refusal::Unhealthy(error.to_string()))?;
    object_stub::check_bindings(incoming.env).map_err(Refusal::Unhealthy)?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(Response::from_json(
        &serde_json::json!({ "status": "ok", "version": version }),
    )?)
}
