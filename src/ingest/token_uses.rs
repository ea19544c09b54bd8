//! Notes when tokens were used last, so that a list shows which one nobody needs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Pipeline, unpoisoned};
use crate::domain::token::{Token, TokenHash};
use crate::store::Batch;

/// A use is noted if the last noted one is older than this: a token that is used all the time costs a commit each hour.
const NOTED_EVERY_MS: i64 = 3600 * 1000;
/// From an error to the next try.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Uses of tokens, with their times in Unix milliseconds.
#[derive(Debug, Default)]
pub(crate) struct TokenUses {
    uses: Mutex<Uses>,
    has_unstored: Notify,
}

#[derive(Debug, Default)]
struct Uses {
    /// The last noted use of each token.
    noted: HashMap<TokenHash, i64>,
    /// The noted uses that are not stored yet.
    unstored: Vec<(TokenHash, i64)>,
}

impl TokenUses {
    /// Notes that a token is used, unless it was noted lately.
    pub(crate) fn note(&self, token: &Token, now_ms: i64) {
        let is_due = |used_ms: i64| now_ms - used_ms >= NOTED_EVERY_MS;
        if !token.used_ms.is_none_or(is_due) {
            return;
        }
        let mut uses = unpoisoned(&self.uses);
        if uses.noted.get(&token.hash).copied().is_none_or(is_due) {
            uses.noted.insert(token.hash, now_ms);
            uses.unstored.push((token.hash, now_ms));
            self.has_unstored.notify_one();
        }
    }
}

/// Stores the uses of tokens, without end.
pub(crate) async fn note_token_uses(pipeline: Arc<Pipeline>, uses: Arc<TokenUses>) {
    loop {
        uses.has_unstored.notified().await;
        let unstored = std::mem::take(&mut unpoisoned(&uses.uses).unstored);
        let mut batch = Batch::default();
        for (token, used_ms) in &unstored {
            batch.token_used(*token, *used_ms);
        }
        if let Err(error) = pipeline.write_derived(batch).await {
            tracing::debug!(%error, "the uses of tokens are not stored");
            tokio::time::sleep(RETRY_INTERVAL).await;
            // The next use of each is noted again.
            let mut uses = unpoisoned(&uses.uses);
            uses.noted.retain(|token, _| !unstored.iter().any(|(failed, _)| failed == token));
        }
    }
}
