//! Requests that change a message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    ApiOperation, MESSAGE_TOO_LONG, NOT_JSON, UNREADABLE, check_no_options, read_user,
    unknown_field, unknown_option,
};
use crate::{
    auth::parse_integer,
    ids::{Offset, UserId},
    limits::{KEY_BYTES_MAX, REASON_BYTES_MAX},
    protocol::{
        change::{Change, ChangeAction},
        command::{KEY_OUT_OF_BOUNDS, REASON_TOO_LONG},
        json,
        refusal::Refusal,
    },
};

const BAD_IF_MATCH: &str = "'If-Match' must be a message's version";
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

impl ApiOperation {
    /// Reads a request to edit a message, or to append to it. `if_match` is the header of that name.
    ///
    /// # Errors
    ///
    /// `bad_request` if the offset, the header or the query is invalid; `not_found` if no message can have the
    /// offset.
    pub fn change(
        message: &str,
        action: RequestedAction,
        if_match: Option<&str>,
        query: &str,
    ) -> Result<Self, Refusal> {
        check_no_options(query)?;
        Self::change_of(message, action, if_match)
    }

    /// Reads a request to delete a message.
    ///
    /// # Errors
    ///
    /// As [`Self::change`].
    pub fn delete(message: &str, if_match: Option<&str>, query: &str) -> Result<Self, Refusal> {
        let (mut reason, mut user, mut key) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "reason" if value.len() > REASON_BYTES_MAX => {
                    return Err(Refusal::BadRequest(REASON_TOO_LONG));
                }
                "reason" => reason = Some(value.into_owned()),
                "user" => user = Some(read_user(&value)?),
                "key" if !(1..=KEY_BYTES_MAX).contains(&value.len()) => {
                    return Err(Refusal::BadRequest(KEY_OUT_OF_BOUNDS));
                }
                "key" => key = Some(value.into_owned()),
                _ => return Err(unknown_option(&name, "'key', 'reason' and 'user'")),
            }
        }
        let action = RequestedAction::Delete { reason, user, key };
        Self::change_of(message, action, if_match)
    }

    fn change_of(
        message: &str,
        action: RequestedAction,
        if_match: Option<&str>,
    ) -> Result<Self, Refusal> {
        let message = parse_integer(message, "The message's offset must be a whole number")?;
        let version = |text: &str| {
            let quoted = text.trim().strip_prefix('"');
            let number = quoted.and_then(|rest| rest.strip_suffix('"'));
            number.unwrap_or(text.trim()).parse().ok()
        };
        let if_version = if_match
            .map(|text| version(text).ok_or(Refusal::BadRequest(BAD_IF_MATCH)))
            .transpose()?;
        Ok(Self::Change(ChangeRequest {
            message: Offset(message),
            action,
            if_version,
        }))
    }
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
