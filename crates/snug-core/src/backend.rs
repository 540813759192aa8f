//! The application's back end: its requests over the HTTP API, the webhooks it receives, and its
//! publish hook.

pub mod api;
pub mod publish_hook;
pub mod webhook;
