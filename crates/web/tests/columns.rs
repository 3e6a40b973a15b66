//! What a record takes, by the numbers of the acceptance scenarios.

use plugyard_model::{Code, Severity, codes};
use plugyard_web::columns::{self, PATH_MAX, PATH_MAX_LIMIT, PluginType};

#[test]
fn web_03_an_fskey_is_pascal_case_and_not_reserved() {
    let long = format!("A{}", "a".repeat(64));
    for bad in ["", "demo", "Demo-Plugin", "../Evil", "Démo", "1Demo", &long] {
        assert_eq!(
            columns::fskey(bad).unwrap_err().code,
            codes::E_FSKEY_FORMAT,
            "{bad}"
        );
    }
    for reserved in ["Text", "Fresns", "MarketManager", "Con", "Com1", "LPT9"] {
        assert_eq!(
            columns::fskey(reserved).unwrap_err().code,
            codes::E_FSKEY_RESERVED,
            "{reserved}"
        );
    }
    for good in ["S3Storage", "Com0", "Console", &long[..64]] {
        assert_eq!(columns::fskey(good), Ok(()), "{good}");
    }
    let suggestion = |text: &str| {
        columns::fskey(text)
            .unwrap_err()
            .params
            .get("suggestion")
            .cloned()
    };
    assert_eq!(suggestion("demo-plugin").as_deref(), Some("DemoPlugin"));
    assert_eq!(suggestion("../Evil"), None);
}

#[test]
fn web_04_a_type_is_one_of_five() {
    for number in [0, 6, -1, i64::MAX] {
        assert_eq!(
            columns::plugin_type(number, None).unwrap_err().code,
            codes::E_TYPE_RANGE
        );
    }
    for number in 1..=5 {
        assert_eq!(columns::plugin_type(number, None).unwrap().0 as i64, number);
    }
}

#[test]
fn web_05_a_standalone_app_is_standalone_and_a_theme_is_not() {
    assert_eq!(
        columns::plugin_type(5, None),
        Ok((PluginType::Standalone, true))
    );
    let code = |number, standalone| {
        columns::plugin_type(number, Some(standalone))
            .unwrap_err()
            .code
    };
    assert_eq!(code(5, false), codes::E_TYPE_STANDALONE_MISMATCH);
    assert_eq!(code(4, true), codes::E_TYPE_STANDALONE_MISMATCH);
    assert_eq!(
        columns::plugin_type(1, Some(true)),
        Ok((PluginType::Extension, true))
    );
}

#[test]
fn web_06_a_version_is_semantic_and_short() {
    for bad in ["", "1.0", "v1.0.0", "01.0.0", "1.0.0-01"] {
        assert_eq!(
            columns::version(bad).unwrap_err().code,
            codes::E_VERSION_FORMAT,
            "{bad}"
        );
    }
    assert_eq!(
        columns::version("1.0.0-alpha.beta1").unwrap_err().code,
        codes::E_VERSION_LENGTH
    );
    for good in [
        "1.0.0",
        "10.20.30-rc.123",
        "100.200.300-rc.1",
        "1.0.0-beta.10+b1",
        "1.0.0-alpha.beta",
    ] {
        assert!(columns::version(good).is_ok(), "{good}");
    }
}

#[test]
fn web_07_scenes_are_kept_once_in_order_and_in_todays_spelling() {
    let (stored, warnings) = columns::scene(["apiKey", "register", "apiKey"]).unwrap();
    assert_eq!(
        (stored, warnings.len()),
        (vec!["apiKey".to_owned(), "register".to_owned()], 0)
    );
    let (stored, warnings) =
        columns::scene(["futureThing", "appNotification", "walletRecharge"]).unwrap();
    assert_eq!(stored, ["futureThing", "appNotifications", "recharge"]);
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        (warnings[0].code, warnings[0].severity),
        (codes::W_SCENE_UNKNOWN, Severity::Warning)
    );
    for bad in ["", "Editor", "a b", "é"] {
        assert_eq!(
            columns::scene([bad]).unwrap_err().code,
            codes::E_SCENE_FORMAT,
            "{bad}"
        );
    }
    let many: Vec<String> = (0..65).map(|n| format!("s{n}")).collect();
    assert_eq!(
        columns::scene(many.iter().map(String::as_str))
            .unwrap_err()
            .code,
        codes::E_SCENE_FORMAT
    );
}

