//! Reading the plans that an import left unread, for a command that needs them.

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::CLOSING;
use crate::ingest::read_all_plans;
use crate::store::{Address, BUSY_TIMEOUT, Reader, Store};

/// Fewer plans than these are read within half a second, and need no bar.
const WITHOUT_BAR: i64 = 2000;

/// Reads the plans of all profiles whose plan is not read, with a bar on a terminal if there are many.
pub(super) async fn read_plans(address: &Address) -> anyhow::Result<()> {
    let store = Store::open(address).await?;
    let bar = bar(store.unread_profiles(Reader::default()).await?);
    let writer = store.writer(BUSY_TIMEOUT, None).await?;
    let read = read_all_plans(&store, &writer, |plans| bar.inc(plans)).await;
    bar.finish_and_clear();
    // What is read is stored, whatever stopped the reading.
    let finished = writer.finish().await;
    store.close().await.context(CLOSING)?;
    read?;
    Ok(finished?)
}

fn bar(profiles: i64) -> ProgressBar {
    if profiles < WITHOUT_BAR {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(profiles.unsigned_abs());
    match ProgressStyle::with_template("{wide_bar} {pos}/{len} plans read, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
