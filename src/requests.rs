//! Requests and responses whose parts pass between JavaScript and Wasm in one call.

use js_sys::JsString;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{Result, wasm_bindgen_futures, web_sys};

use crate::{
    api::API_REQUEST_HEADER, connect::SESSION_HEADER, join::ADMISSION_HEADER,
    object_stub::TIME_HEADER, room_guard::NO_NEW_ROOM_HEADER,
};

#[wasm_bindgen(module = "/src/requests.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = readRequest)]
    fn read_request(
        request: &web_sys::Request,
        names: &JsString,
    ) -> std::result::Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = readClientRequest)]
    fn read_client_request(
        request: &web_sys::Request,
        names: &JsString,
    ) -> std::result::Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = fetchObject)]
    async fn fetch_object_with(
        namespace: &JsValue,
        name: &str,
        options: &JsValue,
        url: &str,
        headers: &str,
        body: &JsValue,
    ) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = upgradeResponse)]
    fn upgrade_response_with(
        socket: &web_sys::WebSocket,
        protocol: Option<&str>,
    ) -> std::result::Result<web_sys::Response, JsValue>;
}

thread_local! {
    /// The headers that [`ClientRequest::read`] reads, in order.
    static CLIENT_HEADERS: JsString =
        names(&["origin", "authorization", "sec-websocket-protocol", "upgrade"]);
    /// The headers that [`RequestToObject::read`] reads, in order.
    static OBJECT_HEADERS: JsString = names(&[
        "upgrade",
        TIME_HEADER,
        ADMISSION_HEADER,
        SESSION_HEADER,
        API_REQUEST_HEADER,
        NO_NEW_ROOM_HEADER,
    ]);
}

/// A client's request.
pub struct ClientRequest {
    /// The method, as it was sent: worker-rs turns unknown ones into GET.
    pub method: String,
    pub path: String,
    /// `None` if it cannot be read.
    pub url: Option<Url>,
    pub origin: Option<String>,
    pub authorization: Option<String>,
    pub protocols: Option<String>,
    pub is_upgrade: bool,
}

/// The parts of a URL, as the runtime's parser writes them.
pub struct Url {
    pub scheme: String,
    /// With the port, if there is one.
    pub host: String,
    /// Without the `?`.
    pub query: String,
}

/// A request of the Worker, or of another object, to an object.
pub struct RequestToObject {
    pub path: String,
    pub is_upgrade: bool,
    pub time: Option<String>,
    pub admission: Option<String>,
    pub session: Option<String>,
    pub api_request: Option<String>,
    pub must_not_create: bool,
}

impl ClientRequest {
    /// Reads a request.
    pub fn read(request: &web_sys::Request) -> Result<Self> {
        let text = CLIENT_HEADERS.with(|names| read_client_request(request, names))?;
        let mut lines = text.split('\n');
        let mut line = || lines.next().unwrap_or_default();
        let method = line().to_owned();
        let (scheme, host, query) = (line(), line(), line());
        let url = (!scheme.is_empty()).then(|| Url {
            scheme: scheme.trim_end_matches(':').to_owned(),
            host: host.to_owned(),
            query: query.trim_start_matches('?').to_owned(),
        });
        Ok(Self {
            method,
            url,
            path: path_of(line()).to_owned(),
            origin: value(line()),
            authorization: value(line()),
            protocols: value(line()),
            is_upgrade: is_upgrade(line()),
        })
    }
}

impl RequestToObject {
    /// Reads a request.
    pub fn read(request: &web_sys::Request) -> Result<Self> {
        let text = OBJECT_HEADERS.with(|names| read_request(request, names))?;
        let mut lines = text.split('\n');
        let mut line = || lines.next().unwrap_or_default();
        Ok(Self {
            path: path_of(line()).to_owned(),
            is_upgrade: is_upgrade(line()),
            time: value(line()),
            admission: value(line()),
            session: value(line()),
            api_request: value(line()),
            must_not_create: value(line()).is_some(),
        })
    }
}

/// Sends a request to an object of a namespace. A body makes it a POST request.
///
/// # Errors
///
/// The platform's error, if the object did not respond.
pub async fn fetch_object<'a>(
    namespace: &JsValue,
    name: &str,
    options: &JsValue,
    url: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: Option<&JsValue>,
) -> std::result::Result<JsValue, JsValue> {
    let mut lines = String::new();
    for (header, value) in headers {
        // It could begin another header.
        if value.contains('\n') {
            return Err(js_sys::TypeError::new(LINE_BREAK).into());
        }
        for part in [header, "\n", value, "\n"] {
            lines.push_str(part);
        }
    }
    let body = body.cloned().unwrap_or(JsValue::UNDEFINED);
    fetch_object_with(namespace, name, options, url, &lines, &body).await
}

const LINE_BREAK: &str = "a header of a request to an object contains a line break";

/// Returns the response to a WebSocket upgrade, with the client's end of the socket and the subprotocol that was
/// chosen.
pub fn upgrade_response(
    client: &web_sys::WebSocket,
    protocol: Option<&str>,
) -> Result<web_sys::Response> {
    Ok(upgrade_response_with(client, protocol)?)
}

fn names(names: &[&str]) -> JsString {
    JsString::from(names.join(" "))
}

/// Returns a header that is there.
fn value(line: &str) -> Option<String> {
    line.strip_prefix('=').map(str::to_owned)
}

/// Returns true for the `Upgrade` header of a WebSocket (RFC 6455, section 4.2.1).
fn is_upgrade(line: &str) -> bool {
    line.eq_ignore_ascii_case("=websocket")
}

/// Returns the path of a serialized URL.
fn path_of(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let path = rest.find('/').and_then(|start| rest.get(start..));
    let path = path.unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or(path)
}
