//! What the server asks the application: whether accounts are who they say, and words of plugins. Each number that
//! clients know, met over HTTP.

use std::sync::{Arc, Mutex};

use plugyard_web::signature::{Generation, sign};
use serde_json::{Map, Value as Json, json};

use crate::support::leaks::secret;
use crate::webhooks::receiver::Receiver;
use crate::webhooks::site::Site;

const KEY: &str = "qUiEaDNQh2IpvGHOKlTMx7ujn8t1CZWX";

/// A request of an account, and of a user where one is named, signed now.
fn signed(account: &str, user: Option<&str>) -> Map<String, Json> {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let mut headers = vec![
        ("App-Id", "yh1OJ7WL".to_owned()),
        ("Client-Platform-Id", "2".to_owned()),
        ("Client-Version", "2.0.0".to_owned()),
        ("Signature-Timestamp", now.to_string()),
        ("Aid", account.to_owned()),
        ("Aid-Token", secret("token-of-the-account")),
    ];
    if let Some(user) = user {
        headers.push(("Uid", user.to_owned()));
        headers.push(("Uid-Token", secret("token-of-the-user")));
    }
    let signature = {
        let get = |name: &str| {
            let found = headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str())
        };
        sign(get, &KEY.to_owned().into(), Generation::Sha256)
    };
    headers.push(("Signature", signature));
    let named = headers.into_iter();
    named
        .map(|(name, value)| (format!("X-Fresns-{name}"), Json::from(value)))
        .collect()
}

/// The number that the check of a request answers.
#[track_caller]
fn checked(site: &Site, headers: &Map<String, Json>) -> u64 {
    let (status, answer) = site.post("/v1/web/verify/sign", &json!({ "headers": headers }));
    assert_eq!(status, 200, "{answer}");
    answer["code"].as_u64().expect("a number")
}

/// An address where nobody listens: the port was free a moment ago.
fn nobody() -> String {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}/", nobody.local_addr().expect("an address"))
}

