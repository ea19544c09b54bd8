use super::*;

/// A path to a route, with a text for each part that varies.
fn example(route: &Route) -> String {
    let parts = route.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_has_a_label_in_the_metrics() {
    for route in all_routes() {
        assert_eq!(label(&example(route)), route.label(), "{}", route.path);
    }
    assert_eq!(label("/no/such/path"), "other");
}

#[test]
fn every_route_is_below_the_start_of_its_group() {
    for (start, routes) in &ROUTES {
        for route in *routes {
            assert!(route.path.starts_with(start), "{} {start}", route.path);
        }
    }
}

#[test]
fn every_route_of_annals_own_is_described() {
    let description = v1::openapi::description();
    let operations = description
        .paths
        .paths
        .values()
        .flat_map(|item| [&item.get, &item.put, &item.post])
        .flatten()
        .count();
    let described = v1::ROUTES.iter().filter(|route| route.path != v1::openapi::PATH);
    for route in described.clone() {
        assert!(description.paths.paths.contains_key(route.path), "{}", route.path);
    }
    assert_eq!(described.count(), operations);
}

#[test]
fn every_route_has_the_kind_that_its_method_needs() {
    let description = v1::openapi::description();
    for (path, item) in &description.paths.paths {
        let pushes = item.put.is_some() || item.post.is_some();
        let is_push = |route: &&Route| route.path == path && route.kind == RouteKind::Push;
        assert_eq!(all_routes().any(|route| is_push(&route)), pushes, "{path}");
    }
    for (method, path, expected) in [
        (Method::GET, "/", RouteKind::Read),
        (Method::GET, "/api/health", RouteKind::Probe),
        (Method::HEAD, "/api/bootstrap/", RouteKind::Probe),
        (Method::GET, "/api/v1/queries", RouteKind::Read),
        (Method::POST, "/api/v1/queries", RouteKind::Push),
        (Method::PUT, "/api/v1/queries/1-2/profile", RouteKind::Push),
        (Method::GET, "/api/v1/queries/1-2/profile", RouteKind::Read),
        (Method::PUT, "/api/d/t/_stream_load", RouteKind::Push),
        (Method::GET, "/api/v1/statements", RouteKind::Report),
        (Method::GET, "/statements/1", RouteKind::Report),
        (Method::GET, "/events", RouteKind::Stream),
        (Method::GET, "/no/such/path", RouteKind::Read),
        (Method::POST, "/rest/v1/login", RouteKind::Read),
    ] {
        assert_eq!(kind(&method, path), expected, "{method} {path}");
    }
}
