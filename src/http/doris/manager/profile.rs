//! `…/profile/…`: the forms in which the manager shows a profile.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::domain::profile::Section;
use crate::http::answer::Answer;
use crate::http::doris::envelope::success;
use crate::http::doris::no_profile;
use crate::http::error::ApiError;
use crate::http::query_ids::doris_query_id;
use crate::http::route::{ReadRequest, Route};

pub(super) const TEXT: Route =
    Route::new("/rest/v2/manager/query/profile/text/{*query_id}", |to, path| to.get(path, text));
pub(super) const JSON: Route =
    Route::new("/rest/v2/manager/query/profile/json/{*query_id}", |to, path| to.get(path, brief));
pub(super) const FRAGMENTS: Route =
    Route::new("/rest/v2/manager/query/profile/fragments/{*query_id}", |to, path| {
        to.get(path, fragments)
    });
pub(super) const GRAPH: Route =
    Route::new("/rest/v2/manager/query/profile/graph/{*query_id}", |to, path| to.get(path, graph));
pub(super) const OTHER_FORM: Route =
    Route::new("/rest/v2/manager/query/profile/{form}/{*query_id}", |to, path| {
        to.get(path, unknown_form)
    });

/// Answers with the profile's text, or with an empty object if there is none.
async fn text(request: ReadRequest) -> Result<Answer, ApiError> {
    let text = stored_text(&request).await?;
    let profile = |text: Vec<u8>| json!({ "profile": String::from_utf8_lossy(&text) });
    success(text.map_or(json!({}), profile), 0)
}

/// Answers with a brief of the profile's tree, or with an empty object if there is none. Doris sends the brief as JSON
/// within a string.
async fn brief(request: ReadRequest) -> Result<Answer, ApiError> {
    let Some(text) = stored_text(&request).await? else {
        return success(json!({}), 0);
    };
    let tree = Section::parse(&String::from_utf8_lossy(&text));
    let brief = serde_json::to_string(&tree.brief());
    let brief = brief.map_err(|error| ApiError::Internal(error.into()))?;
    success(json!({ "profile": brief }), 0)
}

/// Answers with the operators of the profile, drawn as a tree in plain text.
async fn graph(request: ReadRequest) -> Result<Answer, ApiError> {
    success(json!({ "graph": tree(&request).await?.render_tree() }), 0)
}

/// Answers with the time of each fragment, and of each of its instances with the backend where the instance ran.
/// Profiles of 2.1 and later do not tell instances apart.
async fn fragments(request: ReadRequest) -> Result<Answer, ApiError> {
    let tree = tree(&request).await?;
    let mut hosts = HashMap::new();
    instance_hosts(&tree, &mut hosts);
    let fragments: Vec<Value> = tree
        .fragments()
        .into_iter()
        .map(|fragment| {
            let instances: serde_json::Map<String, Value> = fragment
                .instances
                .into_iter()
                .map(|(instance, time)| {
                    let host = hosts.get(instance.as_str()).map_or("", String::as_str);
                    (instance, json!({ "host": host, "active_time": time }))
                })
                .collect();
            json!({
                "fragment_id": fragment.id,
                "time": fragment.time,
                "instance_id": instances,
            })
        })
        .collect();
    success(fragments, 0)
}

/// Collects the backend of each instance: `Instance ID (host=TNetworkAddress(hostname:10.0.0.1, port:9060))`.
fn instance_hosts<'p>(section: &'p Section, hosts: &mut HashMap<&'p str, String>) {
    let instance = section.name.strip_prefix("Instance ").and_then(|name| name.split_once(' '));
    if let Some((id, address)) = instance {
        let part = |key: &str| {
            let (_, behind) = address.split_once(key)?;
            behind.split([',', ')']).next().map(str::trim)
        };
        if let (Some(host), Some(port)) = (part("hostname:"), part("port:")) {
            hosts.insert(id, format!("{host}:{port}"));
        }
    }
    for child in &section.children {
        instance_hosts(child, hosts);
    }
}

/// Answers as Doris does to a form that it does not have.
async fn unknown_form(request: ReadRequest) -> Result<Answer, ApiError> {
    let form = request.path.get("form");
    Err(ApiError::Unsupported(format!("Invalid profile format: {form}")))
}

async fn stored_text(request: &ReadRequest) -> Result<Option<Vec<u8>>, ApiError> {
    let query_id = doris_query_id(request.path.get("query_id"))?;
    Ok(request.view.profile(&query_id).await?.text())
}

async fn tree(request: &ReadRequest) -> Result<Section, ApiError> {
    let query_id = doris_query_id(request.path.get("query_id"))?;
    let (text, _) = request.view.known_profile(&query_id, no_profile).await?;
    Ok(Section::parse(&String::from_utf8_lossy(&text)))
}
