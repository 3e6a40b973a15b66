//! Streams and rules as rows. Each change is one statement, so that a crash leaves the old or the new.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder, Set,
};

use crate::FlowError;
use crate::entity::{rule, stream};

/// The rows.
#[derive(Clone)]
pub(crate) struct Store(pub(crate) DatabaseConnection);

impl Store {
    pub(crate) async fn streams(&self) -> Result<Vec<stream::Model>, FlowError> {
        stream::Entity::find()
            .order_by_asc(stream::Column::Name)
            .all(&self.0)
            .await
            .map_err(|source| failed("reading the streams", source))
    }

    pub(crate) async fn stream_insert(
        &self,
        name: &str,
        statement: &str,
        now: i64,
    ) -> Result<(), FlowError> {
        stream::ActiveModel {
            name: Set(name.to_owned()),
            statement: Set(statement.to_owned()),
            created_at: Set(now),
            updated_at: Set(now),
        }
        .insert(&self.0)
        .await
        .map(drop)
        .map_err(|source| failed("storing a stream", source))
    }

    pub(crate) async fn stream_update(
        &self,
        name: &str,
        statement: &str,
        now: i64,
    ) -> Result<(), FlowError> {
        stream::Entity::update_many()
            .col_expr(stream::Column::Statement, Expr::value(statement))
            .col_expr(stream::Column::UpdatedAt, Expr::value(now))
            .filter(stream::Column::Name.eq(name))
            .exec(&self.0)
            .await
            .map(drop)
            .map_err(|source| failed("storing a stream", source))
    }

    pub(crate) async fn stream_delete(&self, name: &str) -> Result<(), FlowError> {
        stream::Entity::delete_many()
            .filter(stream::Column::Name.eq(name))
            .exec(&self.0)
            .await
            .map(drop)
            .map_err(|source| failed("deleting a stream", source))
    }

    pub(crate) async fn rules(&self) -> Result<Vec<rule::Model>, FlowError> {
        rule::Entity::find()
            .order_by_asc(rule::Column::Id)
            .all(&self.0)
            .await
            .map_err(|source| failed("reading the rules", source))
    }

    pub(crate) async fn rule_insert(
        &self,
        id: &str,
        json: &str,
        triggered: bool,
        now: i64,
    ) -> Result<(), FlowError> {
        rule::ActiveModel {
            id: Set(id.to_owned()),
            json: Set(json.to_owned()),
            triggered: Set(triggered),
            created_at: Set(now),
            updated_at: Set(now),
        }
        .insert(&self.0)
        .await
        .map(drop)
        .map_err(|source| failed("storing a rule", source))
    }

    pub(crate) async fn rule_update(
        &self,
        id: &str,
        json: &str,
        triggered: bool,
        now: i64,
    ) -> Result<(), FlowError> {
        rule::Entity::update_many()
            .col_expr(rule::Column::Json, Expr::value(json))
            .col_expr(rule::Column::Triggered, Expr::value(triggered))
            .col_expr(rule::Column::UpdatedAt, Expr::value(now))
            .filter(rule::Column::Id.eq(id))
            .exec(&self.0)
            .await
            .map(drop)
            .map_err(|source| failed("storing a rule", source))
    }

    pub(crate) async fn rule_trigger(
        &self,
        id: &str,
        triggered: bool,
        now: i64,
    ) -> Result<(), FlowError> {
        rule::Entity::update_many()
            .col_expr(rule::Column::Triggered, Expr::value(triggered))
            .col_expr(rule::Column::UpdatedAt, Expr::value(now))
            .filter(rule::Column::Id.eq(id))
            .exec(&self.0)
            .await
            .map(drop)
            .map_err(|source| failed("storing whether a rule shall run", source))
    }

    pub(crate) async fn rule_delete(&self, id: &str) -> Result<(), FlowError> {
        rule::Entity::delete_many()
            .filter(rule::Column::Id.eq(id))
            .exec(&self.0)
            .await
            .map(drop)
            .map_err(|source| failed("deleting a rule", source))
    }
}

fn failed(attempt: &'static str, source: sea_orm::DbErr) -> FlowError {
    FlowError::Store { attempt, source }
}
