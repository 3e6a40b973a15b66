use std::net::TcpListener;
use std::thread;

use serde_json::json;

use super::*;

fn document() -> Value {
    json!({
        "revision": 3,
        "values": {
            "TIMEOUT": 60, "RATIO": 1.5, "ON": false, "ZERO": 0, "CLEARED": null,
            "TEXT": "x", "NUMBER": "30", "WHOLE": 2.0,
        },
        "unreadable": ["SECRET"],
    })
}

/// As the server does: a new file that takes the place of the old one, and a link to the version in force.
fn store(home: &Path, document: &Value) {
    let directory = home.join("plugin-config/app/Demo/0199");
    fs::create_dir_all(&directory).unwrap();
    fs::write(home.join("plugin-config/ready"), "").unwrap();
    let link = directory.with_file_name("current");
    if !link.is_symlink() {
        std::os::unix::fs::symlink("0199", link).unwrap();
    }
    fs::write(directory.join("new"), document.to_string()).unwrap();
    fs::rename(directory.join("new"), directory.join("config.json")).unwrap();
}

#[test]
fn stored_values_win_over_defaults_also_false_and_zero() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), &document());
    let config = PluginConfig::of_plugin(home.path(), "Demo").unwrap();
    let get = |key, default| config.get_config(key, default).unwrap();
    assert_eq!(get("TIMEOUT", json!(30)), 60);
    assert_eq!(get("ON", json!(true)), false);
    assert_eq!(get("ZERO", json!(7)), 0);
    assert_eq!(get("CLEARED", json!(30)), 30);
    assert_eq!(get("NOPE", json!(30)), 30);
    assert!(
        matches!(config.get("SECRET"), Err(ConfigError::Unreadable { key }) if key == "SECRET")
    );
    let shown = format!("{:?}", config.all().unwrap());
    assert!(
        shown.contains("TIMEOUT") && !shown.contains("60"),
        "{shown}"
    );
}

#[test]
fn typed_readers_convert_or_name_the_key() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), &document());
    let config = PluginConfig::of_plugin(home.path(), "Demo").unwrap();
    assert_eq!(config.get_string("TIMEOUT", "").unwrap(), "60");
    assert_eq!(config.get_string("ON", "").unwrap(), "0");
    assert_eq!(config.get_i64("NUMBER", 0).unwrap(), 30);
    assert_eq!(config.get_i64("WHOLE", 0).unwrap(), 2);
    assert_eq!(config.get_i64("CLEARED", 5).unwrap(), 5);
    assert!((config.get_f64("RATIO", 0.0).unwrap() - 1.5).abs() < f64::EPSILON);
    assert!(!config.get_bool("ON", true).unwrap());
    for wrong in [
        config.get_i64("TEXT", 0).map(drop),
        config.get_f64("TEXT", 0.0).map(drop),
        config.get_bool("TEXT", false).map(drop),
    ] {
        assert!(matches!(wrong, Err(ConfigError::Type { key, .. }) if key == "TEXT"));
    }
    assert!(config.get_i64("RATIO", 0).is_err());
}

#[test]
fn a_new_value_is_seen_at_once_and_none_after_an_uninstall() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), &document());
    let config = PluginConfig::of_plugin(home.path(), "Demo").unwrap();
    assert_eq!(config.all().unwrap().revision, 3);
    store(
        home.path(),
        &json!({"revision": 4, "values": {"TIMEOUT": 61}}),
    );
    assert_eq!(config.get_i64("TIMEOUT", 0).unwrap(), 61);
    fs::remove_dir_all(home.path().join("plugin-config/app/Demo/0199")).unwrap();
    assert_eq!(config.get_i64("TIMEOUT", 30).unwrap(), 30);
    assert!(PluginConfig::of_plugin(home.path(), "../x").is_err());
    let bad = home.path().join("bad.json");
    fs::write(&bad, "{bad").unwrap();
    assert!(matches!(
        PluginConfig::from_file(bad).all(),
        Err(ConfigError::Malformed)
    ));
}

