//! `annals shift`: moves times that were read in a wrong time zone.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::args::{ConfigArgs, parse_time_ms};
use super::output::print;
use super::{CLOSING, READING};
use crate::config::Config;
use crate::domain::filter::{Choice, QueryFilter};
use crate::domain::time::{Zone, check_range, format_shift, parse_shift_ms};
use crate::store::{
    Address, BUSY_TIMEOUT, Batch, OpenError, Shift, Shifted, Store, TimeSource, Writer, ZoneGroup,
};

/// What `--read-as` and the summary call the zone of records of which none was noted.
const UNKNOWN: &str = "unknown";

/// Move times that were read in a wrong time zone
///
/// Moves start and end of the chosen queries and loads, and the times of log-ins. Times that the source wrote as instants (Unix
/// milliseconds, or with a zone) never move. --by says where the times belong, from how they were read: the same command again
/// changes nothing, another --by corrects it, and --by 0 undoes it. A command that was interrupted goes on when it is given
/// again. May run while annals serves; set the right zone and restart annals first.
///
/// The texts of profiles stay as they are.
#[derive(Debug, Args)]
pub struct ShiftArgs {
    /// How much later the times belong than they were read: 8h, -8h, 5h30m. Times of Asia/Shanghai that were read as UTC
    /// belong 8 hours earlier: -8h
    #[arg(long, value_name = "DURATION", value_parser = parse_shift_ms, allow_hyphen_values = true)]
    by: i64,
    /// Of this source, as /status names it: 'follow /var/log/doris/fe.audit.log', import, push
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of all sources, if the chosen records are of several
    #[arg(long, conflicts_with = "source")]
    all_sources: bool,
    /// Read in this zone; or unknown, for records of an annals that did not note it
    #[arg(long, value_name = "ZONE", value_parser = parse_read_as)]
    read_as: Option<ReadAs>,
    /// That started at this time or later, by their present times
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// That started before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Of this cluster. Log-ins have none, and stay then
    #[arg(long, value_name = "NAME")]
    cluster: Vec<String>,
    /// Of this frontend
    #[arg(long, value_name = "HOST")]
    frontend: Vec<String>,
    /// Say what would move, and move nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// The zone in which records were read.
#[derive(Debug, Clone, Copy)]
enum ReadAs {
    Zone(Zone),
    Unknown,
}

fn parse_read_as(text: &str) -> Result<ReadAs, String> {
    if text == UNKNOWN {
        return Ok(ReadAs::Unknown);
    }
    text.parse()
        .map(ReadAs::Zone)
        .map_err(|error: crate::domain::time::UnknownZone| error.to_string())
}

/// Runs the command.
pub async fn run(args: ShiftArgs) -> anyhow::Result<ExitCode> {
    let ShiftArgs {
        by,
        source,
        all_sources,
        read_as,
        from,
        to,
        cluster,
        frontend,
        dry_run,
        config,
    } = args;
    let config = config.read()?;
    let zone = config.zone();
    let time = |text: Option<String>| text.map(|text| parse_time_ms(&text, zone)).transpose();
    let (from_ms, to_ms) = (time(from)?, time(to)?);
    check_range(from_ms, to_ms)?;
    let any_of = |any_of| Choice { any_of, ..Choice::default() };
    let has_logins = cluster.is_empty();
    let filter = QueryFilter {
        from_ms,
        to_ms,
        cluster: any_of(cluster),
        frontend: any_of(frontend),
        ..QueryFilter::default()
    };
    let store = match dry_run {
        true => Store::open_to_read(&config.db()).await?,
        false => open(&config).await?,
    };
    let chosen = Chosen::read(&store, &filter, has_logins).await?;
    let chosen = chosen.only(source.as_deref(), read_as)?;
    if !all_sources && !dry_run {
        chosen.check_one_source()?;
    }
    for group in &chosen.0 {
        print(group.describe(by, zone));
    }
    if dry_run {
        print("nothing was changed");
    } else {
        let writer = store.writer(BUSY_TIMEOUT, config.retention.max_size).await?;
        let mut moved = 0;
        for group in &chosen.0 {
            moved += group.shift(by, &filter, &writer).await?;
        }
        writer.finish().await?;
        store.close().await.context(CLOSING)?;
        print(format_args!("moved: {moved}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn open(config: &Config) -> anyhow::Result<Store> {
    let db = config.db();
    if let Address::File(path) = &db
        && !path.exists()
    {
        return Err(OpenError::Missing(path.clone()).into());
    }
    let store = Store::open(&db).await?;
    super::report_reparsed(&store);
    Ok(store)
}

/// Records with what is known of the zone of their times.
struct ZonedGroup {
    rows: ZoneGroup,
    /// None if no zone was noted.
    zone: Option<TimeSource>,
}

/// The records of a filter whose times depend on a zone, or may.
struct Chosen(Vec<ZonedGroup>);

impl Chosen {
    async fn read(store: &Store, filter: &QueryFilter, has_logins: bool) -> anyhow::Result<Chosen> {
        let known = store.time_sources().await.context(READING)?;
        let mut groups = store.zone_groups(Shifted::Queries, filter).await.context(READING)?;
        if has_logins {
            groups.extend(store.zone_groups(Shifted::Logins, filter).await.context(READING)?);
        }
        let zoned = |rows: ZoneGroup| {
            let zone = known.iter().find(|zone| Some(zone.id) == rows.time_source).cloned();
            ZonedGroup { rows, zone }
        };
        Ok(Chosen(groups.into_iter().map(zoned).collect()))
    }

    /// Returns the groups of a source and a zone. Errors if there are none, or if they were read in several zones: one shift does
    /// not mend them.
    fn only(mut self, source: Option<&str>, read_as: Option<ReadAs>) -> anyhow::Result<Chosen> {
        let all = self.names();
        self.0.retain(|group| {
            source.is_none_or(|source| group.source() == source)
                && read_as.is_none_or(|read_as| group.was_read_as(read_as))
        });
        if self.0.is_empty() && all.is_empty() {
            bail!("no record matches that has a time which depends on a zone");
        }
        if self.0.is_empty() {
            bail!("no record matches; there are\n{}", all.join("\n"));
        }
        let names = self.names();
        let is_one_zone = self.0.iter().all(|group| {
            self.0.first().is_none_or(|first| match (&group.zone, &first.zone) {
                (Some(zone), Some(first)) => zone.time_zone == first.time_zone,
                (None, None) => true,
                (Some(zone), None) | (None, Some(zone)) => zone.time_zone.is_empty(),
            })
        });
        if !is_one_zone {
            bail!(
                "the records were read in several zones; name one with --read-as, or a source with --source:\n{}",
                names.join("\n")
            );
        }
        Ok(self)
    }

    /// Errors if the records are of several sources: one of them may have been read in the right zone.
    fn check_one_source(&self) -> anyhow::Result<()> {
        let first = self.0.first().map(ZonedGroup::source);
        if self.0.iter().any(|group| Some(group.source()) != first) {
            bail!(
                "the records are of several sources; name one with --source, or move all with --all-sources:\n{}",
                self.names().join("\n")
            );
        }
        Ok(())
    }

    /// Returns each source with its zone.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .0
            .iter()
            .map(|group| format!("  {}, read as {}", group.source(), group.zone_name()))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl ZonedGroup {
    fn source(&self) -> &str {
        self.zone.as_ref().map_or(UNKNOWN, |zone| match zone.source.as_str() {
            "" => UNKNOWN,
            name => name,
        })
    }

    fn zone_name(&self) -> &str {
        self.zone.as_ref().map_or(UNKNOWN, |zone| match zone.time_zone.as_str() {
            "" => UNKNOWN,
            name => name,
        })
    }

    fn was_read_as(&self, read_as: ReadAs) -> bool {
        match (read_as, &self.zone) {
            (ReadAs::Unknown, _) => self.zone_name() == UNKNOWN,
            (ReadAs::Zone(zone), Some(own)) => own.is_of(zone),
            (ReadAs::Zone(_), None) => false,
        }
    }

    /// Returns by how much the times move now.
    fn rest_ms(&self, by_ms: i64) -> i64 {
        by_ms - self.zone.as_ref().map_or(0, |zone| zone.shifted_ms)
    }

    fn describe(&self, by_ms: i64, zone: Zone) -> String {
        let ZoneGroup { what, count, first_ms, last_ms, .. } = self.rows;
        let what = match what {
            Shifted::Queries => "queries and loads",
            Shifted::Logins => "log-ins",
        };
        let range = |by_ms: i64| {
            let [first, last] =
                [first_ms, last_ms].map(|ms| zone.format_ms(ms.saturating_add(by_ms)));
            format!("{first} to {last}")
        };
        let rest_ms = self.rest_ms(by_ms);
        let head = format!("{}, read as {}: {what}: {count}", self.source(), self.zone_name());
        match rest_ms {
            0 => format!("{head}\n  are where they belong: {}", range(0)),
            _ => format!(
                "{head}\n  by {}, from {}\n  to {}",
                format_shift(rest_ms),
                range(0),
                range(rest_ms)
            ),
        }
    }

    /// Moves the times in small steps, so that others that write do not wait long. Returns how many rows moved.
    async fn shift(
        &self,
        by_ms: i64,
        filter: &QueryFilter,
        writer: &Writer,
    ) -> anyhow::Result<u64> {
        let rest_ms = self.rest_ms(by_ms);
        if rest_ms == 0 {
            return Ok(0);
        }
        let to = self.target(by_ms);
        let (mut first, mut moved) = (self.rows.first_row, 0);
        while first <= self.rows.last_row {
            let last = first.saturating_add(Shift::STEP_ROWS - 1).min(self.rows.last_row);
            let shift = Shift {
                what: self.rows.what,
                from: self.rows.time_source,
                to: to.clone(),
                by_ms: rest_ms,
                rows: (first, last),
                filter: filter.clone(),
            };
            moved += writer.write(Batch::shift(shift)).await?.shifted;
            first = last.saturating_add(1);
        }
        Ok(moved)
    }

    /// Returns the row of `time_source` of times that are moved by `by_ms` from how they were read; none if no zone was noted and
    /// they are not moved.
    fn target(&self, by_ms: i64) -> Option<TimeSource> {
        let unknown = || TimeSource {
            id: 0,
            source: String::new(),
            time_zone: String::new(),
            shifted_ms: 0,
            used_ms: 0,
        };
        let zone = self.zone.clone().unwrap_or_else(unknown);
        (by_ms != 0 || !zone.time_zone.is_empty())
            .then_some(TimeSource { shifted_ms: by_ms, ..zone })
    }
}
