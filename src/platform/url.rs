//! URLs.

use web_sys::Url;

/// Returns the origin of a URL as browsers send it (the Fetch standard's serialization); `None` if the
/// text is not a URL with a host. Other than `URL.origin`, includes the origins of applications, such as
/// `tauri://localhost`.
pub fn origin_of(text: &str) -> Option<String> {
    let url = Url::new(text).ok()?;
    let host = url.host();
    (!host.is_empty()).then(|| format!("{}//{host}", url.protocol()))
}
