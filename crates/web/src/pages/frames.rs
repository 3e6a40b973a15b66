//! How a plugin's page is to be opened: in which frame, and with which headers.

use serde_json::{Value as Json, json};

use super::settings::{client_origins, origin_of};
use crate::site::Site;

/// What a page may do in any frame.
const SANDBOX: &str = "allow-downloads allow-forms allow-popups allow-scripts";

/// What opens the page at `url` safely. `client` is the origin of whoever opens it.
pub(crate) fn document(site: &Site, url: &str, client: Option<&str>) -> Json {
    let clients = client_origins(site);
    let origin = origin_of(url);
    // A page that shares the origin of who opens it could reach out of its frame.
    let shared = match (&origin, client) {
        (Some(origin), Some(client)) => origin == client,
        (Some(origin), None) => {
            site.system_url().and_then(origin_of).as_ref() == Some(origin)
                || clients.contains(origin)
        }
        (None, _) => true,
    };
    let sandbox = if shared {
        SANDBOX.to_owned()
    } else {
        format!("{SANDBOX} allow-same-origin")
    };
    json!({
        "url": url,
        "origin": origin,
        "messageOrigin": if shared { Some("null".to_owned()) } else { origin.clone() },
        "attributes": {
            "sandbox": sandbox,
            "referrerpolicy": "no-referrer",
        },
        "headers": {
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": ancestors(&clients),
        },
    })
}

/// The page is this server's own, and has to reach it.
pub(crate) fn trust(frame: &mut Json) {
    frame["attributes"]["sandbox"] = format!("{SANDBOX} allow-same-origin").into();
    frame["messageOrigin"] = frame["origin"].clone();
}

/// Who may put a page into a frame.
pub(crate) fn ancestors(clients: &[String]) -> String {
    if clients.is_empty() {
        return "frame-ancestors 'none'".to_owned();
    }
    format!("frame-ancestors {}", clients.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::SYSTEM_URL;

    fn site(clients: Json) -> Site {
        let mut site = Site::default();
        site.0
            .insert(SYSTEM_URL.to_owned(), json!("https://api.example"));
        site.0.insert("client_origins".to_owned(), clients);
        site
    }

    #[test]
    fn a_page_of_the_panels_own_origin_gets_no_origin() {
        let site = site(json!(["https://app.example"]));
        let same = |url: &str, client| {
            let frame = document(&site, url, client);
            let text = frame["attributes"]["sandbox"].as_str().unwrap().to_owned();
            (
                text.contains("allow-same-origin"),
                frame["messageOrigin"].clone(),
            )
        };
        assert_eq!(
            same("https://plug.example/x", None),
            (true, json!("https://plug.example"))
        );
        assert_eq!(same("https://api.example/x", None), (false, json!("null")));
        assert_eq!(same("https://app.example/x", None), (false, json!("null")));
        let client = Some("https://plug.example");
        assert_eq!(
            same("https://plug.example/x", client),
            (false, json!("null"))
        );
        assert_eq!(same("data:text/html,x", None), (false, json!("null")));
    }

    #[test]
    fn only_registered_clients_are_ancestors() {
        let policy = |clients| {
            let frame = document(&site(clients), "https://plug.example/", None);
            frame["headers"]["Content-Security-Policy"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(policy(json!([])), "frame-ancestors 'none'");
        assert_eq!(
            policy(json!(["https://a.example", "https://b.example"])),
            "frame-ancestors https://a.example https://b.example"
        );
    }
}
