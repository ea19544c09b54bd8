//! Reads a query and its profile from the store.

use crate::domain::find::Sought;
use crate::domain::record::QueryId;
use crate::http::error::ApiError;
use crate::http::view::View;
use crate::store::{StoredQuery, StoredText};

/// Returns the query that a person names by its id, or by the start of its id. Errors if the text names none or several, with "not
/// found" also where the user may not see the query.
pub(in crate::web) async fn resolve(view: &View, text: &str) -> Result<StoredQuery, ApiError> {
    let sought = Sought::new(text).map_err(|error| ApiError::BadRequest(error.to_string()))?;
    if let Some(id) = sought.query_id()
        && let Some(query) = view.record(&id).await?
    {
        return Ok(query);
    }
    let text = sought.text();
    let unknown = || ApiError::NotFound(format!("no query ID starts with {text}"));
    if sought.is_short() {
        return Err(ApiError::NotFound(format!(
            "no query has the ID {text}; the start of an ID needs at least {} characters",
            Sought::MIN_ID_START
        )));
    }
    let start = sought.id_start().ok_or_else(unknown)?;
    match &*view.ids_with_prefix(start, 2).await? {
        [] => Err(unknown()),
        [id] => match id.parse() {
            Ok(id) => view.record(&id).await?.ok_or_else(unknown),
            Err(_) => Err(unknown()),
        },
        _ => Err(ApiError::BadRequest(format!(
            "several query IDs start with {text}; write more of it"
        ))),
    }
}

/// Returns the stored text of a query's profile; `None` where no profile is stored.
pub(in crate::web) async fn stored_profile(
    view: &View,
    id: &str,
) -> Result<Option<StoredText>, ApiError> {
    let Ok(id) = id.parse::<QueryId>() else {
        return Ok(None);
    };
    Ok(view.profile(&id).await?.stored_text())
}
