//! Which right a route needs, and the layer that asks for it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};

use crate::{Principal, ProblemResponse};

/// In whose words a route refuses and fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// Our own: `application/problem+json` (RFC 9457).
    Native,
    /// eKuiper's: `{"error":code,"message":"…"}` and a line end, as `text/plain`.
    Ekuiper,
    /// That of `/api/admin/…`: `{"code":status,"message":"…","data":null,"error":"code"}`.
    Admin,
}

/// The right that an operation needs. A route without an entry is refused to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRight {
    /// The method.
    pub method: Method,
    /// The path as a template of axum's, e.g. `/rules/{id}`.
    pub path: &'static str,
    /// What the caller must be permitted.
    pub right: Right,
    /// How a refusal looks.
    pub envelope: Envelope,
}

/// A table of rights that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the right of {method} {path} is declared twice")]
pub struct RightsError {
    method: Method,
    path: &'static str,
}

/// The rights of all routes, by method and path template.
#[derive(Debug, Default)]
pub struct Rights {
    routes: HashMap<&'static str, Vec<RouteRight>>,
    /// Literal beginnings of the compatible routes, with their envelope; longest first.
    prefixes: Vec<(&'static str, Envelope)>,
}

impl Rights {
    /// Builds the table.
    ///
    /// # Errors
    /// When two entries speak of the same operation.
    pub fn new(entries: impl IntoIterator<Item = RouteRight>) -> Result<Self, RightsError> {
        let mut table = Self::default();
        for entry in entries {
            let of_path = table.routes.entry(entry.path).or_default();
            if of_path.iter().any(|other| other.method == entry.method) {
                return Err(RightsError {
                    method: entry.method,
                    path: entry.path,
                });
            }
            let literal = literal_prefix(entry.path);
            if !literal.is_empty() {
                table.prefixes.push((literal, entry.envelope));
            }
            of_path.push(entry);
        }
        table
            .prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        table.prefixes.dedup();
        Ok(table)
    }

    /// The entry of an operation. HEAD asks for the right of GET.
    pub fn lookup(&self, method: &Method, path: &str) -> Option<&RouteRight> {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        self.routes
            .get(path)?
            .iter()
            .find(|entry| entry.method == *method)
    }

