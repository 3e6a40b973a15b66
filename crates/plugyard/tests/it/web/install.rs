//! Scenarios 26 to 37: how a plugin comes here.

use std::fs;
use std::thread;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{codes_of, on_each, zip_of};

const MANIFEST: &str = r#"{"fskey": "DemoPlugin", "name": "Demo", "description": "", "author": "me", "version": "1.0.0"}"#;

#[test]
fn web_26_a_zip_of_a_code_host_is_installed_under_its_fskey_and_disabled() {
    on_each(|site| {
        let zip = zip_of(&[
            ("demo-plugin-main/plugin.json", MANIFEST),
            ("demo-plugin-main/resources/assets/css/a.css", "body {}"),
            ("demo-plugin-main/resources/assets/fresns.png", "png"),
            ("demo-plugin-main/resources/assets/page.html", "<script>"),
            ("__MACOSX/._plugin.json", ""),
        ]);
        let (status, package) = site.hand_in(zip, None);
        assert_eq!(status, 201, "{package:#}");
        let body = json!({ "package": package["sha256"] });
        let begun = site.post("/v1/installations", body);
        let operation = begun["operation"].as_str().unwrap().to_owned();
        crate::support::wait_for("the end", || {
            let now = site.get(&format!("/v1/operations/{operation}"));
            (now["state"] != "running").then_some(())
        });
        let row = site.record("DemoPlugin");
        assert_eq!(
            (&row["isEnabled"], &row["state"]),
            (&json!(false), &json!("installed"))
        );
        assert_eq!(site.on_disk("DemoPlugin").as_deref(), Some("1.0.0"));
        assert_eq!(site.status_file(), json!({ "DemoPlugin": false }));
        for path in ["DemoPlugin/css/a.css", "plugins/DemoPlugin/css/a.css"] {
            let answer = site.server.get(&format!("/assets/{path}")).send().unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(answer.headers()["content-type"], "text/css; charset=utf-8");
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
            assert_eq!(answer.text().unwrap(), "body {}");
        }
        let page = site
            .server
            .get("/assets/DemoPlugin/page.html")
            .send()
            .unwrap();
        assert_eq!(page.headers()["content-type"], "application/octet-stream");
        for lost in [
            "/assets/DemoPlugin/../../plugin.json",
            "/assets/DemoPlugin/%2e%2e/%2e%2e/plugin.json",
            "/assets/DemoPlugin/css",
            "/assets/Other/css/a.css",
        ] {
            let answer = site.server.get(lost).send().unwrap();
            assert_eq!(answer.status(), 404, "{lost}");
        }
        site.doctor_finds_nothing();
        let compared = site.get("/v1/web/plugins/DemoPlugin/verify");
        assert_eq!(compared["whole"], true, "{compared:#}");
    });
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("less than 4 GiB")
}

