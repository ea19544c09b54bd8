//! The header by which a push names its cluster.

use warp::http::HeaderMap;

use crate::domain::cluster::ClusterName;
use crate::http::error::ApiError;

/// The header that names the cluster of a push.
pub(super) const CLUSTER_HEADER: &str = "X-Annals-Cluster";

/// Returns the cluster that the headers of a push name; none if they name none. Errors if the name is not valid.
pub(super) fn cluster_of(headers: &HeaderMap) -> Result<Option<ClusterName>, ApiError> {
    let Some(value) = headers.get(CLUSTER_HEADER) else { return Ok(None) };
    let name = std::str::from_utf8(value.as_bytes()).ok().and_then(|name| name.parse().ok());
    let invalid = || {
        ApiError::BadRequest(format!(
            "the header {CLUSTER_HEADER} must be the name of a cluster: 1 to 128 bytes of UTF-8 without a comma or a control character"
        ))
    };
    name.map(Some).ok_or_else(invalid)
}