    /// In whose words something at this path is refused, also where there is no route: the envelope
    /// of the routes that begin like it.
    pub fn envelope_at(&self, path: &str) -> Envelope {
        if let Some(entry) = self.routes.get(path).and_then(|of_path| of_path.first()) {
            return entry.envelope;
        }
        self.prefixes
            .iter()
            .find(|(prefix, _)| {
                path.strip_prefix(prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .map_or(Envelope::Native, |(_, envelope)| *envelope)
    }

    /// All entries, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = &RouteRight> {
        self.routes.values().flatten()
    }
}

/// `/rules` of `/rules/{id}/start`; empty when the first segment is a parameter or nothing.
fn literal_prefix(path: &'static str) -> &'static str {
    path.split_once("/{")
        .map_or(path, |(literal, _)| literal)
        .trim_end_matches('/')
}

/// The layer in front of every route, put there with `Router::route_layer`: only who has the
/// route's right comes through.
///
/// `not_signed_in` for the anonymous, `not_permitted` for the others; an operation that the table
/// does not name is refused to everybody and logged as the mistake it is.
pub async fn authorize(
    State(rights): State<Arc<Rights>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| request.uri().path(), MatchedPath::as_str);
    let Some(entry) = rights.lookup(request.method(), path) else {
        tracing::error!(
            http.method = %request.method(),
            http.route = path,
            "Refused {} {path}: the route has no entry in the table of rights",
            request.method()
        );
        return ProblemResponse(Problem::new(codes::ROUTE_CLOSED)).into_response();
    };
    let refused = match request.extensions().get::<Principal>() {
        _ if entry.right == Right::Public => None,
        None => Some(Problem::new(codes::NOT_SIGNED_IN)),
        Some(principal) if principal.may(entry.right) => None,
        Some(principal) => Some(
            Problem::new(codes::NOT_PERMITTED)
                .with("right", entry.right.as_str())
                .with("who", &principal.name),
        ),
    };
    match refused {
        Some(problem) => ProblemResponse(problem).into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request as HttpRequest, StatusCode};
    use axum::routing::{any, get};
    use axum::{Router, middleware};
    use plugyard_model::rights::Role;
    use tower::ServiceExt;

    use super::*;

    fn entry(method: Method, path: &'static str, right: Right, envelope: Envelope) -> RouteRight {
        RouteRight {
            method,
            path,
            right,
            envelope,
        }
    }

    fn table() -> Arc<Rights> {
        use Envelope::{Ekuiper, Native};
        let entries = [
            entry(Method::GET, "/", Right::Public, Ekuiper),
            entry(Method::GET, "/open", Right::Public, Native),
            entry(Method::GET, "/v1/things/{id}", Right::PluginRead, Native),
            entry(Method::PUT, "/v1/things/{id}", Right::PluginOperate, Native),
            entry(Method::GET, "/rules/{id}/status", Right::FlowRead, Ekuiper),
            entry(
                Method::GET,
                "/plugins/portables",
                Right::PluginRead,
                Ekuiper,
            ),
        ];
        Arc::new(Rights::new(entries).unwrap())
    }

    async fn status(method: Method, path: &str, roles: Option<&[Role]>) -> StatusCode {
        let app = Router::new()
            .route("/open", get(|| async {}))
            .route("/v1/things/{id}", any(|| async {}))
            .route("/forgotten", get(|| async {}))
            .route_layer(middleware::from_fn_with_state(table(), authorize));
        let mut request = HttpRequest::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        if let Some(roles) = roles {
            request.extensions_mut().insert(Principal {
                name: "somebody".into(),
                roles: roles.to_vec(),
            });
        }
        app.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn each_operation_asks_for_its_own_right() {
        let viewer = Some(&[Role::Viewer][..]);
        assert_eq!(status(Method::GET, "/open", None).await, 200);
        assert_eq!(status(Method::GET, "/v1/things/1", None).await, 401);
        assert_eq!(status(Method::GET, "/v1/things/1", viewer).await, 200);
        assert_eq!(status(Method::HEAD, "/v1/things/1", viewer).await, 200);
        assert_eq!(status(Method::PUT, "/v1/things/1", viewer).await, 403);
        let two = Some(&[Role::Plugin, Role::Operator][..]);
        assert_eq!(status(Method::PUT, "/v1/things/1", two).await, 200);
    }

    #[tokio::test]
    async fn what_the_table_does_not_name_is_refused_even_to_an_owner() {
        let owner = Some(&[Role::Owner][..]);
        assert_eq!(status(Method::GET, "/forgotten", owner).await, 403);
        assert_eq!(status(Method::DELETE, "/v1/things/1", owner).await, 403);
    }

    #[test]
    fn an_unknown_path_is_refused_in_the_words_of_its_neighbours() {
        let rights = table();
        for (path, envelope) in [
            ("/", Envelope::Ekuiper),
            ("/rules", Envelope::Ekuiper),
            ("/rules/x/unknown", Envelope::Ekuiper),
            ("/plugins/portables/x", Envelope::Ekuiper),
            ("/rulesets", Envelope::Native),
            ("/v1/unknown", Envelope::Native),
            ("/anything", Envelope::Native),
        ] {
            assert_eq!(rights.envelope_at(path), envelope, "{path}");
        }
    }

    #[test]
    fn one_operation_has_one_right() {
        let twice = [Right::PluginRead, Right::Public]
            .map(|right| entry(Method::GET, "/a", right, Envelope::Native));
        assert!(Rights::new(twice).is_err());
    }
}
