//! What opens the server is shown once and stands nowhere else.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::support::{Server, answer, plugins, plugyard, run};

/// Every file below a directory whose bytes hold `needle`.
fn holding(directory: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let about = path.symlink_metadata().expect("it is there");
        if about.is_dir() {
            holding(&path, needle, found);
        } else if about.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path.display().to_string());
            }
        }
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one course of events, looked through for what it must not leave behind"
)]
#[test]
fn a_token_stands_nowhere_but_in_the_answer_that_showed_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    let mut server = Server::start_in(&home, |command| {
        *command = plugyard(&home);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--auth", "token"])
            .env("PLUGYARD_LOG", "debug,plugyard=trace");
    });
    let log = server.log();
    let owner = log
        .split_whitespace()
        .find(|word| word.starts_with("plugyard_"))
        .expect("the owner's token is shown")
        .to_owned();
    let mut seen = Vec::new();
    let mut tokens = vec![owner.clone()];
    for role in ["viewer", "operator", "owner"] {
        let made = server
            .post("/v1/tokens")
            .bearer_auth(&owner)
            .json(&json!({ "name": format!("for-{role}"), "roles": [role] }));
        let made = answer(made);
        assert_eq!(made.status, 201, "{made:?}");
        let made: Json = serde_json::from_str(&made.body).expect("JSON");
        tokens.push(made["secret"].as_str().expect("a secret").to_owned());
    }
    // The session: things that work, things that are refused, tokens where they do not belong.
    let plugin = plugins::pysam(directory.path()).display().to_string();
    for token in &tokens {
        for words in [
            ["list", "-o", "json"],
            ["token", "list", "--no-progress"],
            ["check", "--no-progress", &plugin],
        ] {
            let ended = run(plugyard(&directory.path().join("elsewhere"))
                .args(["--server", &server.address])
                .args(words)
                .env("PLUGYARD_TOKEN", token));
            seen.push(ended.stdout + &ended.stderr);
        }
        let mut requests = vec![
            server
                .get(&format!("/v1/nothing/{}", "x"))
                .bearer_auth(token),
            server.get("/v1/session").header("authorization", token),
            server
                .get("/v1/session")
                .header("authorization", format!("Basic {token}")),
            server.get("/v1/session").bearer_auth(format!("{token}x")),
            server
                .post("/v1/tokens")
                .bearer_auth(token)
                .json(&json!({ "name": 1 })),
            server
                .post("/v1/installations")
                .bearer_auth(token)
                .json(&json!({ "package": "x" })),
            server.post("/rules").bearer_auth(token).body("{"),
        ];
        for path in [
            "/",
            "/v1/session",
            "/v1/tokens",
            "/v1/audit",
            "/v1/operations",
            "/v1/installations",
            "/v1/plugins",
            "/metrics",
            "/healthz",
            "/readyz",
            "/rules",
            "/streams",
            "/openapi.json",
        ] {
            requests.push(server.get(path).bearer_auth(token));
        }
        for request in requests {
            let answer = answer(request);
            assert!(answer.status < 500, "{answer:?}");
            seen.push(answer.body);
        }
    }
    // A token that was revoked is as secret as before.
    let listed = answer(server.get("/v1/tokens").bearer_auth(&owner));
    let listed: Json = serde_json::from_str(&listed.body).expect("JSON");
    let id = listed["items"]
        .as_array()
        .and_then(|items| items.iter().find(|item| item["name"] == "for-viewer"))
        .and_then(|item| item["id"].as_str())
        .expect("an id");
    let revoked = answer(
        server
            .delete(&format!("/v1/tokens/{id}"))
            .bearer_auth(&owner),
    );
    assert!(revoked.status < 300, "{revoked:?}");
    seen.push(revoked.body);
    let environment = std::fs::read(format!("/proc/{}/environ", server.pid()));
    seen.push(String::from_utf8_lossy(&environment.expect("it runs")).into_owned());

    for while_it_runs in [true, false] {
        if !while_it_runs {
            assert!(server.terminate().success());
        }
        for token in &tokens {
            let mut found = Vec::new();
            // Without what all tokens have in common: a part that identifies is as bad as the whole.
            let secret = &token[token.len() - 24..];
            holding(&home, secret.as_bytes(), &mut found);
            assert_eq!(found, [""; 0], "a token is stored");
        }
    }
    for token in &tokens {
        let secret = &token[token.len() - 24..];
        let shown = server.log().matches(secret).count();
        assert_eq!(shown, usize::from(*token == owner), "a token in the log");
        for text in &seen {
            assert!(!text.contains(secret), "a token in {text}");
        }
    }
}
