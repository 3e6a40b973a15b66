//! Events as webhooks: signed, in order, refused or retried, and never lost.

pub(crate) mod receiver;
pub(crate) mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};

use crate::support::postgres::Postgres;
use crate::support::{Server, wait_for};
use receiver::Receiver;
use site::Site;

/// Registers a webhook for all events; gives its secret.
#[track_caller]
fn register(site: &Site, name: &str, url: &str, more: &[&str]) -> String {
    let mut words = vec!["webhook", "add", name, url];
    words.extend(more);
    site.server.cli_ok(&words).stdout.trim().to_owned()
}

/// The deliveries in a state, the latest first.
#[track_caller]
fn deliveries(site: &Site, state: &str) -> Vec<Json> {
    let words = ["webhook", "deliveries", "--state", state, "-o", "json"];
    let body: Json = serde_json::from_str(&site.server.cli_ok(&words).stdout).expect("JSON");
    body["items"].as_array().expect("a list").clone()
}

#[test]
fn events_arrive_signed_and_in_order_for_each_plugin() {
    for site in Site::each(|_| {}) {
        let receiver = Receiver::start();
        let secret = register(&site, "all", &receiver.url(), &[]);
        site.enable("DemoPlugin");
        site.server.cli_ok(&["disable", "web:DemoPlugin"]);
        site.server
            .cli_ok(&["uninstall", "web:DemoPlugin", "--yes"]);
        let last = |it: &receiver::Post| it.kind() == "plugin:uninstalled";
        receiver.wait(1, last);
        let posts = receiver.posts();
        let kinds: Vec<String> = posts.iter().map(receiver::Post::kind).collect();
        let expected = [
            "plugin:installing",
            "plugin:installed",
            "plugin:activating",
            "plugin:activated",
            "plugin:deactivating",
            "plugin:deactivated",
            "plugin:uninstalling",
            "plugin:uninstalled",
        ];
        assert_eq!(kinds, expected, "{}", site.database());
        for post in &posts {
            assert!(post.is_signed_with(&secret), "{post:?}");
            assert!(post.header("webhook-id").starts_with("msg_"), "{post:?}");
            assert_eq!(post.json()["data"]["fskey"], "DemoPlugin");
        }
        let mut ids: Vec<&str> = posts.iter().map(|it| it.header("webhook-id")).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), posts.len(), "each has an id of its own");
    }
}

#[test]
fn an_endpoint_gets_the_events_it_asked_for_and_no_others() {
    let site = Site::start(|_| {});
    let receiver = Receiver::start();
    let more = ["--event", "plugin:activated", "--event", "theme:*"];
    register(&site, "some", &receiver.url(), &more);
    site.enable("DemoPlugin");
    receiver.wait(1, |it| it.kind() == "plugin:activated");
    assert_eq!(receiver.posts().len(), 1, "{:?}", receiver.posts());
    let wrong = site.server.cli(&[
        "webhook",
        "add",
        "x",
        "http://127.0.0.1:1",
        "--event",
        "plugin:instaled",
    ]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("plugin:instaled"), "{wrong:?}");
}

#[test]
fn a_veto_by_status_or_by_body_ends_the_change_and_says_why() {
    for site in Site::each(|_| {}) {
        let receiver = Receiver::answering(|post, _| {
            Some(match post.kind().as_str() {
                "plugin:activating" => (409, json!({ "message": "not before Monday" }).to_string()),
                "plugin:uninstalling" => (200, json!({ "veto": "others need it" }).to_string()),
                _ => (200, json!({ "veto": false }).to_string()),
            })
        });
        register(&site, "guard", &receiver.url(), &[]);
        site.install("DemoPlugin");
        let refused = site.server.cli(&["enable", "web:DemoPlugin"]);
        assert_ne!(refused.code, 0, "{refused:?}");
        assert!(refused.stderr.contains("not before Monday"), "{refused:?}");
        assert!(refused.stderr.contains("guard"), "{refused:?}");
        let (_, row) = site.get("/v1/web/plugins/DemoPlugin");
        assert_eq!(row["isEnabled"], false, "{row}");
        let refused = site.server.cli(&["uninstall", "web:DemoPlugin", "--yes"]);
        assert_ne!(refused.code, 0, "{refused:?}");
        assert!(refused.stderr.contains("others need it"), "{refused:?}");
        let (status, row) = site.get("/v1/web/plugins/DemoPlugin");
        assert_eq!((status, &row["deletedAt"]), (200, &Json::Null), "{row}");
        let vetoed = deliveries(&site, "vetoed");
        assert_eq!(vetoed.len(), 2, "{vetoed:?}");
        assert_eq!(vetoed[1]["error"], "not before Monday");
        let kinds: Vec<String> = receiver.posts().iter().map(receiver::Post::kind).collect();
        assert!(!kinds.contains(&"plugin:activated".to_owned()), "{kinds:?}");
    }
}

