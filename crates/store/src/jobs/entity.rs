//! Table `jobs`.

use sea_orm::entity::prelude::*;
use serde::Serialize;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// For its time and for a worker.
    #[sea_orm(string_value = "waiting")]
    Waiting,
    /// A worker holds it.
    #[sea_orm(string_value = "running")]
    Running,
    /// Its attempts are used up; it stays until somebody retries or discards it.
    #[sea_orm(string_value = "failed")]
    Failed,
}

/// A job that is not done.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub queue: String,
    pub name: String,
    pub payload: String,
    /// Equal for equal jobs of a sort that is de-duplicated.
    pub once: Option<String>,
    pub state: JobState,
    pub priority: i32,
    pub attempts: i32,
    pub run_at: i64,
    /// New with each claim: a worker that lost its lease cannot touch what another does since.
    pub claim: Option<Uuid>,
    pub lease_until: Option<i64>,
    pub error: Option<String>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