#[test]
fn web_08_a_host_is_an_origin_without_a_slash_at_its_end() {
    let rows: &[(&str, Code)] = &[
        ("https://a.example/", codes::E_HOST_TRAILING_SLASH),
        ("https://a.example//", codes::E_HOST_TRAILING_SLASH),
        ("ftp://a.example", codes::E_HOST_SCHEME),
        ("a.example", codes::E_HOST_SCHEME),
        ("//a.example", codes::E_HOST_SCHEME),
        ("HTTPS://a.example", codes::E_HOST_SCHEME),
        ("https://u:p@a.example", codes::E_HOST_FORMAT),
        ("https://a.example?x", codes::E_HOST_FORMAT),
        ("https://a.example#x", codes::E_HOST_FORMAT),
        ("https://{parameter}.example", codes::E_HOST_FORMAT),
        ("https://:80", codes::E_HOST_FORMAT),
        ("https://a.example:0", codes::E_HOST_FORMAT),
        ("https://a.example:65536", codes::E_HOST_FORMAT),
        ("https://a.example:", codes::E_HOST_FORMAT),
        ("https://a example", codes::E_HOST_FORMAT),
        ("https://[::1", codes::E_HOST_FORMAT),
        ("https://[::1]x", codes::E_HOST_FORMAT),
    ];
    for &(host, code) in rows {
        assert_eq!(columns::plugin_host(host).unwrap_err().code, code, "{host}");
    }
    for good in [
        "https://a.example",
        "http://a.example:8443/shop",
        "https://[::1]:80",
        "https://例子.example",
    ] {
        assert_eq!(columns::plugin_host(good), Ok(Some(good.to_owned())));
    }
    assert_eq!(columns::plugin_host(""), Ok(None));
    assert_eq!(
        columns::system_url("https://a.example//"),
        Ok(Some("https://a.example".to_owned()))
    );
}

#[test]
fn web_09_the_length_of_a_path_has_a_limit_that_can_be_raised() {
    let path = |length: usize| format!("/{}", "路".repeat(length - 1));
    assert_eq!(
        columns::path(&path(128), PATH_MAX),
        (Some(path(128)), vec![])
    );
    let (stored, issues) = columns::path(&path(129), PATH_MAX);
    assert_eq!(
        (stored, issues[0].code),
        (None, codes::E_ACCESS_PATH_LENGTH)
    );
    assert_eq!(issues[0].params["actual"], "129");
    assert_eq!(columns::path(&path(255), PATH_MAX_LIMIT).0, Some(path(255)));
}

#[test]
fn web_13_hosts_and_paths_that_are_refused_on_write() {
    let rows: &[(&str, Code)] = &[
        ("https://evil.example/x", codes::E_PATH_ABSOLUTE),
        ("javascript:alert(1)", codes::E_PATH_ABSOLUTE),
        ("/a/../../admin", codes::E_PATH_DOTS),
        ("./a", codes::E_PATH_DOTS),
        ("/a b", codes::E_PATH_CHARS),
        ("/a\\b", codes::E_PATH_CHARS),
        ("/a\nb", codes::E_PATH_CHARS),
        ("/{}", codes::E_PATH_BRACES),
        ("/{a", codes::E_PATH_BRACES),
        ("/a}", codes::E_PATH_BRACES),
        ("/{a{b}}", codes::E_PATH_BRACES),
    ];
    for &(path, code) in rows {
        let (stored, issues) = columns::path(path, PATH_MAX);
        assert_eq!((stored, issues[0].code), (None, code), "{path}");
    }
    for good in [
        "mall",
        "//mall",
        "/go?to=https://x.example/a",
        "/m?x=../y",
        "/p?u={uid}&p={parameter}",
    ] {
        assert_eq!(
            columns::path(good, PATH_MAX),
            (Some(good.to_owned()), vec![]),
            "{good}"
        );
    }
    let (stored, issues) = columns::path("/p?l={langtag}", PATH_MAX);
    assert_eq!(stored.as_deref(), Some("/p?l={langtag}"));
    assert_eq!(issues[0].code, codes::W_PATH_VARIABLE_UNKNOWN);
    assert_eq!(issues[0].params["suggestion"], "{langTag}");
}
