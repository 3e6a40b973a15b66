//! A walk over the whole document of the product: each operation, whatever crate it comes from, refuses
//! the anonymous and those without its right, and answers those who have it.

use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::Value as Json;

use crate::support::{Server, sign_in_needed};

/// Whatever a path's parameters stand for, it is not there.
fn fill(path: &str) -> String {
    let mut filled = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a parameter ends");
        filled.push_str(before);
        filled.push_str(match name {
            "sha256" => "0000000000000000000000000000000000000000000000000000000000000000",
            "plugin" => "portable:nobody",
            "id" | "revision" => "019a0000-0000-7000-8000-000000000000",
            _ => "nobody",
        });
        rest = after;
    }
    filled + rest
}

struct Walker<'a> {
    server: &'a Server,
    http: Client,
}

impl Walker<'_> {
    /// The status alone: some answers never end.
    fn ask(&self, token: Option<&str>, method: &str, path: &str) -> u16 {
        let method: Method = method.to_uppercase().parse().expect("a method");
        let url = format!("{}{}", self.server.address, fill(path));
        let mut request = self.http.request(method, url);
        request = request
            .header("content-type", "application/json")
            .body("{}");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        // An endless answer is dropped with its connection.
        request.send().expect("an answer").status().as_u16()
    }
}

#[test]
fn each_operation_of_the_product_asks_for_its_right_and_answers_who_has_it() {
    let server = Server::start_with(sign_in_needed);
    let roles = ["viewer", "author", "operator", "owner"];
    let people: Vec<(String, Vec<String>)> = roles
        .iter()
        .map(|role| {
            server.cli_ok(&["user", "create", &format!("a-{role}"), "--role", role]);
            let user = format!("a-{role}");
            let words = ["token", "create", "t", "--user", &user, "--role", role];
            let token = server.cli_ok(&words).stdout.trim().to_owned();
            let session = server.get("/v1/session").bearer_auth(&token);
            let session: Json = session.send().unwrap().json().unwrap();
            let rights = session["rights"].as_array().unwrap();
            let rights = rights.iter().map(|it| it.as_str().unwrap().to_owned());
            (token, rights.collect())
        })
        .collect();
    let document: Json = server.get("/openapi.json").send().unwrap().json().unwrap();
    let walker = Walker {
        server: &server,
        http: Client::builder().no_proxy().build().unwrap(),
    };
    let (mut operations, mut allowed, mut plugins_own) = (0, 0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            let right = operation["x-plugyard-right"].as_str().unwrap();
            if right == "public" || path == "/stop" {
                continue;
            }
            operations += 1;
            let anonymous = walker.ask(None, method, path);
            assert_eq!(anonymous, 401, "{what}");
            let mut somebody = right == "plugin.self";
            plugins_own += usize::from(somebody);
            for (token, rights) in &people {
                let status = walker.ask(Some(token), method, path);
                if rights.iter().any(|it| it == right) {
                    somebody = true;
                    allowed += 1;
                    assert!(![401, 403].contains(&status), "{what}: {status}");
                    assert_ne!(status, 500, "{what}");
                } else {
                    assert_eq!(status, 403, "{what}");
                }
            }
            assert!(somebody, "nobody may {what}");
        }
    }
    println!("walked over {operations} operations, {allowed} times with the right");
    assert!(operations > 60 && allowed > operations && plugins_own >= 1);
    // Last, because it is the end.
    assert_eq!(walker.ask(None, "post", "/stop"), 401);
    assert_eq!(walker.ask(Some(&people[0].0), "post", "/stop"), 403);
    assert_eq!(walker.ask(Some(&people[3].0), "post", "/stop"), 200);
}
