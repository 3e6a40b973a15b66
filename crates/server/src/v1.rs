//! The native routes, `/v1/…`: plain resources in, problems (RFC 9457) out.
//!
//! One file for each resource; each file's `router` and `RIGHTS` say what it serves to whom.

mod accounts;
mod audit;
mod backup;
mod config;
mod documents;
mod events;
mod installations;
mod logs;
mod nodes;
mod operations;
mod own;
mod packages;
mod rescan;
mod secrets;
mod session;
mod tokens;
mod validate;

use axum::http::Method;
use plugyard_http::{Envelope, RouteRight};
use plugyard_model::rights::Right;
use utoipa_axum::router::OpenApiRouter;

pub(crate) use self::installations::Recorded;
use crate::app::App;

/// Method, path and right of one operation.
type Entry = (Method, &'static str, Right);

/// All native routes, resource by resource.
pub(crate) fn routers() -> Vec<OpenApiRouter<App>> {
    vec![
        session::router(),
        own::router(),
        backup::router(),
        config::router(),
        secrets::router(),
        packages::router(),
        rescan::router(),
        installations::router(),
        logs::router(),
        operations::router(),
        events::router(),
        accounts::router(),
        tokens::router(),
        audit::router(),
        nodes::router(),
        validate::router(),
    ]
}

/// Their rights.
pub(crate) fn rights() -> Vec<RouteRight> {
    let lists: &[&[Entry]] = &[
        session::RIGHTS,
        own::RIGHTS,
        backup::RIGHTS,
        config::RIGHTS,
        config::HISTORY_RIGHTS,
        config::TRANSFER_RIGHTS,
        config::OWN_RIGHTS,
        secrets::RIGHTS,
        packages::RIGHTS,
        packages::PLAN_RIGHTS,
        rescan::RIGHTS,
        installations::RIGHTS,
        installations::CHANGES_RIGHTS,
        logs::RIGHTS,
        operations::RIGHTS,
        events::RIGHTS,
        accounts::RIGHTS,
        tokens::RIGHTS,
        audit::RIGHTS,
        nodes::RIGHTS,
        validate::RIGHTS,
    ];
    lists
        .iter()
        .copied()
        .flatten()
        .map(|(method, path, right)| RouteRight {
            method: method.clone(),
            path,
            right: *right,
            envelope: Envelope::Native,
        })
        .collect()
}
