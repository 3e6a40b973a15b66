//! The schema, from its first day on.

mod accounts;
mod initial;
mod objects;

use sea_orm_migration::MigrationTrait;

/// The platform's migrations and those of the store it stands on, for
/// [`Database::migrate`](plugyard_store::Database::migrate).
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    let own: [Box<dyn MigrationTrait>; 3] = [
        Box::new(initial::Initial),
        Box::new(accounts::Accounts),
        Box::new(objects::Objects),
    ];
    plugyard_store::migrations().into_iter().chain(own).collect()
}
