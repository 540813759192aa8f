//! Requests that change a message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{MESSAGE_TOO_LONG, NOT_JSON, UNREADABLE, unknown_field};
use crate::{
    ids::{Offset, UserId},
    limits::KEY_BYTES_MAX,
    protocol::{
        change::{Change, ChangeAction},
        command::KEY_OUT_OF_BOUNDS,
        json,
        refusal::Refusal,
    },
};

const NOT_A_CHANGE: &str = "The body must be an object with 'data', for an edit, or 'text', for an append, and, optionally, 'key' and 'user'";

/// A request to change a message, without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// The offset of the message.
    pub message: Offset,
    /// The action.
    pub action: RequestedAction,
    /// The version that the message must have.
    #[serde(default)]
    pub if_version: Option<u64>,
}

/// See [`ChangeRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestedAction {
    /// Replace the content.
    Edit,
    /// Append to the content.
    Append,
    /// Take the content away.
    Delete {
        /// The reason, for the members.
        reason: Option<String>,
        /// The user who deletes it; the token's user if absent.
        user: Option<UserId>,
        /// The idempotency key.
        #[serde(default)]
        key: Option<String>,
    },
}

/// Reads the body of a request that changes a message. Returns the change, and the user whom the request names as
/// its author.
///
/// # Errors
///
/// `bad_request` or `too_large`.
pub fn read_change_body<'a>(
    request: &ChangeRequest,
    body: &'a str,
    message_bytes_max: usize,
) -> Result<(Change<'a>, Option<UserId>), Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body<'a> {
        #[serde(borrow, default, deserialize_with = "json::some_raw")]
        data: Option<&'a RawValue>,
        #[serde(borrow)]
        text: Option<Cow<'a, str>>,
        #[serde(borrow)]
        key: Option<Cow<'a, str>>,
        user: Option<UserId>,
    }
    let change = |action, key| Change {
        of: request.message,
        action,
        if_version: request.if_version,
        key,
    };
    if let RequestedAction::Delete { reason, user, key } = &request.action {
        let reason = reason.clone().map(Cow::Owned);
        let key = key.clone().map(Cow::Owned);
        return Ok((change(ChangeAction::Delete { reason }, key), user.clone()));
    }
    let body = json::without_bom(body);
    if body.len() > message_bytes_max {
        return Err(MESSAGE_TOO_LONG);
    }
    let whole: &RawValue = serde_json::from_str(body).map_err(|_| NOT_JSON)?;
    if !json::is_object(whole) {
        return Err(Refusal::BadRequest(NOT_A_CHANGE));
    }
    if !json::is_readable(body) {
        return Err(UNREADABLE);
    }
    let fields: Body<'_> = serde_json::from_str(whole.get()).map_err(|_| {
        let unknown = json::unknown_field(whole.get(), &["data", "text", "key", "user"]);
        unknown.map_or(Refusal::BadRequest(NOT_A_CHANGE), |name| {
            unknown_field(&name, "a change has 'data' or 'text', 'key' and 'user'")
        })
    })?;
    let is_key = |key: &Cow<'_, str>| (1..=KEY_BYTES_MAX).contains(&key.len());
    if !fields.key.as_ref().is_none_or(is_key) {
        return Err(Refusal::BadRequest(KEY_OUT_OF_BOUNDS));
    }
    let action = match (&request.action, fields.data, fields.text) {
        (RequestedAction::Edit, Some(data), None) => ChangeAction::Edit(Cow::Borrowed(data)),
        (RequestedAction::Append, None, Some(text)) => ChangeAction::Append(text),
        _ => return Err(Refusal::BadRequest(NOT_A_CHANGE)),
    };
    Ok((change(action, fields.key), fields.user))
}
