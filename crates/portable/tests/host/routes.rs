//! The routes over a whole platform.

use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use plugyard_archive::{Policy, pack_to_file};
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_platform::{Home, Platform, Settings};
use plugyard_store::{Database, DatabaseUrl};
use serde_json::json;
use tower::ServiceExt as _;

use plugyard_portable::testing::{MISSING_MODULE, mirror, pysam_dir, script_dir};
use plugyard_portable::{PortableHost, PortableSettings, Span, rights};

use crate::support::python;

struct App {
    directory: tempfile::TempDir,
    platform: Platform,
    router: axum::Router,
    role: Role,
}

impl App {
    async fn new() -> Self {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let home = Home::new(directory.path().join("home"));
        std::fs::create_dir(home.root()).unwrap();
        let database = Database::open(&DatabaseUrl::sqlite(home.database()))
            .await
            .unwrap();
        database
            .migrate(plugyard_platform::migrations())
            .await
            .unwrap();
        let settings = PortableSettings {
            python_bin: std::env::var("PLUGYARD_TEST_PYTHON").ok(),
            init_timeout: Span::secs(20),
            ..PortableSettings::default()
        };
        let host = PortableHost::new(settings, home.clone());
        let platform = Platform::open(Settings::new(home, database), vec![host.kind()])
            .await
            .unwrap();
        host.begin(&platform).await.unwrap();
        platform.recover().await.unwrap();
        let (router, document) = host.routes(platform.clone()).split_for_parts();
        // Each operation has its right.
        let operations: usize = document
            .paths
            .paths
            .values()
            .map(|it| {
                [&it.get, &it.post, &it.put, &it.delete]
                    .iter()
                    .filter(|it| it.is_some())
                    .count()
            })
            .sum();
        assert_eq!(operations, rights().len());
        Self {
            directory,
            platform,
            router,
            role: Role::Owner,
        }
    }

    async fn ask(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, String) {
        self.ask_with(Request::builder().method(method).uri(path), body)
            .await
    }

