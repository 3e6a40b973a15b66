//! Which right each route needs.

use axum::http::Method;
use plugyard_http::{Envelope, RouteRight};
use plugyard_model::rights::Right;

/// The table of this crate's routes.
pub fn rights() -> Vec<RouteRight> {
    use Right::{FlowRead, FlowWrite};
    let ekuiper = |method: Method, path, right| RouteRight {
        method,
        path,
        right,
        envelope: Envelope::Ekuiper,
    };
    vec![
        ekuiper(Method::GET, "/streams", FlowRead),
        ekuiper(Method::POST, "/streams", FlowWrite),
        ekuiper(Method::GET, "/streamdetails", FlowRead),
        ekuiper(Method::GET, "/streams/{name}", FlowRead),
        ekuiper(Method::PUT, "/streams/{name}", FlowWrite),
        ekuiper(Method::DELETE, "/streams/{name}", FlowWrite),
        ekuiper(Method::GET, "/streams/{name}/schema", FlowRead),
        ekuiper(Method::GET, "/rules", FlowRead),
        ekuiper(Method::POST, "/rules", FlowWrite),
        // Plans without keeping, but asks plugins, which starts them.
        ekuiper(Method::POST, "/rules/validate", FlowWrite),
        ekuiper(Method::GET, "/rules/status/all", FlowRead),
        ekuiper(Method::GET, "/rules/{id}", FlowRead),
        ekuiper(Method::PUT, "/rules/{id}", FlowWrite),
        ekuiper(Method::DELETE, "/rules/{id}", FlowWrite),
        ekuiper(Method::POST, "/rules/{id}/start", FlowWrite),
        ekuiper(Method::POST, "/rules/{id}/stop", FlowWrite),
        ekuiper(Method::POST, "/rules/{id}/restart", FlowWrite),
        ekuiper(Method::GET, "/rules/{id}/status", FlowRead),
        ekuiper(Method::GET, "/v2/rules/{id}/status", FlowRead),
        ekuiper(Method::GET, "/rules/{id}/topo", FlowRead),
        ekuiper(Method::GET, "/rules/{id}/explain", FlowRead),
        RouteRight {
            method: Method::GET,
            path: "/v1/rules/{id}/explain",
            right: FlowRead,
            envelope: Envelope::Native,
        },
        // As validating one.
        RouteRight {
            method: Method::POST,
            path: "/v1/rules/explain",
            right: FlowWrite,
            envelope: Envelope::Native,
        },
        RouteRight {
            method: Method::GET,
            path: "/v1/rules/{id}/tail",
            right: FlowRead,
            envelope: Envelope::Native,
        },
    ]
}
