//! A client's picture of a room's messages, from what it received of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The messages as a client shows them, by offset.
pub type Picture = BTreeMap<u64, Value>;

/// Applies a message or a change, as a client does.
pub fn applies(picture: &mut Picture, push: &Value) {
    let Some(of) = push["of"].as_u64() else {
        picture.insert(push["offset"].as_u64().unwrap(), shown(push));
        return;
    };
    let Some(message) = picture.get_mut(&of) else {
        return;
    };
    if push["type"] == "reactions" {
        message["reactions"] = push["summary"].clone();
    }
    if push["action"] == "replies" {
        message["replies"] = push["replies"].clone();
    }
    let shown = message["version"].as_u64().unwrap();
    let version = push["version"].as_u64();
    let Some(version) = version.filter(|version| *version > shown) else {
        return;
    };
    message["data"] = data_after(&message["data"], push);
    message["version"] = json!(version);
    if push["action"] == "delete" {
        message["reactions"] = json!({});
    }
}

/// Returns the content of a message after a change: `null` if it is deleted.
pub fn data_after(data: &Value, change: &Value) -> Value {
    match change["action"].as_str() {
        Some("edit") => change["data"].clone(),
        Some("append") => {
            let mut data = data.clone();
            let text = text_of(&mut data).unwrap_or_else(|| panic!("no text can be appended"));
            text.push_str(change["text"].as_str().unwrap());
            data
        }
        _ => Value::Null,
    }
}

/// Returns the text to which an append adds; `None` if the content has none.
pub fn text_of(data: &mut Value) -> Option<&mut String> {
    match data {
        Value::String(text) => Some(text),
        Value::Object(fields) => match fields.get_mut("text") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Returns what a client shows of a message.
pub fn shown(message: &Value) -> Value {
    let version = message.get("version").cloned().unwrap_or(json!(1));
    let data = message.get("data").cloned().unwrap_or_default();
    let reactions = message.get("reactions").cloned().unwrap_or(json!({}));
    let replies = message.get("replies").cloned().unwrap_or(json!(0));
    json!({
        "data": data,
        "version": version,
        "reactions": reactions,
        "re": message["re"],
        "replies": replies,
    })
}