    async fn ask_with(
        &self,
        request: axum::http::request::Builder,
        body: impl Into<Body>,
    ) -> (u16, String) {
        let who = Principal {
            name: "tester".into(),
            roles: vec![self.role],
        };
        let request = request.extension(who).body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// A zip of what `fill` makes; its `file://` address.
    fn zip(&self, name: &str, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> String {
        let source = self.directory.path().join(format!("{name}-source"));
        std::fs::create_dir_all(&source).unwrap();
        fill(&source).unwrap();
        let target = self.directory.path().join(format!("{name}.zip"));
        pack_to_file(source, &target, &Policy::default()).unwrap();
        format!("file://{}", target.display())
    }

    async fn post(&self, name: &str, file: &str) -> (u16, String) {
        let body = json!({"name": name, "file": file}).to_string();
        self.ask("POST", "/plugins/portables", body).await
    }
}

fn bad(message: &str) -> (u16, String) {
    (
        400,
        format!("{}\n", json!({"error": 1001, "message": message})),
    )
}

const CREATE: &str = "portable plugin create command error";

#[tokio::test(flavor = "multi_thread")]
async fn fact_07_a_name_is_needed() {
    let app = App::new().await;
    assert_eq!(
        app.post("", "").await,
        bad(&format!("{CREATE}: invalid name : should not be empty"))
    );
    let (status, text) = app.post("a b", "http://host/x.zip").await;
    assert_eq!(status, 400);
    assert!(
        text.contains("contains invalid characters"),
        "HOST-2: {text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_08_an_address_must_end_with_zip() {
    let app = App::new().await;
    assert_eq!(
        app.post("mirror", "http://host/x").await,
        bad(&format!("{CREATE}: invalid uri http://host/x"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_09_a_zip_without_a_manifest_is_refused() {
    let app = App::new().await;
    let empty = app.zip("empty", |at| std::fs::write(at.join("mirror.exe"), "x"));
    assert_eq!(
        app.post("mirror", &empty).await,
        bad(&format!(
            "{CREATE}: fail to install plugin: missing or invalid json file mirror.json, found 1 files in total"
        ))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_11_a_missing_executable_is_named() {
    let app = App::new().await;
    let lacking = app.zip("lacking", |at| {
        let manifest = json!({"language": "go", "executable": "mirror.exe", "sources": ["random"]});
        std::fs::write(at.join("mirror.json"), manifest.to_string())
    });
    assert_eq!(
        app.post("mirror", &lacking).await,
        bad(&format!(
            "{CREATE}: fail to install plugin: missing mirror.exe"
        ))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_13_deleting_an_unknown_plugin_is_an_error() {
    let app = App::new().await;
    assert_eq!(
        app.ask("DELETE", "/plugins/portables/mirror", "").await,
        bad("delete portable plugin mirror error: portable plugin mirror is not found")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_15_whatever_goes_wrong_nothing_is_left() {
    let app = App::new().await;
    let (status, text) = app.post("mirror", "file:///no/such/file.zip").await;
    assert_eq!(status, 400);
    let expected = format!("{CREATE}: fail to download file file:///no/such/file.zip: ");
    assert!(text.contains(&expected), "{text}");
    let (_, text) = app.post("mirror", "http://127.0.0.1:9/mirror.zip").await;
    assert!(
        text.contains(&format!(
            "{CREATE}: fail to download file http://127.0.0.1:9/"
        )),
        "{text}"
    );
    let broken = app.directory.path().join("broken.zip");
    std::fs::write(&broken, "no zip at all").unwrap();
    let unreadable = app.zip("unreadable", |at| {
        std::fs::write(at.join("mirror.json"), "{")
    });
    for file in [format!("file://{}", broken.display()), unreadable] {
        let (status, text) = app.post("mirror", &file).await;
        assert_eq!(status, 400);
        assert!(
            text.contains(&format!("{CREATE}: fail to install plugin: ")),
            "{text}"
        );
    }
    let home = app.platform.home();
    assert!(!home.plugins().join("portable/mirror").exists());
    assert_eq!(std::fs::read_dir(home.staging()).unwrap().count(), 0);
    assert_eq!(
        app.ask("GET", "/plugins/portables", "").await,
        (200, "[]".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_18_what_is_not_there_is_said_in_ekuipers_words() {
    let app = App::new().await;
    assert_eq!(
        app.ask("GET", "/plugins/portables", "").await,
        (200, "[]".into())
    );
    let not_found = |message: &str| {
        (
            404,
            format!("{{\"error\":1002,\"message\":\"{message}\"}}\n"),
        )
    };
    assert_eq!(
        app.ask("GET", "/plugins/portables/mirror", "").await,
        not_found("describe portable plugin mirror error: not found")
    );
    assert_eq!(
        app.ask("GET", "/plugins/portables/mirror/status", "").await,
        not_found("portable plugin mirror not found: not found")
    );
    assert_eq!(
        app.ask("GET", "/plugins/udfs/echo", "").await,
        not_found("describe udf echo error: not found")
    );
    let (status, text) = app.ask("POST", "/plugins/portables", "{").await;
    assert_eq!(status, 400);
    assert!(
        text.contains("Invalid body: Error decoding the portable plugin json: "),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_12_a_program_that_is_not_executable_is_refused_and_leaves_nothing() {
    let app = App::new().await;
    let zip = app.zip("mirror", |at| {
        let manifest = json!({"language": "go", "executable": "mirror", "sources": ["random"],
            "functions": ["echo"]});
        std::fs::write(at.join("mirror.json"), manifest.to_string())?;
        std::fs::write(at.join("mirror"), "\x7fELF")?;
        std::fs::create_dir(at.join("sources"))?;
        std::fs::write(at.join("sources/random.yaml"), "default:\n")?;
        std::fs::create_dir(at.join("functions"))?;
        std::fs::write(at.join("functions/echo.json"), "{}")
    });
    let path = app.platform.home().plugins().join("portable/mirror/mirror");
    let path = path.display();
    assert_eq!(
        app.post("mirror", &zip).await,
        bad(&format!(
            "portable plugin create command error: fail to install plugin: plugin executable {path} stops with error fork/exec {path}: permission denied"
        ))
    );
    assert_eq!(app.ask("GET", "/plugins/portables", "").await.1, "[]");
    assert_eq!(app.ask("GET", "/plugins/udfs", "").await.1, "[]");
    let home = app.platform.home();
    assert!(!home.plugins().join("portable/mirror").exists());
    assert!(!home.data().join("sources/random.yaml").exists());
    assert!(!home.data().join("functions/echo.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_14_a_plugin_is_installed_once_listed_updated_and_deleted() {
    if python().is_none() {
        return;
    }
    let app = App::new().await;
    let zip = app.zip("pysam", pysam_dir);
    assert_eq!(
        app.post("pysam", &zip).await,
        (201, "portable plugin pysam is created".into())
    );
    let executable = app
        .platform
        .home()
        .plugins()
        .join("portable/pysam/pysam.py");
    let object = format!(
        r#"{{"name":"pysam","version":"v1.0.0","language":"python","executable":"{}","sources":["pyjson"],"sinks":["print"],"functions":["revert"]}}"#,
        executable.display()
    );
    assert!(executable.is_file());
    assert_eq!(
        app.ask("GET", "/plugins/portables", "").await,
        (200, format!("[{object}]"))
    );
    assert_eq!(
        app.ask("GET", "/plugins/portables/pysam", "").await,
        (200, object)
    );
    assert_eq!(
        app.post("pysam", &zip).await,
        bad("portable plugin create command error: invalid name pysam: duplicate")
    );
    let (status, text) = app.ask("GET", "/plugins/portables/pysam/status", "").await;
    assert_eq!(status, 200);
    assert!(
        text.starts_with(r#"{"refCount":{},"status":"running","errMsg":"","pid":"#),
        "{text}"
    );
    assert_eq!(
        app.ask("GET", "/plugins/udfs", "").await.1,
        r#"["revert"]"#,
        "HOST-37"
    );
    assert_eq!(
        app.ask("GET", "/plugins/udfs/revert", "").await.1,
        r#"{"name":"revert","plugin":"pysam"}"#
    );

    let body = json!({"name": "pysam", "file": zip}).to_string();
    assert_eq!(
        app.ask("PUT", "/plugins/portables/pysam", body).await,
        (200, "portable plugin pysam is updated".into())
    );
    let broken = app.zip("broken", |at| script_dir(at, "pysam", MISSING_MODULE));
    let body = json!({"name": "pysam", "file": broken}).to_string();
    let (status, text) = app.ask("PUT", "/plugins/portables/pysam", body).await;
    assert_eq!(status, 400);
    assert!(text.contains("portable plugin update command error: fail to install plugin: "));
    assert!(
        text.contains("No module named 'no_such_module_anywhere'"),
        "{text}"
    );
    let (_, text) = app.ask("GET", "/plugins/portables/pysam/status", "").await;
    assert!(
        text.starts_with(r#"{"refCount":{},"status":"running","errMsg":"""#),
        "{text}"
    );

    assert_eq!(
        app.ask("DELETE", "/plugins/portables/pysam", "").await,
        (200, "portable plugin pysam is deleted".into())
    );
    assert_eq!(app.ask("GET", "/plugins/portables", "").await.1, "[]");
    assert_eq!(
        app.ask("GET", "/plugins/portables/pysam/status", "")
            .await
            .0,
        200
    );
    app.platform.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_34_a_package_may_come_with_the_request_itself() {
    if python().is_none() {
        return;
    }
    let app = App::new().await;
    let zip = app.zip("pysam", pysam_dir);
    let bytes = std::fs::read(zip.strip_prefix("file://").unwrap()).unwrap();
    let mut body =
        b"--b\r\nContent-Disposition: form-data; name=\"uploadFile\"; filename=\"x.zip\"\r\n\r\n"
            .to_vec();
    body.extend(bytes);
    body.extend(
        b"\r\n--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\npysam\r\n--b--\r\n",
    );
    let request = Request::post("/plugins/portables")
        .header("content-type", "multipart/form-data; boundary=b");
    assert_eq!(
        app.ask_with(request, body).await,
        (201, "portable plugin pysam is created".into())
    );
    app.platform.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_43_uploads_stay_in_their_directory_and_can_be_installed_by_whoever_may_install() {
    let mut app = App::new().await;
    let upload = |name: &str| json!({"name": name, "content": "x"}).to_string();
    for name in ["../x", "a/../../../x", "/etc/x", "", "a/./b/.."] {
        let (status, _) = app.ask("POST", "/config/uploads", upload(name)).await;
        assert_eq!(status, 400, "{name}");
    }
    assert_eq!(
        app.ask("GET", "/config/uploads", "").await,
        (200, "[]".into())
    );
    let uploads = app.platform.home().uploads();
    let path = uploads.join("a/b/c/file.txt");
    assert_eq!(
        app.ask("POST", "/config/uploads", upload("a/b/c/file.txt"))
            .await,
        (201, path.display().to_string())
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "x");
    assert_eq!(
        app.ask("GET", "/config/uploads", "").await.1,
        json!([path.display().to_string()]).to_string()
    );

    // An author may install what was uploaded, but not read the server's disk.
    app.role = Role::Author;
    let outside = app.zip("outside", |at| std::fs::write(at.join("x"), "x"));
    let (status, text) = app.post("mirror", &outside).await;
    assert_eq!(status, 400);
    assert!(
        text.contains("file access denied: path must be under "),
        "{text}"
    );
    let inside = uploads.join("mirror.zip");
    std::fs::copy(outside.strip_prefix("file://").unwrap(), &inside).unwrap();
    let (_, text) = app
        .post("mirror", &format!("file://{}", inside.display()))
        .await;
    assert!(
        text.contains("missing or invalid json file mirror.json"),
        "{text}"
    );
    let sneaky = format!("file://{}/../../outside.zip", uploads.display());
    assert!(
        app.post("mirror", &sneaky)
            .await
            .1
            .contains("file access denied")
    );

    assert_eq!(
        app.ask("DELETE", "/config/uploads/mirror.zip", "").await,
        (200, "ok".into())
    );
    assert_eq!(
        app.ask("DELETE", "/config/uploads/mirror.zip", "").await.0,
        400
    );
    assert!(!inside.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn host_36_each_function_is_listed_once_with_its_metadata() {
    let app = App::new().await;
    let program = crate::hostile::program();
    let zip = app.zip("mirror", |at| {
        mirror::directory(at, "mirror", &program)?;
        std::fs::create_dir(at.join("functions"))?;
        let about = r#"{"about":{"trial":false},"name":"echo","functions":[{"name":"echo"}]}"#;
        std::fs::write(at.join("functions/echo.json"), about)
    });
    assert_eq!(app.post("mirror", &zip).await.0, 201);
    // The file can be seen in two places.
    let home = app.platform.home();
    assert!(home.etc().join("functions/echo.json").exists());
    assert!(home.data().join("functions/echo.json").exists());
    assert_eq!(
        app.ask("GET", "/metadata/functions", "").await,
        (
            200,
            r#"[{"about":{"trial":false},"name":"echo","functions":[{"name":"echo"}]}]"#.into()
        )
    );
    assert_eq!(
        app.ask("GET", "/plugins/udfs", "").await.1,
        r#"["echo","obey"]"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_symbols_say_about_themselves_is_told_in_ekuipers_form() {
    let app = App::new().await;
    let program = crate::hostile::program();
    let text = json!({"en_US": "a", "zh_CN": "b"});
    let about =
        json!({"trial": false, "author": {"name": "n"}, "helpUrl": text, "description": text});
    let property =
        json!({"name": "interval", "default": 5, "type": "int", "hint": text, "label": text});
    let zip = app.zip("mirror", |at| {
        mirror::directory(at, "mirror", &program)?;
        let source = json!({"about": about, "libs": [], "properties": {"default": [property]}});
        std::fs::write(at.join("sources/random.json"), source.to_string())?;
        std::fs::write(
            at.join("sources/random.yaml"),
            "default:\n  interval: 5\n  password: p\nFast:\n  interval: 1\n",
        )?;
        std::fs::create_dir(at.join("sinks"))?;
        let sink = json!({"about": about, "libs": [], "properties": [property]});
        std::fs::write(at.join("sinks/file_sink.json"), sink.to_string())
    });
    assert_eq!(
        app.ask("GET", "/metadata/sources", "").await,
        (200, "[]".into())
    );
    assert_eq!(app.post("mirror", &zip).await.0, 201);
    let told = json!({"en": "a", "zh": "b"});
    let about = json!({"trial": false, "installed": true, "author": {"name": "n"}, "helpUrl": told, "description": told});
    let property = json!({
        "exist": true, "name": "interval", "default": 5, "type": "int", "control": "", "connection_related": false,
        "optional": false, "values": null, "hint": told, "label": told,
    });
    let get = async |path: &str| -> serde_json::Value {
        let (status, body) = app.ask("GET", path, "").await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    for (path, expected) in [
        (
            "/metadata/sources",
            json!([{"name": "random", "about": about, "type": "portable"}]),
        ),
        ("/metadata/sources?kind=lookup", json!([])),
        (
            "/metadata/sinks",
            json!([{"name": "file_sink", "about": about, "type": "portable"}]),
        ),
        (
            "/metadata/sources/random",
            json!({"about": about, "libs": [], "properties": {"default": [property]}, "type": "portable"}),
        ),
        (
            "/metadata/sinks/file_sink",
            json!({"about": about, "libs": [], "properties": [property], "type": "portable"}),
        ),
        (
            "/metadata/sources/yaml/random",
            json!({"default": {"interval": 5, "password": "******"}, "Fast": {"interval": 1}}),
        ),
    ] {
        assert_eq!(get(path).await, expected, "{path}");
    }
    for (path, key) in [
        ("/metadata/sources/nosuch", "nosuch"),
        ("/metadata/sinks/yaml/nosuch", "sinks.nosuch"),
    ] {
        let expected =
            format!("{{\"error\":5000,\"message\":\"This plugin was not found:{key}\"}}\n");
        assert_eq!(app.ask("GET", path, "").await, (400, expected));
    }
    assert_eq!(
        app.ask("GET", "/metadata/operators", "").await,
        (200, "[]".into())
    );
    assert_eq!(
        app.ask("POST", "/metadata/sources/connection/random", "")
            .await,
        bad("source random doesn't support ping connection")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_from_an_address() {
    let mut app = App::new().await;
    let outside = app.directory.path().join("outside.txt");
    std::fs::write(&outside, "text").unwrap();
    let upload = |file: &str| json!({"name": "a/b.txt", "file": file}).to_string();
    let local = upload(&format!("file://{}", outside.display()));
    let path = app.platform.home().uploads().join("a/b.txt");
    assert_eq!(
        app.ask("POST", "/config/uploads", local.clone()).await,
        (201, path.display().to_string())
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    // This machine's own network is nobody's business, and neither is its disk.
    let (status, told) = app
        .ask("POST", "/config/uploads", upload("http://127.0.0.1:1/x"))
        .await;
    assert!(
        status == 400 && told.contains(": ip 127.0.0.1 is in internal network\""),
        "{told}"
    );
    app.role = Role::Operator;
    let (status, told) = app.ask("POST", "/config/uploads", local).await;
    assert!(
        status == 400 && told.contains("file access denied"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_keeps_what_was_set_for_the_plugin() {
    let app = App::new().await;
    let program = crate::hostile::program();
    let zip = app.zip("mirror", |at| mirror::directory(at, "mirror", &program));
    assert_eq!(app.post("mirror", &zip).await.0, 201);
    let view = app.platform.installation("portable:mirror").await.unwrap();
    let digest = view.current.unwrap().digest;
    let file = app.directory.path().join("mirror.zip");
    let taken = plugyard_platform::TakeIn {
        options: json!({"limits": {"memory": "64MiB"}}),
        ..plugyard_platform::TakeIn::default()
    };
    let source = plugyard_platform::Source::Path(file);
    let taken = app.platform.take_in(source, taken).await.unwrap();
    assert_eq!(taken.digest, digest);
    let who = Principal {
        name: "tester".into(),
        roles: vec![Role::Owner],
    };
    let begun = app
        .platform
        .upgrade(&who, &view.plugin, taken.version.id)
        .await;
    let outcome = app.platform.wait(begun.unwrap()).await.unwrap();
    outcome.into_result().unwrap();
    let body = json!({"name": "mirror", "file": zip}).to_string();
    assert_eq!(
        app.ask("PUT", "/plugins/portables/mirror", body).await.0,
        200
    );
    let view = app.platform.installation("portable:mirror").await.unwrap();
    assert_eq!(
        view.current.unwrap().options,
        json!({"limits": {"memory": "64MiB"}})
    );
}
