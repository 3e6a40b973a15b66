//! The row of a projection.

use plugyard_symbol::{Row, Value};

use super::{Scope, Stop};
use crate::sql::select::Item;

/// What goes into a projected row besides its values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keep {
    /// Columns that are NULL.
    pub(crate) nil: bool,
    /// What the source says about the message, as `__meta`.
    pub(crate) meta: bool,
}

/// Computes the row. A column that is NULL is left out unless it is to be kept, one whose function gave no
/// value always; `*` passes what is there.
pub(crate) fn project(items: &[Item], keep: Keep, scope: &Scope<'_>) -> Result<Row, Stop> {
    let mut row = Row::new();
    for item in items {
        match item {
            Item::All { except } => {
                for (name, value) in scope.row.iter() {
                    if !except.iter().any(|it| **it == **name) {
                        row.set(name.clone(), value.clone());
                    }
                }
            }
            Item::Column { name, expr } => {
                let value = expr.eval(scope)?;
                let none = expr
                    .plugin_slot()
                    .is_some_and(|slot| matches!(scope.slots.get(slot), Some(Some(None))));
                if !none && (keep.nil || !is_null(&value)) {
                    row.set(name.clone(), value);
                }
            }
        }
    }
    if keep.meta
        && let Some(meta) = scope.meta
    {
        row.set("__meta", Value::Json(meta.clone()));
    }
    Ok(row)
}

fn is_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Json(text) => text.as_bytes() == b"null",
        _ => false,
    }
}
