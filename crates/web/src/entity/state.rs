//! Table `web_states`.

use sea_orm::entity::prelude::*;

/// What is known of a plugin beyond its record, whose columns are documented and take no others.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_states")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fskey: String,
    /// What its manifest says, as the inspection gave it; null for a record without a package.
    pub manifest: Option<Json>,
    /// Why the latest change failed.
    #[sea_orm(column_type = "Text", nullable)]
    pub last_error: Option<String>,
    pub last_error_at: Option<i64>,
    /// The version that was taken back; nobody tries it again unasked.
    pub failed_version: Option<String>,
    /// Where migrations stood before each version's: an object from version to what the application said.
    pub migration_marks: Option<Json>,
    /// The package that came with `offered_code`.
    pub offered_digest: Option<String>,
    /// A secret: becomes `upgrade_code` when that package is in force.
    pub offered_code: Option<String>,
    /// When loading it ended the application, in milliseconds: a list of numbers.
    pub crashes: Option<Json>,
    /// 1: somebody took its assets away from people's sight.
    pub is_unpublished: i16,
    /// Where migrations stood before the task that runs them by themselves.
    #[sea_orm(column_type = "Text", nullable)]
    pub task_mark: Option<String>,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
