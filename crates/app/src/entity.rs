//! Table `app_plugins` and its migration.
#![expect(
    unreachable_pub,
    reason = "the deriving macro makes items that are public and not documented"
)]

use sea_orm::entity::prelude::*;
use sea_orm_migration::prelude::{
    DbErr as MigrationError, MigrationName, MigrationTrait, SchemaManager, Table,
};
use sea_orm_migration::schema::{big_integer, big_integer_null, text, uuid};

/// What is known of a plugin beyond its installation: that it was found, and what happened when. Whether it
/// is installed and enabled, and which version is in force, is the platform's to say.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_plugins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub name: String,
    /// What its directory said when it was last looked at: JSON of `discovery::Seen`.
    #[sea_orm(column_type = "Text")]
    pub seen: String,
    pub discovered_at: Option<i64>,
    pub installed_at: Option<i64>,
    pub enabled_at: Option<i64>,
    pub disabled_at: Option<i64>,
    pub uninstalled_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The migrations of this kind, for whoever migrates the database.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Initial)]
}

struct Initial;

impl MigrationName for Initial {
    fn name(&self) -> &'static str {
        "m202611211130_app_initial"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Initial {
    async fn up(&self, manager: &SchemaManager) -> Result<(), MigrationError> {
        let mut name = text("name");
        name.unique_key();
        manager
            .create_table(
                Table::create()
                    .table("app_plugins")
                    .col(uuid("id").primary_key())
                    .col(name)
                    .col(text("seen"))
                    .col(big_integer_null("discovered_at"))
                    .col(big_integer_null("installed_at"))
                    .col(big_integer_null("enabled_at"))
                    .col(big_integer_null("disabled_at"))
                    .col(big_integer_null("uninstalled_at"))
                    .col(big_integer("created_at"))
                    .col(big_integer("updated_at"))
                    .take(),
            )
            .await
    }
}
