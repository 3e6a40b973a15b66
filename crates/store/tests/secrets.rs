//! Secrets come back to who may have them, and stand nowhere in clear, on both databases.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugyard_model::{InstallationId, Problem, codes};
use plugyard_store::Database;
use plugyard_store::secrets::{self, KeySource, MAX_SECRET, SecretError, SecretText, Secrets};
use plugyard_store::testing::{TestDatabase, databases, sqlite};
use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use uuid::Uuid;

const HUSH: &str = "correct-horse-battery-staple";

struct Bench {
    test: TestDatabase,
    home: TempDir,
}

impl Bench {
    async fn new(test: TestDatabase) -> Self {
        test.database
            .migrate(plugyard_store::migrations())
            .await
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        Self { test, home }
    }

    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for test in databases().await {
            all.push(Self::new(test).await);
        }
        all
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("keys/master.key")
    }

    fn db(&self) -> &Database {
        &self.test.database
    }

    async fn open(&self) -> Result<Secrets, SecretError> {
        self.open_from(KeySource::File(self.file())).await
    }

    async fn open_from(&self, from: KeySource) -> Result<Secrets, SecretError> {
        Secrets::open(self.db().clone(), from).await
    }

    async fn put(&self, secrets: &Secrets, owner: InstallationId, name: &str, text: &str) {
        let transaction = self.db().begin().await.unwrap();
        secrets
            .put(&transaction, owner, name, &SecretText::new(text))
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }

    async fn get(&self, secrets: &Secrets, owner: InstallationId, name: &str) -> Option<String> {
        let found = secrets.get(self.db().conn(), owner, name).await.unwrap();
        found.map(|text| text.expose().to_owned())
    }

    async fn run(&self, statement: &str) {
        let done = self.db().conn().execute_unprepared(statement).await;
        assert!(done.unwrap().rows_affected() > 0, "{statement}");
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn write_key(&self, text: &str) {
        write_private(&self.file(), text);
    }
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn owner() -> InstallationId {
    InstallationId(Uuid::new_v4())
}

/// A key that some other file was made with.
async fn other_key() -> String {
    let other = Bench::new(sqlite().await).await;
    other.open().await.unwrap();
    other.key()
}

#[tokio::test]
async fn secrets_come_back_by_owner_and_name_until_they_are_removed() {
    for bench in Bench::all().await {
        let (one, two) = (owner(), owner());
        let secrets = bench.open().await.unwrap();
        assert_eq!(bench.get(&secrets, one, "token").await, None);
        bench.put(&secrets, one, "token", "old").await;
        bench.put(&secrets, one, "token", HUSH).await;
        bench.put(&secrets, one, "数据/password", "密码").await;
        bench.put(&secrets, two, "token", "").await;

        // Also for the next process.
        let secrets = bench.open().await.unwrap();
        assert_eq!(bench.get(&secrets, one, "token").await.unwrap(), HUSH);
        assert_eq!(
            bench.get(&secrets, one, "数据/password").await.unwrap(),
            "密码"
        );
        assert_eq!(bench.get(&secrets, two, "token").await.unwrap(), "");
        let conn = bench.db().conn();
        assert_eq!(
            secrets.names(conn, one).await.unwrap(),
            ["token", "数据/password"]
        );

        assert!(secrets.delete(conn, one, "token").await.unwrap());
        assert!(!secrets.delete(conn, one, "token").await.unwrap());
        assert_eq!(secrets.names(conn, one).await.unwrap(), ["数据/password"]);
        secrets::forget(conn, one).await.unwrap();
        secrets::forget(conn, one).await.unwrap();
        assert_eq!(bench.get(&secrets, one, "数据/password").await, None);
        assert_eq!(
            bench.get(&secrets, two, "token").await.unwrap(),
            "",
            "{}",
            bench.test.sort
        );
    }
}

#[tokio::test]
async fn a_secret_that_was_not_committed_is_not_there() {
    for bench in Bench::all().await {
        let (secrets, owner) = (bench.open().await.unwrap(), owner());
        let transaction = bench.db().begin().await.unwrap();
        let text = SecretText::new(HUSH);
        secrets
            .put(&transaction, owner, "token", &text)
            .await
            .unwrap();
        let inside = secrets.get(&*transaction, owner, "token").await.unwrap();
        assert_eq!(inside.unwrap().expose(), HUSH);
        drop(transaction);
        assert_eq!(bench.get(&secrets, owner, "token").await, None);
        bench.put(&secrets, owner, "token", "new").await;
        assert_eq!(bench.get(&secrets, owner, "token").await.unwrap(), "new");
    }
}

#[tokio::test]
async fn one_owner_gets_one_key_however_many_ask_at_once() {
    for bench in Bench::all().await {
        let (secrets, owner) = (bench.open().await.unwrap(), owner());
        let writers = (0..12).map(|number| {
            let (secrets, database) = (secrets.clone(), bench.db().clone());
            tokio::spawn(async move {
                let transaction = database.begin().await.unwrap();
                let (name, text) = (format!("n{number}"), SecretText::new(number.to_string()));
                secrets
                    .put(&transaction, owner, &name, &text)
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        for number in 0..12 {
            let found = bench.get(&secrets, owner, &format!("n{number}")).await;
            assert_eq!(found, Some(number.to_string()), "{}", bench.test.sort);
        }
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let bench = Bench::new(sqlite().await).await;
    let secrets = bench.open().await.unwrap();
    let transaction = bench.db().begin().await.unwrap();
    let long = "x".repeat(MAX_SECRET + 1);
    for (name, text) in [("token", long.as_str()), (&long, "x"), ("a\0b", "x")] {
        let text = SecretText::new(text);
        let refused = secrets.put(&transaction, owner(), name, &text).await;
        assert!(matches!(refused, Err(SecretError::Unstorable { .. })));
    }
    let longest = SecretText::new(&long[1..]);
    secrets
        .put(&transaction, owner(), "token", &longest)
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_in_the_database_files_in_clear() {
    let bench = Bench::new(sqlite().await).await;
    let secrets = bench.open().await.unwrap();
    let owner = owner();
    bench.put(&secrets, owner, "token", HUSH).await;
    secrets.rotate().await.unwrap();
    bench.put(&secrets, owner, "token", HUSH).await;
    let key = bench.key();
    let key = key.trim().strip_prefix("plugyard-key-1:").unwrap();
    let address = bench.test.address.strip_prefix("sqlite:").unwrap();
    let directory = Path::new(address).parent().unwrap();
    let mut scanned = Vec::new();
    // With the write-ahead log, while it is open.
    for entry in std::fs::read_dir(directory).unwrap() {
        scanned.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let holds = |text: &str| {
        scanned
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(holds("token"), "the row was scanned");
    for clear in [HUSH, &HUSH[4..12], key, &key[..20]] {
        assert!(!holds(clear), "{clear} is in the files");
    }
}

#[tokio::test]
async fn rows_that_were_moved_or_altered_do_not_open() {
    for bench in Bench::all().await {
        let (one, two) = (owner(), owner());
        let secrets = bench.open().await.unwrap();
        for owner in [one, two] {
            bench.put(&secrets, owner, "a", HUSH).await;
            bench.put(&secrets, owner, "b", HUSH).await;
        }
        let damaged = async |owner, name: &str| {
            let found = secrets.get(bench.db().conn(), owner, name).await;
            matches!(&found, Err(SecretError::Damaged { name: named, .. }) if named == name)
        };
        let [one_id, two_id] = [one, two].map(|owner| owner.to_string());
        let quoted = |id: &str| match bench.test.sort {
            "SQLite" => format!("x'{}'", id.replace('-', "")),
            _ => format!("'{id}'"),
        };
        let (one_id, two_id) = (quoted(&one_id), quoted(&two_id));
        // Under another name, then to another owner.
        bench
            .run(&format!(
                "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE owner = {one_id} AND name = 'a')
                 WHERE owner = {one_id} AND name = 'b'"
            ))
            .await;
        assert!(damaged(one, "b").await, "{}", bench.test.sort);
        bench
            .run(&format!(
                "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE owner = {one_id} AND name = 'a')
                 WHERE owner = {two_id} AND name = 'a'"
            ))
            .await;
        assert!(damaged(two, "a").await, "{}", bench.test.sort);
        assert_eq!(bench.get(&secrets, one, "a").await.unwrap(), HUSH);
        assert_eq!(bench.get(&secrets, two, "b").await.unwrap(), HUSH);

        // The key of another owner, with its secrets.
        bench
            .run(&format!(
                "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE owner = {one_id})
                 WHERE owner = {two_id}"
            ))
            .await;
        let found = secrets.get(bench.db().conn(), two, "b").await;
        assert!(matches!(found, Err(SecretError::Damaged { .. })));
    }
}

#[tokio::test]
async fn the_key_file_is_made_once_and_for_us_alone() {
    let bench = Bench::new(sqlite().await).await;
    bench.open().await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.file()), 0o600);
    assert_eq!(mode(bench.file().parent().unwrap()), 0o700);
    let key = bench.key();
    assert!(key.starts_with("plugyard-key-1:"));
    bench.open().await.unwrap();
    assert_eq!(bench.key(), key);
    assert_eq!(
        std::fs::read_dir(bench.file().parent().unwrap())
            .unwrap()
            .count(),
        1
    );

    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(bench.file(), Permissions::from_mode(mode)).unwrap();
        let error = bench.open().await.unwrap_err();
        assert!(matches!(error, SecretError::KeyExposed { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("{mode:04o}")),
            "{error}"
        );
        assert_eq!(Problem::from(error).code, codes::MASTER_KEY_UNUSABLE);
    }
    assert_eq!(bench.key(), key);
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_said_and_nothing_is_changed() {
    for bench in Bench::all().await {
        let owner = owner();
        let secrets = bench.open().await.unwrap();
        bench.put(&secrets, owner, "token", HUSH).await;
        let key = bench.key();

        std::fs::remove_file(bench.file()).unwrap();
        let error = bench.open().await.unwrap_err();
        let SecretError::KeyMissing {
            key: Some(needed), ..
        } = &error
        else {
            panic!("{error}");
        };
        assert!(error.to_string().contains("keys/master.key"), "{error}");
        assert!(!bench.file().exists(), "no key is made that cannot help");

        let wrong = other_key().await;
        bench.write_key(&wrong);
        let error = bench.open().await.unwrap_err();
        let SecretError::KeyWrong {
            expected, found, ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(expected, needed);
        assert!(!found.contains(needed), "{}", bench.test.sort);
        let problem = Problem::from(error);
        assert_eq!(problem.code, codes::MASTER_KEY_WRONG);
        assert_eq!(bench.key(), wrong);

        bench.write_key("plugyard-key-1:c2hvcnQ=");
        let error = bench.open().await.unwrap_err();
        assert!(matches!(error, SecretError::KeyMalformed { .. }), "{error}");

        bench.write_key(&key);
        let secrets = bench.open().await.unwrap();
        assert_eq!(bench.get(&secrets, owner, "token").await.unwrap(), HUSH);
    }
}

#[tokio::test]
async fn a_rotation_puts_a_new_key_in_force_and_keeps_all_secrets() {
    for bench in Bench::all().await {
        let owners: Vec<_> = (0..3).map(|_| owner()).collect();
        let secrets = bench.open().await.unwrap();
        // A node that is not told.
        let other = bench.open().await.unwrap();
        for owner in &owners {
            bench.put(&secrets, *owner, "token", HUSH).await;
        }
        let old = bench.key();
        let rotation = secrets.rotate().await.unwrap();
        assert_eq!(rotation.data_keys, 3);
        let new = bench.key();
        assert_ne!(new, old);
        assert_eq!(new.lines().count(), 1);
        let after = bench.open().await.unwrap();
        for secrets in [&secrets, &other, &after] {
            for owner in &owners {
                assert_eq!(bench.get(secrets, *owner, "token").await.unwrap(), HUSH);
            }
        }
        // What a node writes that had the old key is under the new one too.
        let late = owner();
        let stale = bench.open().await.unwrap();
        secrets.rotate().await.unwrap();
        bench.put(&stale, late, "token", HUSH).await;
        let after = bench.open().await.unwrap();
        assert_eq!(bench.get(&after, late, "token").await.unwrap(), HUSH);

        bench.write_key(&old);
        let error = bench.open().await.unwrap_err();
        assert!(
            matches!(error, SecretError::KeyWrong { .. }),
            "{}",
            bench.test.sort
        );
    }
}

#[tokio::test]
async fn a_rotation_that_was_broken_off_is_finished_by_the_next() {
    for bench in Bench::all().await {
        let owner = owner();
        let secrets = bench.open().await.unwrap();
        bench.put(&secrets, owner, "token", HUSH).await;
        // The new key is in the file, nothing else happened.
        let (old, new) = (bench.key(), other_key().await);
        bench.write_key(&format!("{new}{old}"));
        let secrets = bench.open().await.unwrap();
        assert_eq!(bench.get(&secrets, owner, "token").await.unwrap(), HUSH);
        bench.put(&secrets, owner, "other", HUSH).await;
        secrets.rotate().await.unwrap();
        assert_eq!(bench.key(), new);
        // The database is done, the file still has both.
        bench.write_key(&format!("{new}{old}"));
        let secrets = bench.open().await.unwrap();
        assert_eq!(
            bench.get(&secrets, owner, "other").await.unwrap(),
            HUSH,
            "{}",
            bench.test.sort
        );
    }
}

#[tokio::test]
async fn a_rotation_that_fails_leaves_the_old_key_in_force() {
    for bench in Bench::all().await {
        let (good, bad) = (owner(), owner());
        let secrets = bench.open().await.unwrap();
        bench.put(&secrets, good, "token", HUSH).await;
        bench.put(&secrets, bad, "token", HUSH).await;
        let column = match bench.test.sort {
            "SQLite" => format!("x'{}'", bad.to_string().replace('-', "")),
            _ => format!("'{bad}'"),
        };
        bench
            .run(&format!("UPDATE data_keys SET wrapped = sealed FROM secrets WHERE secrets.owner = data_keys.owner AND data_keys.owner = {column}"))
            .await;
        let error = secrets.rotate().await.unwrap_err();
        assert!(matches!(error, SecretError::Damaged { .. }), "{error}");
        let again = bench.open().await.unwrap();
        for secrets in [&secrets, &again] {
            assert_eq!(
                bench.get(secrets, good, "token").await.unwrap(),
                HUSH,
                "{}",
                bench.test.sort
            );
        }
    }
}

#[tokio::test]
async fn a_command_can_have_the_key() {
    let bench = Bench::new(sqlite().await).await;
    let (one, two) = (other_key().await, other_key().await);
    let vault = bench.home.path().join("vault");
    std::fs::write(&vault, &one).unwrap();
    let from = KeySource::Command(vec!["cat".to_owned(), vault.display().to_string()]);
    let owner = owner();
    let secrets = bench.open_from(from.clone()).await.unwrap();
    bench.put(&secrets, owner, "token", HUSH).await;
    let error = secrets.rotate().await.unwrap_err();
    assert!(matches!(error, SecretError::NoNewKey { .. }), "{error}");

    std::fs::write(&vault, format!("{two}{one}")).unwrap();
    assert_eq!(secrets.rotate().await.unwrap().data_keys, 1);
    std::fs::write(&vault, &two).unwrap();
    let secrets = bench.open_from(from.clone()).await.unwrap();
    assert_eq!(bench.get(&secrets, owner, "token").await.unwrap(), HUSH);

    std::fs::remove_file(&vault).unwrap();
    let error = bench.open_from(from).await.unwrap_err();
    assert!(
        matches!(error, SecretError::KeyUnreadable { .. }),
        "{error}"
    );
    assert!(error.to_string().ends_with("the command `cat`"), "{error}");
    let nothing = KeySource::Command(vec!["true".to_owned()]);
    let error = bench.open_from(nothing).await.unwrap_err();
    assert!(matches!(error, SecretError::KeyMissing { .. }), "{error}");
}

const KEY: &str = "PLUGYARD_SECRETS_TEST_KEY";

/// Not a test of its own: who has the key in its environment.
#[tokio::test]
async fn child() {
    if std::env::var_os(KEY).is_none() {
        return;
    }
    let bench = Bench::new(sqlite().await).await;
    let from = KeySource::Environment(KEY.to_owned());
    let owner = owner();
    let secrets = bench.open_from(from.clone()).await.unwrap();
    bench.put(&secrets, owner, "token", HUSH).await;
    let secrets = bench.open_from(from).await.unwrap();
    assert_eq!(bench.get(&secrets, owner, "token").await.unwrap(), HUSH);
}

#[tokio::test]
async fn the_environment_can_have_the_key() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the child is this test, not a plugin"
    )]
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["child", "--exact", "--nocapture"])
        .env(KEY, other_key().await);
    let output = child.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let bench = Bench::new(sqlite().await).await;
    let unset = KeySource::Environment("PLUGYARD_NOT_SET".to_owned());
    let error = bench.open_from(unset).await.unwrap_err();
    assert!(error.to_string().contains("`PLUGYARD_NOT_SET`"), "{error}");
    let none = KeySource::Environment("PATH".to_owned());
    let error = bench.open_from(none).await.unwrap_err();
    assert!(matches!(error, SecretError::KeyMalformed { .. }), "{error}");
    let path = std::env::var("PATH").unwrap();
    assert!(
        !format!("{error} {error:?}").contains(&path),
        "what it has is not shown"
    );
}

#[tokio::test]
async fn nothing_that_holds_keys_shows_them() {
    let bench = Bench::new(sqlite().await).await;
    let secrets = bench.open().await.unwrap();
    let key = bench.key();
    let key = key.trim().strip_prefix("plugyard-key-1:").unwrap();
    assert!(!format!("{secrets:?}").contains(key));
}
