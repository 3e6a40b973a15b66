//! The OpenAPI document.

use axum::http::Method;
use plugyard_http::{Envelope, RouteRight};
use plugyard_model::rights::Right;
use plugyard_server::{WiringError, openapi};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem};
use utoipa::openapi::{ComponentsBuilder, ObjectBuilder, OpenApi, OpenApiBuilder, PathsBuilder};

use crate::support::World;

fn document(path: &str, id: Option<&str>) -> OpenApi {
    let operation = OperationBuilder::new().operation_id(id);
    let item = PathItem::new(HttpMethod::Get, operation);
    OpenApiBuilder::new()
        .paths(PathsBuilder::new().path(path, item))
        .build()
}

fn document_with_problem() -> OpenApi {
    let mut described = document("/b", Some("b"));
    let problem = ObjectBuilder::new().description(Some("another"));
    let components = ComponentsBuilder::new().schema("Problem", problem);
    described.components = Some(components.build());
    described
}

fn right(path: &'static str) -> RouteRight {
    RouteRight {
        method: Method::GET,
        path,
        right: Right::FlowRead,
        envelope: Envelope::Native,
    }
}

#[tokio::test]
async fn the_document_served_is_the_one_that_is_made_without_a_server() {
    let world = World::start(|_| {}).await;
    let served = world.anonymous().get("/openapi.json").await.json();
    let made = serde_json::to_value(openapi("1.2.3-test", []).unwrap()).unwrap();
    for (path, item) in made["paths"].as_object().unwrap() {
        assert_eq!(served["paths"][path], *item, "{path}");
    }
    assert_eq!(made["info"]["version"], "1.2.3-test");
    for schema in ["Problem", "Finding", "Installation", "Operation"] {
        assert!(
            made["components"]["schemas"][schema].is_object(),
            "{schema}"
        );
    }
}

#[tokio::test]
async fn every_reference_of_the_document_leads_somewhere() {
    let text = openapi("1", []).unwrap().to_json().unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut count = 0;
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        count += 1;
    }
    assert!(count > 20);
}

#[test]
fn an_operation_without_a_right_stops_the_program() {
    let error = openapi("1", [(document("/a", Some("a")), vec![])])
        .err()
        .unwrap();
    assert!(matches!(error, WiringError::NoRight { .. }), "{error}");
    let error = openapi("1", [(OpenApi::default(), vec![right("/a")])])
        .err()
        .unwrap();
    assert!(matches!(error, WiringError::NoOperation { .. }), "{error}");
    for id in [None, Some("ping")] {
        let error = openapi("1", [(document("/a", id), vec![right("/a")])])
            .err()
            .unwrap();
        assert!(matches!(error, WiringError::OperationId { .. }), "{error}");
    }
    let mut described = document("/a", Some("a"));
    let other = ComponentsBuilder::new().schema("Problem", ObjectBuilder::new());
    described.components = Some(other.build());
    let twice = [
        (described.clone(), vec![right("/a")]),
        (document_with_problem(), vec![right("/b")]),
    ];
    let error = openapi("1", twice).err().unwrap();
    assert!(matches!(error, WiringError::Schema { .. }), "{error}");
    let twice = vec![right("/a"), right("/a")];
    let error = openapi("1", [(document("/a", Some("a")), twice)])
        .err()
        .unwrap();
    assert!(matches!(error, WiringError::Rights(_)), "{error}");
}
