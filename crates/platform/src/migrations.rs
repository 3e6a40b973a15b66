//! The schema, from its first day on.

mod accounts;
mod initial;

use sea_orm_migration::MigrationTrait;

/// The platform's migrations, for [`Database::migrate`](plugyard_store::Database::migrate).
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(initial::Initial), Box::new(accounts::Accounts)]
}