#[test]
fn an_endpoint_that_cannot_be_reached_refuses_only_where_it_is_told_to() {
    let site = Site::start(|command| {
        command.env("PLUGYARD__WEB__WEBHOOKS__DEADLINE", "1s");
    });
    // Nobody listens there: the port was free a moment ago.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", nobody.local_addr().expect("an address"));
    drop(nobody);
    let before = [
        "--event",
        "plugin:installing",
        "--event",
        "plugin:activating",
    ];
    register(&site, "away", &url, &before);
    site.install("DemoPlugin");
    assert_eq!(deliveries(&site, "unreachable").len(), 1);
    site.server
        .cli_ok(&["webhook", "set", "away", "--on-unreachable", "veto"]);
    let refused = site.server.cli(&["enable", "web:DemoPlugin"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("away"), "{refused:?}");
    site.server.cli_ok(&["webhook", "set", "away", "--disable"]);
    site.server.cli_ok(&["enable", "web:DemoPlugin"]);
}

#[test]
fn what_is_never_taken_becomes_a_dead_letter_and_is_delivered_on_demand() {
    for site in Site::each(|command| {
        command.env("PLUGYARD__WEB__WEBHOOKS__MAX_ATTEMPTS", "3");
    }) {
        let works = Arc::new(AtomicBool::new(false));
        let of_receiver = Arc::clone(&works);
        let receiver = Receiver::answering(move |post, _| {
            let refuse = post.kind() == "plugin:installed" && !of_receiver.load(Ordering::Relaxed);
            Some((if refuse { 500 } else { 200 }, String::new()))
        });
        let secret = register(
            &site,
            "flaky",
            &receiver.url(),
            &["--event", "plugin:installed", "--event", "plugin:activated"],
        );
        site.enable("DemoPlugin");
        // The one behind it waits until the first is given up, and comes then.
        let activated = |it: &receiver::Post| it.kind() == "plugin:activated";
        receiver.wait(1, activated);
        let posts = receiver.posts();
        assert_eq!(posts.len(), 4, "{posts:?}");
        let ids: Vec<&str> = posts[..3]
            .iter()
            .map(|it| it.header("webhook-id"))
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let dead = wait_for("a dead letter", || {
            Some(deliveries(&site, "dead")).filter(|dead| !dead.is_empty())
        });
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert_eq!(
            (&dead[0]["attempts"], &dead[0]["status"]),
            (&json!(3), &json!(500))
        );
        works.store(true, Ordering::Relaxed);
        let id = dead[0]["id"].as_str().expect("an id");
        site.server.cli_ok(&["webhook", "retry", id]);
        let again = receiver.wait_for(5);
        assert_eq!(again[4].kind(), "plugin:installed");
        assert_eq!(again[4].header("webhook-id"), ids[0]);
        assert!(again[4].is_signed_with(&secret));
        wait_for("its end", || {
            deliveries(&site, "dead").is_empty().then_some(())
        });
        let refused = wait_for("an end", || {
            let refused = site.server.cli(&["webhook", "retry", id]);
            refused.stderr.contains("delivered").then_some(refused)
        });
        assert_eq!(refused.code, 5, "{refused:?}");
    }
}

#[test]
fn an_endpoint_that_is_gone_is_disabled_and_what_waits_comes_when_it_is_back() {
    for site in Site::each(|_| {}) {
        let gone = Arc::new(AtomicBool::new(true));
        let of_receiver = Arc::clone(&gone);
        let receiver = Receiver::answering(move |_, _| {
            let gone = of_receiver.load(Ordering::Relaxed);
            Some((if gone { 410 } else { 204 }, String::new()))
        });
        register(
            &site,
            "gone",
            &receiver.url(),
            &["--event", "plugin:installed", "--event", "plugin:activated"],
        );
        let shown = || site.get("/v1/webhooks/gone").1;
        assert_eq!(shown()["enabled"], true, "{}", shown());
        site.install("DemoPlugin");
        wait_for("its end", || (shown()["enabled"] == false).then_some(()));
        // What happens while it is disabled is never told, and nobody is asked again.
        site.server.cli_ok(&["enable", "web:DemoPlugin"]);
        assert_eq!(receiver.posts().len(), 1, "{:?}", receiver.posts());
        assert_eq!(deliveries(&site, "dead").len(), 0);
        gone.store(false, Ordering::Relaxed);
        site.server.cli_ok(&["webhook", "set", "gone", "--enable"]);
        let posts = receiver.wait_for(2);
        assert_eq!(posts[1].kind(), "plugin:installed");
        assert_eq!(posts[1].header("webhook-id"), posts[0].header("webhook-id"));
        wait_for("the delivery", || {
            (deliveries(&site, "delivered").len() == 1).then_some(())
        });
        assert_eq!(receiver.posts().len(), 2);
    }
}

#[test]
fn a_server_killed_during_a_delivery_delivers_it_again_and_what_follows() {
    killed_during_a_delivery(None);
    if let Some(postgres) = Postgres::new("webhook_kill") {
        killed_during_a_delivery(Some(&postgres));
    }
}

fn killed_during_a_delivery(postgres: Option<&Postgres>) {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().join("home");
    let prepare = |command: &mut std::process::Command| {
        if let Some(postgres) = postgres {
            command.env("PLUGYARD__DATABASE__URL", postgres.url());
        }
        command
            .env("PLUGYARD__WEB__OBSERVATION", "0ms")
            .env("PLUGYARD__WEB__WEBHOOKS__ALLOW_PRIVATE", "true")
            .env("PLUGYARD__WEB__WEBHOOKS__FIRST_WAIT", "50ms");
    };
    let release = Arc::new(AtomicBool::new(false));
    let of_receiver = Arc::clone(&release);
    let receiver = Receiver::answering(move |_, _| {
        // Holds the first answer back until the server is dead.
        while !of_receiver.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Some((204, String::new()))
    });
    let mut server = Server::start_in(&home, prepare);
    let more = ["--event", "plugin:installed", "--event", "plugin:activated"];
    let mut words = vec!["webhook", "add", "all"];
    let url = receiver.url();
    words.push(&url);
    words.extend(more);
    server.cli_ok(&words);
    let package = directory.path().join("package");
    site::package(&package, "DemoPlugin", "1.0.0");
    server.cli_ok(&["install", &package.display().to_string()]);
    let first = receiver.wait_for(1).remove(0);
    server.cli_ok(&["enable", "web:DemoPlugin"]);
    server.kill();
    release.store(true, Ordering::Relaxed);
    drop(server);
    let server = Server::start_in(&home, prepare);
    let posts = receiver.wait_for(3);
    assert_eq!(posts[1].header("webhook-id"), first.header("webhook-id"));
    assert_eq!(posts[1].kind(), "plugin:installed");
    assert_eq!(posts[2].kind(), "plugin:activated");
    drop(server);
}

#[test]
fn addresses_inside_the_network_are_refused_unless_they_are_allowed() {
    let receiver = Receiver::start();
    let site = Site::start(|command| {
        command.env("PLUGYARD__WEB__WEBHOOKS__ALLOW_PRIVATE", "false");
    });
    register(&site, "inside", &receiver.url(), &[]);
    let tested = site.server.cli(&["webhook", "test", "inside"]);
    assert_eq!(tested.code, 1, "{tested:?}");
    assert!(tested.stdout.contains("network"), "{tested:?}");
    site.install("DemoPlugin");
    assert_eq!(receiver.posts().len(), 0, "{:?}", receiver.posts());
}

#[test]
fn a_webhook_lives_from_add_to_remove_and_shows_its_secret_once() {
    let site = Site::start(|_| {});
    let receiver = Receiver::start();
    let secret = register(&site, "first", &receiver.url(), &[]);
    assert!(secret.starts_with("whsec_"), "{secret}");
    let again = site
        .server
        .cli(&["webhook", "add", "first", &receiver.url()]);
    assert_eq!(again.code, 5, "{again:?}");
    let tested = site.server.cli_ok(&["webhook", "test", "first"]);
    assert!(
        tested.stdout.starts_with("first: delivered in "),
        "{tested:?}"
    );
    let post = receiver.wait_for(1).remove(0);
    assert_eq!(post.kind(), "webhook.test");
    assert!(post.is_signed_with(&secret));
    let listed = site
        .server
        .cli_ok(&["webhook", "list", "-o", "json"])
        .stdout;
    assert!(
        listed.contains("first") && !listed.contains(&secret),
        "{listed}"
    );
    let (_, shown) = site.get("/v1/webhooks/first");
    assert!(!shown.to_string().contains(&secret), "{shown}");
    assert_eq!(site.server.cli(&["webhook", "remove", "first"]).code, 2);
    site.server.cli_ok(&["webhook", "remove", "first", "--yes"]);
    assert_eq!(site.server.cli(&["webhook", "test", "first"]).code, 3);
    // Neither in the database nor in the log.
    crate::support::leaks::secret(secret.strip_prefix("whsec_").expect("a secret"));
}
