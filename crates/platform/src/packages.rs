//! Packages: bytes by their digest.

use plugyard_model::{Digest, Problem, codes};
use plugyard_store::StoreError;
use sea_orm::{ConnectionTrait, EntityTrait, Set};
use serde::Serialize;

use crate::Platform;
use crate::entity::package;
use crate::versions::VersionView;

/// A package that was taken in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PackageView {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Milliseconds since 1970 (UTC) when it first came.
    pub created_at: i64,
    /// The versions it is the package of: one for each plugin and set of options it was taken in with.
    pub versions: Vec<VersionView>,
}

impl Platform {
    /// A package with its versions.
    ///
    /// # Errors
    /// `package_not_found`; `store_unavailable`.
    pub async fn package(&self, digest: &Digest) -> Result<PackageView, Problem> {
        let row = package::Entity::find_by_id(digest.to_string())
            .one(self.database().conn())
            .await
            .map_err(StoreError::from)?;
        let not_found = || Problem::new(codes::PACKAGE_NOT_FOUND).with("digest", digest);
        let row = row.ok_or_else(not_found)?;
        Ok(PackageView {
            sha256: *digest,
            size: row.size.unsigned_abs(),
            created_at: row.created_at,
            versions: self.versions_of_package(digest).await?,
        })
    }
}

pub(crate) async fn package_insert(
    connection: &impl ConnectionTrait,
    digest: &Digest,
    size: u64,
    now: i64,
) -> Result<(), StoreError> {
    let row = package::ActiveModel {
        digest: Set(digest.to_string()),
        size: Set(i64::try_from(size).unwrap_or(i64::MAX)),
        created_at: Set(now),
    };
    package::Entity::insert(row)
        .on_conflict_do_nothing_on([package::Column::Digest])
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