/// A zip whose entry `bomb` holds a gibibyte of zeros, and takes a mebibyte: made of the same compressed block
/// again and again.
fn bomb() -> Vec<u8> {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: u32 = 1 << 10;
    let zeros = vec![0_u8; BLOCK];
    let mut deflate = flate2::Compress::new(flate2::Compression::best(), false);
    let mut block = Vec::with_capacity(BLOCK);
    // Nothing of one block leads back into another.
    let full = flate2::FlushCompress::Full;
    deflate
        .compress_vec(&zeros, &mut block, full)
        .expect("a block");
    let mut packed = block.repeat(BLOCKS as usize);
    packed.extend([3, 0]);
    let mut all = flate2::Crc::new();
    all.update(&zeros);
    for _ in 0..BLOCKS.trailing_zeros() {
        let mut twice = flate2::Crc::new();
        twice.combine(&all);
        twice.combine(&all);
        all = twice;
    }
    let mut manifest = flate2::Crc::new();
    manifest.update(MANIFEST.as_bytes());
    let files: [(&str, u16, u32, &[u8], u32); 2] = [
        (
            "plugin.json",
            0,
            manifest.sum(),
            MANIFEST.as_bytes(),
            small(MANIFEST.len()),
        ),
        ("bomb", 8, all.sum(), &packed, BLOCKS << 20),
    ];
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, method, crc, bytes, size) in files {
        let at = small(zip.len());
        let mut common = Vec::new();
        common.extend(20_u16.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        common.extend(method.to_le_bytes());
        common.extend([0, 0, 0x21, 0]);
        for number in [crc, small(bytes.len()), size] {
            common.extend(number.to_le_bytes());
        }
        common.extend(
            u16::try_from(name.len())
                .expect("a short name")
                .to_le_bytes(),
        );
        common.extend(0_u16.to_le_bytes());
        zip.extend(b"PK\x03\x04");
        zip.extend(&common);
        zip.extend(name.as_bytes());
        zip.extend(bytes);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0_u8; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = small(zip.len());
    zip.extend(&directory);
    zip.extend(b"PK\x05\x06\0\0\0\0\x02\0\x02\0");
    zip.extend(small(directory.len()).to_le_bytes());
    zip.extend(at.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

/// A zip with a plugin and a symbolic link out of it.
fn linked() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("plugin.json", options).expect("an entry");
    std::io::Write::write_all(&mut zip, MANIFEST.as_bytes()).expect("content");
    zip.add_symlink("resources/assets/out", "/etc", options)
        .expect("a link");
    zip.finish().expect("a zip").into_inner()
}

#[test]
fn web_27_a_hostile_zip_leaves_nothing_behind() {
    on_each(|site| {
        let home = site.server.home.clone();
        let plain = |name: &str| zip_of(&[("plugin.json", MANIFEST), (name, "x")]);
        for (what, zip, code) in [
            ("../x", plain("../x"), "E_PACKAGE_UNSAFE"),
            (
                "/etc/plugyard-x",
                plain("/etc/plugyard-x"),
                "E_PACKAGE_UNSAFE",
            ),
            ("C:\\x", plain("C:\\x"), "E_PACKAGE_UNSAFE"),
            ("a\\..\\..\\x", plain("a\\..\\..\\x"), "E_PACKAGE_UNSAFE"),
            ("plugin.JSON", plain("plugin.JSON"), "E_PACKAGE_UNSAFE"),
            ("a link", linked(), "E_PACKAGE_UNSAFE"),
            ("a gibibyte", bomb(), "E_PACKAGE_LIMIT"),
        ] {
            let (status, body) = site.hand_in(zip, None);
            assert_eq!(status, 422, "{what}: {body:#}");
            let codes = codes_of(&body);
            assert!(
                !codes.is_empty() && codes.iter().all(|it| it == code),
                "{what}: {body:#}"
            );
            // Which of all that is unsafe, in people's words.
            let findings = body["findings"].as_array().expect("a list");
            let finding = findings.iter().find(|it| it["code"] == code).expect("it");
            let cause = finding["params"]["cause"].as_str().expect("a cause");
            assert!(cause.starts_with("archive_"), "{finding:#}");
            assert_ne!(finding["message"], cause, "{finding:#}");
        }
        assert!(!site.directory.path().join("x").exists());
        assert!(!home.join("x").exists());
        assert_eq!(site.get("/v1/web/plugins")["items"], json!([]));
        for directory in ["versions", "staging", "plugins", "assets"] {
            let left: Vec<_> = fs::read_dir(home.join(directory))
                .into_iter()
                .flatten()
                .collect();
            assert!(left.is_empty(), "{directory}: {left:?}");
        }
    });
}

/// Bytes that do not pack, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// A package of the manifest and a file.
fn with_file(name: &str, content: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in [("plugin.json", MANIFEST.as_bytes()), (name, content)] {
        zip.start_file(name, options).expect("an entry");
        std::io::Write::write_all(&mut zip, content).expect("content");
    }
    zip.finish().expect("a zip").into_inner()
}

#[test]
fn how_large_packages_may_be_is_for_the_operator_to_say() {
    on_each(|site| {
        let half = [noise(1 << 20), vec![0; 3 << 20]].concat();
        let all = (5 << 20) - MANIFEST.len();
        let cases = [
            ("unpacked", with_file("a", &noise(all)), true),
            ("unpacked", with_file("a", &noise(all + 1)), false),
            (
                "entries",
                zip_of(&[("plugin.json", MANIFEST), ("a", ""), ("b", "")]),
                true,
            ),
            (
                "entries",
                zip_of(&[("plugin.json", MANIFEST), ("a", ""), ("b", ""), ("c", "")]),
                false,
            ),
            ("ratio", with_file("a", &half[..3 << 20]), true),
            ("ratio", with_file("a", &half), false),
            ("depth", with_file("a/b/c", b""), true),
            ("depth", with_file("a/b/c/d", b""), false),
            ("path_length", with_file("a23456789/b", b""), true),
            ("path_length", with_file("a23456789/bc", b""), false),
        ];
        for (what, zip, _) in &cases {
            let (status, body) = site.hand_in(zip.clone(), None);
            assert!([200, 201].contains(&status), "{what}: {body:#}");
        }
        let file = site.server.home.join("plugyard.toml");
        let settings = fs::read_to_string(&file).expect("settings");
        let limits = "[web.package_limits]\nunpacked = \"5MiB\"\nentries = 3\nratio = 3\ndepth = 3\npath_length = 11\n";
        fs::write(&file, settings + limits).expect("settings");
        site.restart(&[]);
        for (what, zip, fits) in &cases {
            let (status, body) = site.hand_in(zip.clone(), None);
            if *fits {
                assert!([200, 201].contains(&status), "{what}: {body:#}");
            } else {
                assert_eq!(status, 422, "{what}: {body:#}");
                assert_eq!(codes_of(&body), ["E_PACKAGE_LIMIT"], "{what}: {body:#}");
            }
        }
    });
}

#[test]
fn two_manifests_and_directories_in_the_wrong_case_are_refused() {
    on_each(|site| {
        let theme = MANIFEST.replace("DemoPlugin", "FancyTheme");
        for files in [
            [("plugin.json", MANIFEST), ("theme.json", theme.as_str())],
            [
                ("a/plugin.json", MANIFEST),
                ("a/theme.json", theme.as_str()),
            ],
            [
                ("a/plugin.json", MANIFEST),
                ("b/plugin.json", theme.as_str()),
            ],
        ] {
            let (status, body) = site.hand_in(zip_of(&files), Some("DemoPlugin"));
            assert_eq!(
                (status, codes_of(&body)),
                (422, vec!["E_PACKAGE_AMBIGUOUS".to_owned()])
            );
        }
        let (status, body) = site.hand_in(zip_of(&[("Plugin.json", MANIFEST)]), Some("DemoPlugin"));
        assert_eq!(
            (status, codes_of(&body)),
            (422, vec!["E_PACKAGE_NO_MANIFEST".to_owned()])
        );
        // A directory that some systems would take for the plugin's own.
        let lower = site.server.home.join("plugins/demoplugin");
        fs::create_dir_all(&lower).expect("a directory");
        fs::write(lower.join("mine"), "kept").expect("a file");
        let (_, package) = site.hand_in(zip_of(&[("plugin.json", MANIFEST)]), None);
        let body = json!({ "package": package["sha256"] });
        assert_eq!(
            site.refused(Method::POST, "/v1/installations", Some(body.clone())),
            ["E_FSKEY_DUPLICATE"]
        );
        assert_eq!(
            fs::read_to_string(lower.join("mine")).expect("a file"),
            "kept"
        );
        fs::remove_dir_all(lower).expect("no directory");
        site.ok(Method::POST, "/v1/installations", Some(body));
    });
}

/// Serves a file over HTTP to as many as ask, until the test ends; gives its address.
fn served(bytes: Vec<u8>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut asked = [0_u8; 4096];
            let _ = std::io::Read::read(&mut stream, &mut asked);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                bytes.len()
            );
            let _ = std::io::Write::write_all(&mut stream, &[head.as_bytes(), &bytes].concat());
        }
    });
    format!("http://{address}/a.zip")
}

