//! Responses of the HTTP API.

use std::rc::Rc;

use serde::Serialize;

use crate::{
    ids::{Epoch, Offset},
    protocol::push::Stored,
    reply::{HistoryPage, Reply},
};

/// The response to an API request: a status and a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Rc<str>,
}

impl From<&Reply> for ApiResponse {
    fn from(reply: &Reply) -> Self {
        match reply {
            Reply::Published { epoch, messages } => Self::of(201, &Published { epoch, messages }),
            Reply::Changed { epoch, change } => Self::of(200, &Changed { epoch, change }),
            Reply::Deleted {
                epoch,
                deleted,
                cursor,
            } => Self::of(
                200,
                &Deleted {
                    epoch: epoch.as_ref(),
                    deleted: *deleted,
                    more: cursor.is_some(),
                    cursor: *cursor,
                },
            ),
            Reply::History(page) => Self::page(page),
            Reply::Members(list) => Self::of(200, list),
            Reply::Closed { closed } => Self::of(200, &Closed { closed: *closed }),
            Reply::Status(status) => Self::of(200, status),
            Reply::DeadEvents { events, more } => {
                let events = events.join(",");
                Self::ok(format!(r#"{{"events":[{events}],"more":{more}}}"#))
            }
            // No API request has these.
            Reply::Done | Reply::Refreshed { .. } | Reply::Read { .. } => Self::ok("{}".to_owned()),
        }
    }
}

#[derive(Serialize)]
struct Published<'a> {
    epoch: &'a Epoch,
    messages: &'a [Stored],
}

#[derive(Serialize)]
struct Changed<'a> {
    epoch: &'a Epoch,
    #[serde(flatten)]
    change: &'a Stored,
}

#[derive(Serialize)]
struct Deleted<'a> {
    epoch: Option<&'a Epoch>,
    deleted: usize,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Offset>,
}

#[derive(Serialize)]
struct Closed {
    closed: usize,
}

impl ApiResponse {
    fn of(status: u16, body: &impl Serialize) -> Self {
        // Cannot fail to serialize: keys are strings, and raw values are JSON.
        let body = serde_json::to_string(body).map_or_else(|_| "{}".into(), Into::into);
        Self { status, body }
    }

    fn ok(body: String) -> Self {
        Self {
            status: 200,
            body: body.into(),
        }
    }

    fn page(page: &HistoryPage) -> Self {
        let epoch = match &page.epoch {
            // An epoch needs no escapes.
            Some(epoch) => format!(r#""{}""#, epoch.as_str()),
            None => "null".to_owned(),
        };
        let mut body = format!(r#"{{"epoch":{epoch},"messages":"#);
        page.write_messages(&mut body);
        body.push_str(match page.more {
            true => r#","more":true"#,
            false => r#","more":false"#,
        });
        if let Some(cursor) = page.cursor {
            body.push_str(&format!(r#","cursor":{}"#, cursor.0));
        }
        body.push('}');
        Self::ok(body)
    }
}