#[test]
fn the_application_says_whether_accounts_and_users_are_who_they_say() {
    for site in Site::each(|_| {}) {
        let key = json!({
            "name": "client", "kind": "platform", "appId": "yh1OJ7WL", "secret": secret(KEY), "platformId": 2,
        });
        assert_eq!(site.post("/v1/web/keys", &key).0, 201);
        // What the application answers next.
        let next: Arc<Mutex<(u16, String)>> = Arc::default();
        let of_receiver = Arc::clone(&next);
        let application =
            Receiver::answering(move |_, _| Some(of_receiver.lock().expect("no panic").clone()));
        let says = |status: u16, body: &str| {
            *next.lock().expect("no panic") = (status, body.to_owned());
        };
        site.set("identity_url", &json!(application.url()));

        // Without a secret of the application's nothing is asked of it.
        assert_eq!(checked(&site, &signed("ann", None)), 31503);
        assert_eq!(application.posts().len(), 0);
        let (status, made) = site.post("/v1/web/application/secret", &json!({}));
        assert_eq!(status, 201, "{made}");
        let own = made["secret"].as_str().expect("a secret").to_owned();

        says(200, r#"{"code": 0}"#);
        assert_eq!(checked(&site, &signed("ann", Some("7"))), 0);
        let post = application.posts().pop().expect("a question");
        assert!(post.is_signed_with(&own), "{post:?}");
        assert_eq!(post.kind(), "identity.verify");
        let data = &post.json()["data"];
        assert_eq!(
            (&data["aid"], &data["uid"], &data["platformId"]),
            (&json!("ann"), &json!(7), &json!(2)),
            "{data}"
        );
        assert_eq!(data["aidToken"], "token-of-the-account");
        assert_eq!(data["uidToken"], "token-of-the-user");
        assert_eq!(data.get("signature"), None);

        // What it says of accounts and users is passed on; anything else is that it cannot be asked.
        for code in [31502, 31503, 31504, 31505, 31602, 31603] {
            says(200, &json!({ "code": code }).to_string());
            assert_eq!(checked(&site, &signed("ann", Some("7"))), code);
        }
        for (status, body) in [
            (200, r#"{"code": 1}"#),
            (200, r#"{"code": "0"}"#),
            (200, "[]"),
            (200, "no"),
            (500, r#"{"code": 0}"#),
            (302, r#"{"code": 0}"#),
        ] {
            says(status, body);
            assert_eq!(
                checked(&site, &signed("ann", None)),
                31503,
                "{status} {body}"
            );
        }
        // Nobody needs to be asked about nobody, nor when the signature is wrong.
        let before = application.posts().len();
        let mut wrong = signed("ann", None);
        wrong.insert("X-Fresns-Aid".to_owned(), "bob".into());
        assert_eq!(checked(&site, &wrong), 31302);
        assert_eq!(application.posts().len(), before);
        site.set("identity_url", &json!(nobody()));
        assert_eq!(checked(&site, &signed("ann", None)), 31503);
        // Without an application to ask, what it told counts again.
        site.set("identity_url", &Json::Null);
        assert_eq!(checked(&site, &signed("ann", None)), 31502);
    }
}

#[test]
fn every_number_of_a_command_word_is_met() {
    for site in Site::each(|_| {}) {
        let application = Receiver::answering(|post, _| {
            let word = post.json()["data"]["word"].clone();
            let word = word.as_str().unwrap_or_default().to_owned();
            let reply =
                |code: u32| json!({ "code": code, "message": "m", "data": null }).to_string();
            Some(match word.as_str() {
                "good" => (200, reply(0)),
                "own" => (200, reply(35_201)),
                "teapot" => (418, String::new()),
                "elsewhere" => (302, String::new()),
                "silent" => return None,
                "parameters" => (422, String::new()),
                "bad" => (400, String::new()),
                "forbidden" => (403, String::new()),
                "notNow" => (405, String::new()),
                "noForm" => (200, "42".to_owned()),
                "noNumber" => (
                    200,
                    r#"{"code": -1, "message": "", "data": null}"#.to_owned(),
                ),
                "endless" => (200, format!("\"{}\"", "x".repeat(2 << 20))),
                "broken" => (503, String::new()),
                _ => (404, String::new()),
            })
        });
        site.enable("DemoPlugin");
        let code = |fskey: &str, word: &str| site.word(fskey, word, json!({}))["code"].as_u64();
        assert_eq!(code("DemoPlugin", "good"), Some(21000), "no address is set");
        site.set("command_words_url", &json!(application.url()));
        assert_eq!(code("DemoPlugin", "good"), Some(21011), "no secret yet");
        site.post("/v1/web/application/secret", &json!({}));
        for (word, expected) in [
            ("good", 0),
            ("own", 35_201),
            ("unheardOf", 21002),
            ("teapot", 21003),
            ("elsewhere", 21003),
            ("silent", 21004),
            ("parameters", 21005),
            ("bad", 21005),
            ("forbidden", 21006),
            ("notNow", 21006),
            ("noForm", 21007),
            ("noNumber", 21007),
            ("endless", 21008),
            ("broken", 21009),
            // These are no words, and nobody is asked.
            ("no word", 21005),
            ("1st", 21005),
        ] {
            assert_eq!(code("DemoPlugin", word), Some(expected), "{word}");
        }
        let listed = site.word("DemoPlugin", "good", json!([1]));
        assert_eq!(listed["code"], 21005, "parameters are an object");
        assert_eq!(code("Missing", "good"), Some(21001));
        assert_eq!(code("Fresns", "good"), Some(21002));
        assert_eq!(code("MarketManager", "good"), Some(21002));
        assert_eq!(code("MarketManager", "appDownload"), Some(21005));
        // A market that cannot be asked is a failure of the word.
        let asked = site.word("MarketManager", "appDownload", json!({ "fskey": "Other" }));
        assert_eq!(asked["code"], 21009, "{asked}");
        site.set("command_words_url", &json!(nobody()));
        assert_eq!(code("DemoPlugin", "good"), Some(21004));
        site.server.cli_ok(&["disable", "web:DemoPlugin"]);
        assert_eq!(code("DemoPlugin", "good"), Some(21010));
    }
}

#[test]
fn a_word_that_would_lead_inside_or_to_nothing_that_is_loaded_is_refused() {
    let application = Receiver::start();
    let site = Site::start(|command| {
        command.env("PLUGYARD__WEB__WEBHOOKS__ALLOW_PRIVATE", "false");
    });
    site.enable("DemoPlugin");
    site.post("/v1/web/application/secret", &json!({}));
    site.set("command_words_url", &json!(application.url()));
    let answer = site.word("DemoPlugin", "good", json!({}));
    assert_eq!(answer["code"], 21011, "{answer}");
    assert_eq!(application.posts().len(), 0);

    let site = Site::start(|command| {
        command.arg("--safe-mode");
    });
    site.enable("DemoPlugin");
    site.set("command_words_url", &json!(application.url()));
    let answer = site.word("DemoPlugin", "good", json!({}));
    assert_eq!(answer["code"], 21006, "{answer}");
    assert_eq!(application.posts().len(), 0);
}