#[test]
fn packages_are_fetched_from_named_hosts_only() {
    let body = json!({ "url": served(zip_of(&[("plugin.json", MANIFEST)])) });
    let handed_in = |hosts: &str| {
        let server = crate::support::Server::start_with(|command| {
            command
                .env("PLUGYARD__PACKAGES__ALLOW_PRIVATE_URLS", "true")
                .env("PLUGYARD__WEB__PACKAGE_HOSTS", hosts);
        });
        let answer = server.post("/v1/packages").json(&body).send();
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json::<Json>().expect("JSON"))
    };
    // Off by default, and no host stands for another.
    for hosts in ["[]", "[\"plugins.example.net\"]"] {
        let (status, body) = handed_in(hosts);
        assert_eq!(
            (status, &body["code"]),
            (422, &json!("package_url_refused")),
            "{body:#}"
        );
        let detail = body["detail"].as_str().expect("a text");
        assert!(detail.contains("web.package_hosts"), "{detail}");
    }
    let (status, body) = handed_in("[\"plugins.example.net\", \"127.0.0.1\"]");
    assert_eq!(
        (status, &body["key"]),
        (201, &json!("DemoPlugin")),
        "{body:#}"
    );
}

#[test]
fn web_28_web_30_web_31_a_manifest_is_judged_whole_before_anything_happens() {
    on_each(|site| {
        let judged = |text: &str| {
            let (status, body) = site.hand_in(zip_of(&[("plugin.json", text)]), None);
            assert_eq!(status, 422, "{text}: {body:#}");
            (codes_of(&body), body)
        };
        site.install(&site.package("Standing", "1.0.0", &[]));
        let evil = MANIFEST.replace("DemoPlugin", "../../public");
        assert_eq!(judged(&evil).0, ["E_FSKEY_FORMAT"]);
        assert_eq!(site.on_disk("Standing").as_deref(), Some("1.0.0"));
        let lacking = r#"{"fskey": "demo", "name": "Demo", "description": ""}"#;
        let (mut codes, body) = judged(lacking);
        codes.sort();
        assert_eq!(
            codes,
            ["E_FIELD_REQUIRED", "E_FIELD_REQUIRED", "E_FSKEY_FORMAT"]
        );
        let text = body.to_string();
        assert!(
            text.contains("version") && text.contains("author"),
            "{text}"
        );
        let (codes, body) = judged("{\n  // no\n  \"fskey\": \"DemoPlugin\"\n}");
        assert_eq!(codes, ["E_MANIFEST_SYNTAX"]);
        assert_eq!(body["findings"][0]["line"], 2);
        let twice = MANIFEST.replace("\"author\"", "\"name\": \"x\", \"author\"");
        assert_eq!(judged(&twice).0, ["E_MANIFEST_DUPLICATE_KEY"]);
        let marked = format!("\u{feff}{MANIFEST}");
        let (status, body) = site.hand_in(zip_of(&[("plugin.json", &marked)]), None);
        assert_eq!(status, 201, "{body:#}");
    });
}

