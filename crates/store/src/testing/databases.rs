//! Databases.

use sea_orm::ConnectionTrait;
use tempfile::TempDir;

use crate::{Database, DatabaseUrl};

/// A fresh, empty database that is removed when this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    /// How to open it again, as another process would.
    pub url: DatabaseUrl,
    /// The address as text, for another process.
    pub address: String,
    /// Open.
    pub database: Database,
    /// `SQLite` or `PostgreSQL`, for messages.
    pub sort: &'static str,
    home: Option<TempDir>,
    postgres: Option<(String, String)>,
}

/// One fresh database of each sort.
///
/// # Panics
/// When one cannot be made: a test cannot go on then.
pub async fn databases() -> Vec<TestDatabase> {
    let mut all = vec![sqlite().await];
    match std::env::var("PLUGYARD_TEST_PG") {
        Ok(server) => all.push(postgres(&server).await),
        #[expect(clippy::print_stderr, reason = "a test says what it leaves out")]
        Err(_) => eprintln!("skipped: PostgreSQL, because PLUGYARD_TEST_PG is not set"),
    }
    all
}

/// A fresh SQLite database in a directory of its own.
///
/// # Panics
/// When it cannot be made.
pub async fn sqlite() -> TestDatabase {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let path = home.path().join("test.db");
    let url = DatabaseUrl::sqlite(&path);
    TestDatabase {
        database: Database::open(&url).await.expect("SQLite opens"),
        address: format!("sqlite:{}", path.display()),
        url,
        sort: "SQLite",
        home: Some(home),
        postgres: None,
    }
}

async fn postgres(server: &str) -> TestDatabase {
    let name = format!("plugyard_test_{}", uuid::Uuid::new_v4().simple());
    execute(server, &format!("CREATE DATABASE {name}")).await;
    let address = with_database(server, &name);
    let url: DatabaseUrl = address
        .parse()
        .expect("PLUGYARD_TEST_PG is a postgres:// address");
    TestDatabase {
        database: Database::open(&url).await.expect("the new database opens"),
        url,
        address,
        sort: "PostgreSQL",
        home: None,
        postgres: Some((server.to_owned(), name)),
    }
}

/// The same server, another database.
fn with_database(server: &str, name: &str) -> String {
    let (base, query) = server
        .split_once('?')
        .map_or((server, ""), |(base, query)| (base, query));
    let authority = base.find("://").map_or(0, |at| at + 3);
    let end = base[authority..]
        .find('/')
        .map_or(base.len(), |at| authority + at);
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{}/{name}{separator}{query}", &base[..end])
}

async fn execute(server: &str, statement: &str) {
    let connection = sea_orm::Database::connect(server)
        .await
        .expect("PLUGYARD_TEST_PG can be reached");
    connection
        .execute_unprepared(statement)
        .await
        .expect("PLUGYARD_TEST_PG lets databases be made and dropped");
    connection.close().await.expect("a connection closes");
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some((server, name)) = self.postgres.take() else {
            drop(self.home.take());
            return;
        };
        // The test's own runtime may be ending, so this one needs its own.
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts")
                .block_on(execute(
                    &server,
                    &format!("DROP DATABASE {name} WITH (FORCE)"),
                ));
        });
        drop(thread.join());
    }
}
