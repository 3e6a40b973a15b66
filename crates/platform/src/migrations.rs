//! The schema, from its first day on.

mod accounts;
mod answers;
mod configuration;
mod initial;
mod objects;

use sea_orm_migration::MigrationTrait;

/// The platform's migrations and those of the store it stands on, for
/// [`Database::migrate`](plugyard_store::Database::migrate).
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    let own: [Box<dyn MigrationTrait>; 5] = [
        Box::new(initial::Initial),
        Box::new(accounts::Accounts),
        Box::new(objects::Objects),
        Box::new(configuration::Configuration),
        Box::new(answers::Answers),
    ];
    plugyard_store::migrations()
        .into_iter()
        .chain(own)
        .collect()
}
