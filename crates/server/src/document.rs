//! The one OpenAPI document: every operation of every crate, each with its right.

use std::collections::BTreeSet;

use plugyard_http::{Envelope, ProblemBody, Rights, RouteRight};
use plugyard_model::rights::Right;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::error::WiringError;

/// Where an operation of the document tells its right.
pub const RIGHT_EXTENSION: &str = "x-plugyard-right";

/// Name of the security scheme.
const BEARER: &str = "bearer";

/// Merges two documents. Schemas of one name must be one schema: otherwise the later would quietly
/// take the place of the earlier.
pub(crate) fn merge(document: &mut OpenApi, other: OpenApi) -> Result<(), WiringError> {
    let (ours, theirs) = (&document.components, &other.components);
    if let (Some(ours), Some(theirs)) = (ours, theirs) {
        for (name, schema) in &theirs.schemas {
            if ours.schemas.get(name).is_some_and(|same| same != schema) {
                return Err(WiringError::Schema { name: name.clone() });
            }
        }
    }
    document.merge(other);
    Ok(())
}

/// Gives a merged document its head, and each operation its right, its security requirement and the
/// answer it fails with; checks that operations and rights belong together.
pub(crate) fn complete(
    mut document: OpenApi,
    rights: &Rights,
    version: &str,
) -> Result<OpenApi, WiringError> {
    let mut ids = BTreeSet::new();
    let mut described = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let method_name = method.to_string();
            let Some(entry) = rights.lookup(&method, path) else {
                return Err(WiringError::NoRight {
                    method: method_name,
                    path: path.clone(),
                });
            };
            let id = operation.operation_id.clone().unwrap_or_default();
            if id.is_empty() || !ids.insert(id.clone()) {
                return Err(WiringError::OperationId {
                    id,
                    method: method_name,
                    path: path.clone(),
                });
            }
            described.insert((method_name, path.clone()));
            describe(operation, entry);
        }
    }
    for entry in rights.entries() {
        let key = (entry.method.to_string(), entry.path.to_owned());
        if !described.contains(&key) && !is_page(entry.path) {
            return Err(WiringError::NoOperation {
                method: key.0,
                path: key.1,
            });
        }
    }
    document.info = InfoBuilder::new()
        .title("Plugyard")
        .version(version)
        .description(Some(
            "Every route of a Plugyard server. `/v1` is native and answers errors as problems \
             (RFC 9457); routes outside of it speak as the product they are compatible with.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").build()))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components
        .schemas
        .insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    components.add_security_scheme(
        BEARER,
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
    );
    Ok(document)
}

/// Pages for people and their parts: served, but no operations of the API.
fn is_page(path: &str) -> bool {
    ["/docs", "/ui", "/openapi.json"]
        .iter()
        .any(|page| path.starts_with(page))
}

fn describe(operation: &mut Operation, entry: &RouteRight) {
    let extension = ExtensionsBuilder::new()
        .add(RIGHT_EXTENSION, entry.right.as_str())
        .build();
    operation
        .extensions
        .get_or_insert_default()
        .merge(extension);
    // An empty list says that the operation needs no sign-in.
    operation.security = Some(if entry.right == Right::Public {
        Vec::new()
    } else {
        vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]
    });
    let failure = match entry.envelope {
        Envelope::Native => ResponseBuilder::new()
            .description("A problem")
            .content(
                "application/problem+json",
                Content::new(Some(Ref::from_schema_name(ProblemBody::name()))),
            )
            .build(),
        Envelope::Admin => ResponseBuilder::new()
            .description("`{\"code\":status,\"message\":\"…\",\"data\":null,\"error\":\"code\"}`")
            .content(
                "application/json",
                Content::new(None::<RefOr<utoipa::openapi::Schema>>),
            )
            .build(),
        Envelope::Ekuiper => ResponseBuilder::new()
            .description("`{\"error\":code,\"message\":\"…\"}` and a line end")
            .content(
                "text/plain",
                Content::new(None::<RefOr<utoipa::openapi::Schema>>),
            )
            .build(),
    };
    operation
        .responses
        .responses
        .entry("default".to_owned())
        .or_insert(RefOr::T(failure));
}

/// The operations of a path with their methods.
pub(crate) fn operations(
    item: &mut PathItem,
) -> impl Iterator<Item = (axum::http::Method, &mut Operation)> {
    use axum::http::Method;
    [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::OPTIONS, &mut item.options),
        (Method::HEAD, &mut item.head),
        (Method::PATCH, &mut item.patch),
        (Method::TRACE, &mut item.trace),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
