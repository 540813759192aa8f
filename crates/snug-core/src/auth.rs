//! Authentication and admission: turns a join request into an [`Admission`] or a refusal.
//!
//! [`JoinRequest::read`] checks the request's form and origin, [`token::Verification`] checks the token, and
//! [`JoinRequest::admit`] checks what the token grants in the room.

pub mod join_request;
pub mod origins;
pub mod room_guard;
pub mod session_cookie;
pub mod session_guard;
pub mod token;

pub(crate) use self::join_request::parse_integer;
pub use self::join_request::{
    Admission, AdmissionRules, ConnectRequest, Credential, JoinOptions, JoinRequest, Mode,
    Position, RequestParts, SUBPROTOCOL, bearer_token, check_query, parse_room_name, parse_user_id,
};
pub use self::origins::AllowedOrigins;