#[test]
fn web_29_a_package_of_another_plugin_is_refused() {
    on_each(|site| {
        site.install(&site.package("S3Storage", "1.0.0", &[]));
        let other = MANIFEST
            .replace("DemoPlugin", "S3Storage")
            .replace("1.0.0", "2.0.0");
        let (status, body) = site.hand_in(zip_of(&[("plugin.json", &other)]), Some("SmtpEmail"));
        assert_eq!(status, 422, "{body:#}");
        assert_eq!(codes_of(&body), ["E_FSKEY_MISMATCH"]);
        assert_eq!(site.record("S3Storage")["version"], "1.0.0");
        assert_eq!(site.on_disk("S3Storage").as_deref(), Some("1.0.0"));
    });
}

#[test]
fn web_32_a_failing_migration_leaves_all_as_before() {
    on_each(|site| {
        let fails = [("database/migrations/2_fails.php", "")];
        let ended = site.server.cli(&[
            "install",
            &site
                .package("DemoPlugin", "1.0.0", &fails)
                .display()
                .to_string(),
        ]);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("2_fails.php"), "{ended:?}");
        site.refused(
            Method::GET,
            "/v1/web/plugins/DemoPlugin?include=deleted",
            None,
        );
        assert_eq!(site.on_disk("DemoPlugin"), None);
        assert!(!site.server.home.join("assets/DemoPlugin").exists());
        let works = [("database/migrations/1_works.php", "")];
        site.install(&site.package("DemoPlugin", "1.0.0", &works));
        assert_eq!(site.table("DemoPlugin").unwrap(), ["1_works.php"]);
        let before = site.record("DemoPlugin");
        let fails = [("database/migrations/1_works.php", ""), fails[0]];
        let ended = site.upgrade("DemoPlugin", &site.package("DemoPlugin", "1.1.0", &fails));
        assert_ne!(ended.code, 0, "{ended:?}");
        assert!(ended.stdout.contains("2_fails.php") || ended.stderr.contains("2_fails.php"));
        assert_eq!(site.on_disk("DemoPlugin").as_deref(), Some("1.0.0"));
        assert_eq!(site.table("DemoPlugin").unwrap(), ["1_works.php"]);
        let after = site.record("DemoPlugin");
        for key in ["id", "version", "isEnabled", "updatedAt"] {
            assert_eq!(after[key], before[key], "{key}");
        }
        assert_eq!(after["failedVersion"], "1.1.0");
        assert!(after["lastError"].as_str().unwrap().contains("2_fails.php"));
        site.doctor_finds_nothing();
    });
}

