//! The application that Snug calls: to identify a user, to decide about messages, and with events.

use crate::service_url::ServiceUrl;

/// The place at which the application answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The setting that names it, for the log.
    pub setting: &'static str,
    /// The place.
    pub place: Place,
}

/// See [`Application::place`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A URL.
    Url(ServiceUrl),
    /// A service binding, which has the setting's name: another Worker, or a function of the same one.
    Binding,
}
