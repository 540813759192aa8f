//! The formats shared with the application's back end: the HTTP API, webhooks, and the publish hook.

pub mod api;
pub mod body_reads;
pub mod publish_hook;
pub mod response;
pub mod webhook;