#[test]
fn a_failing_dependency_hook_fails_the_change_and_runs_only_when_something_is_required() {
    on_each(|site| {
        site.install(&site.package(
            "PlainPlugin",
            "1.0.0",
            &[("composer.json", r#"{"require": {}}"#)],
        ));
        assert!(
            !site.hooks().iter().any(|it| it.starts_with("dependencies")),
            "{:?}",
            site.hooks()
        );
        let requires = r#"{"require": {"a/b": "^1.0"}}"#;
        site.install(&site.package("DemoPlugin", "1.0.0", &[("composer.json", requires)]));
        assert!(
            site.hooks()
                .contains(&"dependencies DemoPlugin 1.0.0".to_owned())
        );
        let more = [("composer.json", requires), ("app/unresolvable", "")];
        let ended = site.upgrade("DemoPlugin", &site.package("DemoPlugin", "1.1.0", &more));
        assert_ne!(ended.code, 0);
        assert_eq!(site.record("DemoPlugin")["version"], "1.0.0");
        assert_eq!(site.on_disk("DemoPlugin").as_deref(), Some("1.0.0"));
        // And again with the files that are back.
        assert_eq!(
            site.hooks().last().unwrap(),
            "dependencies DemoPlugin 1.0.0"
        );
    });
}

#[test]
fn web_33_one_change_of_a_plugin_at_a_time_and_others_beside_it() {
    on_each(|site| {
        let slow = [("database/migrations/1.php", "")];
        for fskey in ["DemoPlugin", "OtherPlugin"] {
            site.package(fskey, "1.0.0", &slow);
        }
        let site = &*site;
        let install = |name: &str| {
            let package = site.directory.path().join("packages").join(name);
            site.server
                .cli(&["install", &package.display().to_string()])
        };
        let ends = thread::scope(|scope| {
            let jobs: Vec<_> = ["DemoPlugin-1.0.0", "DemoPlugin-1.0.0", "OtherPlugin-1.0.0"]
                .into_iter()
                .map(|name| scope.spawn(move || install(name)))
                .collect();
            jobs.into_iter()
                .map(|job| job.join().unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(ends[2].code, 0, "{:?}", ends[2]);
        let (won, lost): (Vec<_>, Vec<_>) = ends[..2].iter().partition(|it| it.code == 0);
        assert_eq!((won.len(), lost.len()), (1, 1), "{ends:?}");
        // Busy, or there already when the other one was faster.
        assert_eq!(lost[0].code, 5, "{lost:?}");
        site.doctor_finds_nothing();
    });
}

#[test]
fn web_36_an_older_package_is_refused_unless_it_is_wanted() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.10.0", &[]));
        let older = site.package("DemoPlugin", "1.9.0", &[]);
        let ended = site.upgrade("DemoPlugin", &older);
        assert_eq!(ended.code, 5, "{ended:?}");
        assert!(ended.stderr.contains("1.10.0"), "{ended:?}");
        assert_eq!(site.record("DemoPlugin")["version"], "1.10.0");
        let path = older.display().to_string();
        site.server
            .cli_ok(&["upgrade", "web:DemoPlugin", &path, "--force"]);
        assert_eq!(site.record("DemoPlugin")["version"], "1.9.0");
        site.doctor_finds_nothing();
    });
}

#[test]
fn web_37_a_theme_is_always_enabled_and_never_activated() {
    on_each(|site| {
        let directory = site.directory.path().join("theme");
        fs::create_dir_all(directory.join("assets")).unwrap();
        fs::write(directory.join("assets/fresns.png"), "png").unwrap();
        let manifest = json!({
            "fskey": "BlueTheme", "name": "Blue", "description": "", "author": "me", "version": "1.0.0",
            "functions": true,
            "functionKeys": [{ "itemKey": "blue_title", "itemType": "string", "itemTag": "themes" }],
        });
        fs::write(directory.join("theme.json"), manifest.to_string()).unwrap();
        site.install(&directory);
        let row = site.record("BlueTheme");
        assert_eq!((&row["type"], &row["isEnabled"]), (&json!(4), &json!(true)));
        assert_eq!(row["settingsPath"], "BlueTheme");
        assert!(
            site.server
                .home
                .join("themes/BlueTheme/theme.json")
                .is_file()
        );
        assert!(
            site.server
                .home
                .join("assets/BlueTheme/fresns.png")
                .is_file()
        );
        for verb in ["activate", "deactivate"] {
            let path = format!("/v1/web/plugins/BlueTheme/{verb}");
            assert_eq!(
                site.refused(Method::POST, &path, None),
                ["E_THEME_NOT_ACTIVATABLE"]
            );
        }
        // An engine's slots: setting one leaves the other alone.
        let engine = json!({
            "fskey": "SiteEngine", "type": 3, "name": "x", "description": "", "version": "1.0.0", "author": "x",
        });
        site.post("/v1/web/plugins", engine);
        let settings = "/v1/web/settings";
        let set = |body| site.call(Method::PATCH, settings, Some(body));
        let (_, body) = set(json!({ "SiteEngine_Desktop": "NoTheme" }));
        assert_eq!(codes_of(&body), ["E_THEME_NOT_FOUND"]);
        assert_eq!(
            set(json!({ "SiteEngine_Desktop": "BlueTheme", "blue_title": "Hi" })).0,
            200
        );
        assert_eq!(
            site.get(settings)["settings"].get("SiteEngine_Mobile"),
            None
        );
        let path = "/v1/web/plugins/BlueTheme";
        assert_eq!(site.refused(Method::DELETE, path, None), ["E_THEME_IN_USE"]);
        site.ok(
            Method::DELETE,
            &format!("{path}?force=true&cleardata=yes"),
            None,
        );
        let now = site.get(settings);
        assert_eq!(now["settings"]["SiteEngine_Desktop"], "");
        assert_eq!(now["settings"].get("blue_title"), None);
        assert!(!site.server.home.join("themes/BlueTheme").exists());
        site.doctor_finds_nothing();
    });
}

#[test]
fn what_is_deployed_on_its_own_has_a_record_and_no_files() {
    on_each(|site| {
        let manifest = json!({
            "fskey": "ShopApp", "type": 5, "name": "Shop", "description": "", "author": "me",
            "version": "1.0.0", "accessPath": "/shop",
        });
        site.install(&site.package_of("shop", &manifest, &[]));
        let row = site.record("ShopApp");
        assert_eq!(
            (&row["isStandalone"], &row["isEnabled"]),
            (&json!(true), &json!(true))
        );
        assert!(!site.server.home.join("plugins/ShopApp").exists());
        assert_eq!(site.status_file(), json!({}));
        let path = "/v1/web/plugins/ShopApp";
        let codes = site.refused(Method::POST, &format!("{path}/activate"), None);
        assert_eq!(codes, ["E_STANDALONE_NOT_ACTIVATABLE"]);
        let off = site.ok(Method::PATCH, path, Some(json!({ "isEnabled": false })));
        assert_eq!(off["isEnabled"], false);
        site.doctor_finds_nothing();
    });
}