#[test]
fn changes_are_told_with_their_keys_in_order() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), &document());
    let config = Arc::new(PluginConfig::of_plugin(home.path(), "Demo").unwrap());
    let (tell, told) = mpsc::channel();
    let watch = config.on_change(move |change| tell.send(change.clone()).unwrap());
    let next = || told.recv_timeout(Duration::from_mins(1)).unwrap();
    let first = next();
    assert_eq!(first.revision, 3);
    assert_eq!(first.keys.len(), 9);
    let mut newer = document();
    newer["revision"] = json!(5);
    newer["values"]["TIMEOUT"] = json!(61);
    newer["values"]["NEW"] = json!(null);
    store(home.path(), &newer);
    let keys = ["NEW", "TIMEOUT"].map(str::to_owned).to_vec();
    assert_eq!(next(), Change { revision: 5, keys });
    // Gone for a moment, as when the server starts again, and back.
    fs::remove_file(home.path().join("plugin-config/app/Demo/0199/config.json")).unwrap();
    assert_eq!(config.all().unwrap().revision, 0);
    newer["revision"] = json!(6);
    newer["unreadable"] = json!([]);
    store(home.path(), &newer);
    let keys = vec!["SECRET".to_owned()];
    assert_eq!(next(), Change { revision: 6, keys });
    drop(watch);
    // The thread lets go of what it has.
    assert_eq!(
        told.recv_timeout(Duration::from_mins(1)),
        Err(RecvTimeoutError::Disconnected)
    );
}

#[test]
fn without_a_server_the_last_values_stay_and_nothing_is_made_up() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), &document());
    let config = PluginConfig::of_plugin(home.path(), "Demo").unwrap();
    assert_eq!(config.get_i64("TIMEOUT", 30).unwrap(), 60);
    fs::remove_dir_all(home.path().join("plugin-config")).unwrap();
    assert_eq!(config.get_i64("TIMEOUT", 30).unwrap(), 60);
    let other = PluginConfig::of_plugin(home.path(), "Demo").unwrap();
    assert!(matches!(
        other.get_i64("TIMEOUT", 30),
        Err(ConfigError::NoServer { .. })
    ));
    // It runs again, and the plugin is gone.
    fs::create_dir(home.path().join("plugin-config")).unwrap();
    fs::write(home.path().join("plugin-config/ready"), "").unwrap();
    assert_eq!(config.get_i64("TIMEOUT", 30).unwrap(), 30);
}

#[test]
fn only_the_version_in_force_counts() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), &document());
    let other = home.path().join("plugin-config/app/Demo/0200");
    fs::create_dir_all(&other).unwrap();
    let newer = json!({"revision": 9, "values": {"TIMEOUT": 99}});
    fs::write(other.join("config.json"), newer.to_string()).unwrap();
    let config = PluginConfig::of_plugin(home.path(), "Demo").unwrap();
    assert_eq!(config.get_i64("TIMEOUT", 0).unwrap(), 60);
    let new = other.with_file_name("new");
    std::os::unix::fs::symlink("0200", &new).unwrap();
    fs::rename(&new, other.with_file_name("current")).unwrap();
    assert_eq!(config.get_i64("TIMEOUT", 0).unwrap(), 99);
}

#[test]
fn a_server_is_asked_with_the_token() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                let mut piece = [0; 1024];
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0, "{request}");
                request += std::str::from_utf8(&piece[..read]).unwrap();
            }
            let right = request.contains("Authorization: Bearer t\r\n");
            let (status, body) = if right {
                ("200 OK", document().to_string())
            } else {
                ("401 Unauthorized", "{}".to_owned())
            };
            write!(stream, "HTTP/1.1 {status}\r\n\r\n{body}").unwrap();
        }
    });
    let config = PluginConfig::from_server(&api, "t");
    assert_eq!(config.get_i64("TIMEOUT", 0).unwrap(), 60);
    // Still fresh: not asked again.
    assert_eq!(config.get_i64("ZERO", 1).unwrap(), 0);
    let other = PluginConfig::from_server(&api, "other").all();
    assert!(matches!(other, Err(ConfigError::Refused { status }) if status.contains("401")));
    server.join().unwrap();
}
