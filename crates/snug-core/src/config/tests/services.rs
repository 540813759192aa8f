//! Services of the application: addresses and bindings.

use super::*;

#[test]
fn a_service_binding_takes_the_place_of_a_url_and_needs_no_secret() {
    let config = read(&[
        ("AUTH", Value::Service),
        ("PUBLISH", Value::Service),
        ("WEBHOOK", Value::Service),
    ])
    .unwrap();
    let bound = |setting| {
        let place = Place::Binding;
        Some(Application { setting, place })
    };
    assert_eq!(config.admission.application, bound("AUTH"));
    assert_eq!(config.backend.publish_hook, bound("PUBLISH"));
    assert_eq!(config.backend.webhook, bound("WEBHOOK"));
    assert_eq!(config.room.publish_fallback, Some(PublishFallback::Refuse));
    assert_eq!(config.room.events, EventKinds::by_default());
    // The receiver knows who calls, and needs the id to handle a delivery once.
    let headers = config.backend.signer.headers("7", "{}", NOW);
    let expected = [("webhook-id", "7"), ("webhook-timestamp", "1800000000")];
    assert_eq!(headers, expected.map(|(name, value)| (name, value.into())));
}

#[test]
fn a_service_binding_excludes_the_url_and_is_no_variable() {
    let url = || Value::from("https://app.example/");
    for (binding, address) in [
        ("AUTH", "AUTH_URL"),
        ("PUBLISH", "PUBLISH_URL"),
        ("WEBHOOK", "WEBHOOK_URL"),
    ] {
        let error = refused(&[(binding, Value::Service), (address, url())]);
        let message = format!("{binding} and {address} are both set: keep one of them");
        assert_eq!(error.to_string(), message);
        let error = refused(&[(binding, url())]);
        let message = format!("{binding} must be a service binding, and not a variable");
        assert_eq!(error.to_string(), message);
    }
    let error = refused(&[("MESSAGE_BYTES_MAX", Value::Service)]);
    assert_eq!(error.name, "MESSAGE_BYTES_MAX");
}

#[test]
fn back_end_urls_require_a_signing_secret() {
    let secret = format!("whsec_{}", "A".repeat(32));
    let url = "https://app.example/hooks";
    let set = |more: &[(&'static str, &str)]| {
        let secret = [("WEBHOOK_SECRET", secret.as_str())];
        read(&[&secret, more].concat()).unwrap()
    };
    let config = set(&[("WEBHOOK_URL", url), ("PUBLISH_URL", url)]);
    let at_url = |setting| {
        let place = Place::Url(ServiceUrl::parse(url).unwrap());
        Some(Application { setting, place })
    };
    assert_eq!(config.backend.webhook, at_url("WEBHOOK_URL"));
    assert_eq!(config.backend.publish_hook, at_url("PUBLISH_URL"));
    assert_eq!(config.backend.signer.headers("id", "", NOW).len(), 3);
    assert_eq!(config.room.events, EventKinds::by_default());
    assert_eq!(config.room.publish_fallback, Some(PublishFallback::Refuse));
    let config = set(&[
        ("WEBHOOK_URL", url),
        ("WEBHOOK_EVENTS", "*"),
        ("PUBLISH_URL", url),
        ("PUBLISH_FALLBACK", "allow"),
    ]);
    assert_eq!(config.room.events, EventKinds::parse("*").unwrap());
    assert_eq!(config.room.publish_fallback, Some(PublishFallback::Allow));
    // Without URLs, nothing is sent.
    let config = set(&[("WEBHOOK_EVENTS", "*"), ("PUBLISH_FALLBACK", "allow")]);
    assert_eq!(config.room.events, EventKinds::default());
    assert_eq!(config.room.publish_fallback, None);
    let refused = |settings: &[(&'static str, &str)]| read(settings).err().map(|it| it.name);
    for (settings, name) in [
        (&[("WEBHOOK_URL", url)][..], "WEBHOOK_SECRET"),
        (&[("PUBLISH_URL", url)], "WEBHOOK_SECRET"),
        (&[("WEBHOOK_SECRET_PREVIOUS", &secret)], "WEBHOOK_SECRET"),
        (&[("WEBHOOK_SECRET", "short")], "WEBHOOK_SECRET"),
        (
            &[("WEBHOOK_SECRET_PREVIOUS", "short")],
            "WEBHOOK_SECRET_PREVIOUS",
        ),
        (&[("WEBHOOK_URL", "http://app.example")], "WEBHOOK_URL"),
        (&[("PUBLISH_URL", "")], "PUBLISH_URL"),
        (&[("WEBHOOK_EVENTS", "all")], "WEBHOOK_EVENTS"),
        (&[("PUBLISH_FALLBACK", "store")], "PUBLISH_FALLBACK"),
    ] {
        assert_eq!(refused(settings), Some(name), "{settings:?}");
    }
}

#[test]
fn requires_https_urls_or_loopback_hosts() {
    for name in ["JWKS_URL", "AUTH_URL"] {
        for good in ["https://id.example/x", "http://127.0.0.1:9000"] {
            assert!(read(&[(name, good)]).is_ok());
        }
        for bad in [
            "",
            "id.example",
            "http://id.example/x",
            "https://u:p@id.example",
        ] {
            assert_eq!(refused(&[(name, bad)]).name, name, "{bad}");
        }
    }
}
