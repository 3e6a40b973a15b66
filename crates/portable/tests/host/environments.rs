//! Python environments made from `requirements.txt`, by the real pip.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use plugyard_platform::kind::{Action, Version};
use plugyard_portable::Span;
use plugyard_portable::testing::script_dir;
use plugyard_symbol::Value;
use serde_json::json;

use crate::calls::{bind, text};
use crate::support::{Failed, Rig, python};

/// A plugin whose function says what a package of its environment says.
const SCRIPT: &str = r#"
import os, sys
import greeting
from ekuiper import Function, PluginConfig, plugin

class F(Function):
    def validate(self, args):
        return ""
    def exec(self, args, ctx):
        return [greeting.word(), sys.prefix, os.environ["VIRTUAL_ENV"]]
    def is_aggregate(self):
        return False

plugin.start(PluginConfig("NAME", {}, {}, {"NAME_f": F}))
"#;

/// A wheel with one module, written here: what is in it decides its digest.
fn wheel(directory: &Path, version: &str, word: &str) -> PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    let path = directory.join(format!("greeting-{version}-py3-none-any.whl"));
    let info = format!("greeting-{version}.dist-info");
    let files = [
        (
            "greeting.py".to_owned(),
            format!("def word():\n    return {word:?}\n"),
        ),
        (
            format!("{info}/METADATA"),
            format!("Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n"),
        ),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                .to_owned(),
        ),
    ];
    let mut record = String::new();
    for (name, _) in &files {
        record.push_str(name);
        record.push_str(",,\n");
    }
    record.push_str(&info);
    record.push_str("/RECORD,,\n");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in files.iter().chain([&(format!("{info}/RECORD"), record)]) {
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    path
}

fn package(rig: &Rig, name: &str, requirements: &str, wheels: impl Fn(&Path)) -> Version {
    rig.package(|at| {
        script_dir(at, name, &SCRIPT.replace("NAME", name))?;
        std::fs::write(at.join("requirements.txt"), requirements)?;
        wheels(&at.join("wheels"));
        Ok(())
    })
}

async fn said(rig: &Rig, name: &str) -> Vec<String> {
    let answer = bind(rig, &format!("{name}_f"))
        .call(&[Value::from("x")])
        .await;
    serde_json::from_str(&text(answer.unwrap())).unwrap()
}

fn environments(rig: &Rig) -> usize {
    let made = std::fs::read_dir(rig.home.cache().join("python"));
    made.map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .count()
    })
}

fn failed(outcome: Result<(), Failed>) -> Failed {
    outcome.expect_err("it cannot be made")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_made_of_the_packages_own_wheels_and_shared() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let bundled = |at: &Path| drop(wheel(at, "1.0", "hello"));
    let one = package(&rig, "one", "greeting==1.0\n", bundled);
    rig.install(&one).await.unwrap();
    let [word, prefix, active] = said(&rig, "one").await.try_into().unwrap();
    assert_eq!((word.as_str(), &prefix), ("hello", &active));
    assert!(Path::new(&prefix).starts_with(rig.home.cache()), "{prefix}");
    assert_eq!(environments(&rig), 1);

    // The same again is the same environment, also for another plugin.
    let two = package(&rig, "two", "greeting==1.0\n", bundled);
    rig.install(&two).await.unwrap();
    assert_eq!(said(&rig, "two").await[1], prefix);
    // Other wheels are another one, beside the first.
    let next = package(&rig, "one", "greeting==2.0\n", |at| {
        drop(wheel(at, "2.0", "good day"));
    });
    rig.upgrade(&next).await.unwrap();
    assert_eq!(said(&rig, "one").await[0], "good day");
    assert_eq!(said(&rig, "two").await[0], "hello");
    assert_eq!(environments(&rig), 2);

    // A cache may be emptied: a restart makes again what is missing.
    rig.change(Action::Disable, "one", None).await.unwrap();
    let made = said(&rig, "two").await[1].clone();
    for entry in std::fs::read_dir(rig.home.cache().join("python"))
        .unwrap()
        .flatten()
    {
        if entry.path().is_dir() && entry.path() != Path::new(&made) {
            std::fs::remove_file(entry.path().with_extension("built")).unwrap();
        }
    }
    assert!(!rig.kind.is_whole(&rig.installation("one").unwrap()).await);
    rig.change(Action::Enable, "one", None).await.unwrap();
    assert_eq!(said(&rig, "one").await[0], "good day");
    assert!(rig.kind.is_whole(&rig.installation("one").unwrap()).await);

    rig.change(Action::Uninstall, "one", None).await.unwrap();
    assert_eq!(environments(&rig), 1, "the other plugin's stays");
    rig.change(Action::Uninstall, "two", None).await.unwrap();
    assert_eq!(environments(&rig), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_installed_is_named_and_leaves_nothing() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let version = package(&rig, "lost", "greeting==9.9\n", |at| {
        drop(wheel(at, "1.0", "hello"));
    });
    let error = failed(rig.install(&version).await).error;
    assert_eq!(error.code.as_str(), "portable_environment_failed");
    let first = error.text.lines().next().unwrap();
    assert!(
        first.contains("No matching distribution found for greeting==9.9"),
        "{first}"
    );
    assert_eq!(environments(&rig), 0);
    let name = "portable:lost".parse().unwrap();
    assert!(!rig.home.versions(&name).exists());

    let version = package(&rig, "lost", "greeting ==== 1\n", |at| {
        drop(wheel(at, "1.0", "hello"));
    });
    let error = failed(rig.install(&version).await).error;
    assert!(error.text.contains("nvalid requirement"), "{}", error.text);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_never_answers_is_waited_for_within_the_limit() {
    let Some(python) = python() else { return };
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let rig = Rig::with(&python, |settings| settings.install_timeout = Span::secs(8));
    let mut version = package(&rig, "slow", "greeting==1.0\n", |_| {});
    version.options = json!({"env": {
        "PIP_INDEX_URL": format!("http://{address}/simple"),
        "PIP_FIND_LINKS": "",
        "PIP_TRUSTED_HOST": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
    }});
    let error = failed(rig.install(&version).await).error;
    assert!(error.text.contains("not done within 8 s"), "{}", error.text);
    assert_eq!(environments(&rig), 0);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_package_comes_from_the_index() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let script = SCRIPT.replace(
        "import greeting",
        "import six as greeting; greeting.word = lambda: greeting.__name__",
    );
    let version = rig.package(|at| {
        script_dir(at, "net", &script.replace("NAME", "net"))?;
        std::fs::write(at.join("requirements.txt"), "six==1.16.0\n")
    });
    match rig.install(&version).await {
        Ok(()) => {
            let [word, prefix, _] = said(&rig, "net").await.try_into().unwrap();
            assert_eq!(word, "six");
            assert!(Path::new(&prefix).starts_with(rig.home.cache()), "{prefix}");
        }
        Err(failed) => {
            assert_eq!(failed.error.code.as_str(), "portable_environment_failed");
            println!("skipped: no index can be reached");
        }
    }
    rig.end().await;
}
