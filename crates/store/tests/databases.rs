//! Both databases take the same migrations and keep the same promises.

use plugyard_store::{Database, StoreError, testing};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use sea_orm_migration::prelude::*;

struct Step {
    name: &'static str,
    statements: &'static [&'static str],
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in self.statements {
            manager
                .get_connection()
                .execute_unprepared(statement)
                .await?;
        }
        Ok(())
    }
}

fn step(name: &'static str, statements: &'static [&'static str]) -> Box<dyn MigrationTrait> {
    Box::new(Step { name, statements })
}

fn first() -> Box<dyn MigrationTrait> {
    step("m1_a", &["CREATE TABLE things (id BIGINT PRIMARY KEY)"])
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

async fn count(database: &Database) -> i64 {
    let statement = Statement::from_string(
        database.conn().get_database_backend(),
        "SELECT COUNT(*) AS n FROM things",
    );
    Count::find_by_statement(statement)
        .one(database.conn())
        .await
        .expect("the table is there")
        .expect("a count is one row")
        .n
}

#[tokio::test]
async fn migrations_of_several_crates_run_once_and_in_the_order_of_their_names() {
    for test in testing::databases().await {
        let second = || step("m2_b", &["INSERT INTO things VALUES (1)"]);
        test.database
            .migrate(vec![second(), first()])
            .await
            .unwrap();
        test.database
            .migrate(vec![first(), second()])
            .await
            .unwrap();
        assert_eq!(count(&test.database).await, 1, "{}", test.sort);
    }
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_of_those_before_it() {
    for test in testing::databases().await {
        let broken = step("m2_b", &["INSERT INTO things VALUES (1)", "NONSENSE"]);
        let result = test.database.migrate(vec![first(), broken]).await;
        assert!(matches!(result, Err(StoreError::Migrate { name, .. }) if name == "m2_b"));
        test.database.migrate(vec![first()]).await.unwrap();
        assert_eq!(count(&test.database).await, 0, "{}", test.sort);
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_untouched() {
    for test in testing::databases().await {
        let newer = step("m3_c", &["INSERT INTO things VALUES (1)"]);
        test.database.migrate(vec![first(), newer]).await.unwrap();
        let unseen = step("m2_b", &["DELETE FROM things"]);
        let result = test.database.migrate(vec![first(), unseen]).await;
        assert!(matches!(result, Err(StoreError::Newer { name }) if name == "m3_c"));
        assert_eq!(count(&test.database).await, 1, "{}", test.sort);
    }
}

#[tokio::test]
async fn transactions_that_write_at_once_all_succeed() {
    for test in testing::databases().await {
        test.database.migrate(vec![first()]).await.unwrap();
        let writers = (0..20).map(|id| {
            let database = test.database.clone();
            tokio::spawn(async move {
                count(&database).await;
                let transaction = database.begin().await.unwrap();
                transaction
                    .execute_unprepared(&format!("INSERT INTO things VALUES ({id})"))
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert_eq!(count(&test.database).await, 20, "{}", test.sort);
    }
}

#[tokio::test]
async fn a_transaction_that_is_dropped_changes_nothing() {
    for test in testing::databases().await {
        test.database.migrate(vec![first()]).await.unwrap();
        let transaction = test.database.begin().await.unwrap();
        transaction
            .execute_unprepared("INSERT INTO things VALUES (1)")
            .await
            .unwrap();
        drop(transaction);
        assert_eq!(count(&test.database).await, 0, "{}", test.sort);
    }
}

#[tokio::test]
async fn after_a_full_disk_writing_goes_on() {
    let test = testing::sqlite().await;
    test.database.migrate(vec![first()]).await.unwrap();
    let full = test.database.begin().await.unwrap();
    // What SQLite does by itself when there is no room: it rolls back, and nobody tells the driver.
    full.execute_unprepared("ROLLBACK").await.unwrap();
    drop(full);
    for id in 0..8 {
        let transaction = test.database.begin().await.unwrap();
        transaction
            .execute_unprepared(&format!("INSERT INTO things VALUES ({id})"))
            .await
            .unwrap();
        // Undone, then done: neither may leave the file locked for the others.
        drop(transaction);
        let transaction = test.database.begin().await.unwrap();
        transaction
            .execute_unprepared(&format!("INSERT INTO things VALUES ({id})"))
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
    assert_eq!(count(&test.database).await, 8);
}
