//! Rule strings from the shell and over HTTP.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value as Json, json};

use crate::support::{Ended, Server, answer, plugyard, run};

/// What `plugyard validate` answers to lines on standard input.
#[track_caller]
fn validate(words: &[&str], input: &[u8]) -> Ended {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = plugyard(&directory.path().join("home"));
    let mut child = command
        .arg("validate")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(input)
        .expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn lines(text: &str) -> Vec<Json> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("a line is JSON")
}

/// Lines as the recording has them, `passes` and `failed` among them: what is not asked for is no harm.
fn recorded() -> Vec<&'static str> {
    let all = include_str!("../../../../validation/testdata/laravel-validation.jsonl");
    all.lines().step_by(9).collect()
}

#[test]
fn scenario_25_the_command_answers_each_line_as_laravel_did() {
    let recorded = recorded();
    let ended = validate(&[], recorded.join("\n").as_bytes());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let answers = lines(&ended.stdout);
    assert_eq!(answers.len(), recorded.len());
    for (line, told) in recorded.iter().zip(answers) {
        let case: Json = serde_json::from_str(line).unwrap();
        for name in ["passes", "failed", "excluded"] {
            assert_eq!(case.get(name), told.get(name), "{line}");
        }
    }
}

#[test]
fn scenario_25_the_route_answers_as_the_command_does() {
    let server = Server::start();
    let recorded = recorded();
    let cases: Vec<Json> = recorded
        .iter()
        .take(1000)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = answer(server.post("/v1/validate").json(&cases));
    assert_eq!(told.status, 200, "{told:?}");
    let told: Vec<Json> = serde_json::from_str(&told.body).unwrap();
    assert_eq!(told.len(), cases.len());
    for (case, told) in cases.iter().zip(told) {
        for name in ["passes", "failed", "excluded"] {
            assert_eq!(case.get(name), told.get(name), "{case}");
        }
    }
    // One case, and more than are answered.
    let one = answer(
        server
            .post("/v1/validate")
            .json(&json!({ "rules": "integer|max:3", "value": 4 })),
    );
    let one: Json = serde_json::from_str(&one.body).unwrap();
    assert_eq!(one, json!({ "passes": false, "failed": ["Max"] }));
    let many = vec![json!({ "rules": "required" }); 1001];
    let many = answer(server.post("/v1/validate").json(&many));
    let many: Vec<Json> = serde_json::from_str(&many.body).unwrap();
    assert_eq!(many[999]["failed"], json!(["Required"]));
    assert_eq!(many[1000]["error"]["code"], "too_many");
    // What is no case at all.
    for (body, code) in [("\"x\"", "case_invalid"), ("{}", "case_invalid")] {
        let told = answer(
            server
                .post("/v1/validate")
                .header("content-type", "application/json")
                .body(body),
        );
        let told: Json = serde_json::from_str(&told.body).unwrap();
        assert_eq!(told["error"]["code"], code, "{body}");
    }
    let broken = server
        .post("/v1/validate")
        .header("content-type", "application/json")
        .body("{bad");
    assert_eq!(answer(broken).status, 400);
}

#[test]
fn lines_that_are_no_cases_do_not_stop_the_others() {
    let input =
        b"\n{\"rules\":\"required|integer\"}\nnonsense\n{\"rules\":\"requierd\",\"value\":1}\n\
        {\"rules\":\"min\",\"value\":1}\n{\"rules\":\"string\",\"value\":\"\xff\"}\n[]\n\
        {\"rules\":\"regex:/(/\",\"value\":1}\n{\"rules\":\"exclude|integer\",\"value\":\"x\"}";
    let ended = validate(&[], input);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told = lines(&ended.stdout);
    let code = |at: usize| told[at]["error"]["code"].as_str().unwrap_or("none");
    assert_eq!(told[0], json!({ "passes": false, "failed": ["Required"] }));
    assert_eq!(code(1), "json_syntax");
    assert_eq!(code(2), "rule_unknown");
    assert_eq!(told[2]["error"]["params"]["suggestion"], "required");
    assert_eq!(code(3), "rule_param_missing");
    assert_eq!(told[4]["passes"], true);
    assert_eq!(code(5), "case_invalid");
    assert_eq!(code(6), "rule_regex_invalid");
    assert_eq!(told[7]["excluded"], true);
    assert_eq!(told.len(), 8);
}

#[test]
fn rules_are_explained_in_both_languages() {
    let directory = tempfile::tempdir().unwrap();
    let explain = |words: &[&str]| {
        run(plugyard(&directory.path().join("home"))
            .args(["validate", "explain"])
            .args(words))
    };
    let english = explain(&["required|integer|min:3"]);
    assert_eq!(english.code, 0, "{english:?}");
    assert_eq!(english.stdout.lines().count(), 3, "{english:?}");
    assert!(english.stdout.contains('3'), "{english:?}");
    let chinese = explain(&["--lang", "zh-CN", "required|integer|min:3"]);
    assert_eq!(chinese.stdout.lines().count(), 3, "{chinese:?}");
    assert!(chinese.stdout.contains("必填"), "{chinese:?}");
    let wrong = explain(&["requierd|min"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    let shown = wrong.stdout + &wrong.stderr;
    assert!(
        shown.contains("rule_unknown") && shown.contains("required"),
        "{shown}"
    );
    assert!(shown.contains("rule_param_missing"), "{shown}");
}
