//! `…/profile/…`: the forms in which the manager shows a profile.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::json;

use crate::domain::profile::{Section, lossy};
use crate::http::answer::Answer;
use crate::http::doris::envelope::{profile_in_envelope, success};
use crate::http::doris::no_profile;
use crate::http::error::ApiError;
use crate::http::query_ids::doris_query_id;
use crate::http::route::{ReadRequest, Route};
use crate::store::{StoredProfile, StoredText};

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

/// The longest backend of an instance, in bytes: a host name has 255 at most. Every instance may repeat it.
const MAX_HOST: usize = 300;

/// Answers with the profile's text, or with an empty object if there is none.
async fn text(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = doris_query_id(request.path.get("query_id"))?;
    match request.view.profile(&query_id).await? {
        StoredProfile::Text(text, hash) => Ok(profile_in_envelope(text, hash)),
        StoredProfile::None | StoredProfile::UnknownQuery => success(json!({}), 0),
    }
}

/// Answers with a brief of the profile's tree, or with an empty object if there is none. Doris sends the brief as JSON
/// within a string.
async fn brief(request: ReadRequest) -> Result<Answer, ApiError> {
    let query_id = doris_query_id(request.path.get("query_id"))?;
    let Some(text) = request.view.profile(&query_id).await?.stored_text() else {
        return success(json!({}), 0);
    };
    let brief = |text: &[u8]| {
        let brief = serde_json::to_string(&Section::parse(&lossy(text)).brief())?;
        success(Brief { profile: &brief }, 0)
    };
    request.view.answer(text, brief).await
}

#[derive(Serialize)]
struct Brief<'b> {
    profile: &'b str,
}

/// Answers with the operators of the profile, drawn as a tree in plain text.
async fn graph(request: ReadRequest) -> Result<Answer, ApiError> {
    let graph = |text: &[u8]| {
        let graph = Section::parse(&lossy(text)).render_tree();
        success(Graph { graph: &graph }, 0)
    };
    request.view.answer(stored_text(&request).await?, graph).await
}

#[derive(Serialize)]
struct Graph<'g> {
    graph: &'g str,
}

/// Answers with the time of each fragment, and of each of its instances with the backend where the instance ran.
/// Profiles of 2.1 and later do not tell instances apart.
async fn fragments(request: ReadRequest) -> Result<Answer, ApiError> {
    let fragments = |text: &[u8]| {
        let text = lossy(text);
        let tree = Section::parse(&text);
        let mut hosts = HashMap::new();
        instance_hosts(&tree, &mut hosts);
        let fragments = tree.fragments().into_iter().map(|fragment| Fragment {
            fragment_id: fragment.id,
            time: fragment.time,
            instance_id: fragment
                .instances
                .into_iter()
                .map(|(name, active_time)| {
                    let host = hosts.get(name).map_or("", String::as_str);
                    (name, Instance { host, active_time })
                })
                .collect(),
        });
        success(fragments.collect::<Vec<_>>(), 0)
    };
    request.view.answer(stored_text(&request).await?, fragments).await
}

#[derive(Serialize)]
struct Fragment<'f> {
    fragment_id: &'f str,
    time: &'f str,
    instance_id: BTreeMap<&'f str, Instance<'f>>,
}

#[derive(Serialize)]
struct Instance<'f> {
    host: &'f str,
    active_time: &'f str,
}

/// Collects the backend of each instance: `Instance ID (host=TNetworkAddress(hostname:10.0.0.1, port:9060))`.
fn instance_hosts<'p>(section: &'p Section<'_>, hosts: &mut HashMap<&'p str, String>) {
    let instance = section.name.strip_prefix("Instance ").and_then(|name| name.split_once(' '));
    if let Some((id, address)) = instance {
        let part = |key: &str| {
            let (_, behind) = address.split_once(key)?;
            behind.split([',', ')']).next().map(str::trim).filter(|part| part.len() <= MAX_HOST)
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

async fn stored_text(request: &ReadRequest) -> Result<StoredText, ApiError> {
    let query_id = doris_query_id(request.path.get("query_id"))?;
    let (text, _) = request.view.known_profile(&query_id, no_profile).await?;
    Ok(text)
}
