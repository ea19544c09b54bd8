//! Reads the part of a profile before the execution into a query record.
//!
//! The known sources of the format in Doris are `SummaryProfile.java` (`Summary` and `Execution Summary`, 1.2 to 4.x),
//! before it `StmtExecutor.initProfile` (0.8 to 1.1, all keys in `Summary`), and `Profile.getChangedSessionVars` for
//! the variables (since 2.1). In StarRocks they are `ProfileManager.java` and `StmtExecutor.buildTopLevelProfile` (2.x
//! to 4.x), and `StreamLoadTask` and `LoadLoadingTask` for loads.

use super::phases::Phases;
use super::tree::Section;
use crate::domain::record::{Kind, Load, Origin, QueryIdError, QueryRecord, Zoned};
use crate::domain::time::{Zone, parse_duration_ms, read_time};

/// The part of a profile before its execution.
pub(super) struct Summary<'t>(Section<'t>);

impl<'t> Summary<'t> {
    pub(super) fn read(text: &'t str) -> Summary<'t> {
        Summary(Section::parse_head(text))
    }

    fn section(&self, name: &str) -> Option<&Section<'t>> {
        self.0.part(|section| section == name)
    }

    /// Returns the value of the first of the keys that a section has, if the value is known.
    fn value(&self, section: &str, keys: &[&str]) -> Option<&str> {
        let section = self.section(section)?;
        let nested = section.counters.iter().flat_map(|counter| &counter.children);
        let mut all = section.counters.iter().chain(nested);
        let found = all.find(|counter| keys.contains(&&*counter.name))?;
        known(&found.value)
    }

    /// Returns a value of the summary.
    fn get(&self, keys: &[&str]) -> Option<&str> {
        self.value("Summary", keys)
    }

    /// Returns a value that newer versions write into the execution summary and older ones into the summary.
    fn get_anywhere(&self, keys: &[&str]) -> Option<&str> {
        self.value("Execution Summary", keys)
            .or_else(|| self.value("ExecutionSummary", keys))
            .or_else(|| self.get(keys))
    }

    pub(super) fn state(&self) -> Option<&str> {
        self.get(&["Task State", "Query State"])
    }

    fn kind(&self) -> Kind {
        match self.get(&["Task Type", "Query Type"]) {
            Some(name) => Kind::of_name(name),
            None if self.0.children.iter().any(|root| root.name == "Load") => Kind::Load,
            None => Kind::Query,
        }
    }

    pub(super) fn into_record(self, zone: Zone) -> Result<QueryRecord, QueryIdError> {
        let owned = |keys: &[&str]| self.get(keys).map(str::to_string);
        let flag = |keys: &[&str]| self.get_anywhere(keys).and_then(parse_bool);
        let id = self.get(&["Profile ID", "Query ID"]).unwrap_or_default().parse()?;
        let mut record = QueryRecord::new(id, self.kind(), Origin::Summary);
        record.state = owned(&["Task State", "Query State"]);
        record.user = self.get(&["User"]).map(without_cluster);
        record.catalog = owned(&["Default Catalog"]);
        record.db = self.get(&["Default Db"]).map(without_cluster);
        record.statement = owned(&["Sql Statement"]);
        record.compute_group = owned(&["Warehouse"]);
        record.workload_group = self.get_anywhere(&["Workload Group"]).map(str::to_string);
        record.is_nereids = flag(&["Is Nereids"]);
        record.cache_hit = flag(&["Is Cached"]);
        let variables = self.variables();
        let context = variables.get("session_context").and_then(|value| value.as_str());
        let trace_id = self.get_anywhere(&["Trace ID"]);
        record.trace_id = trace_id.or_else(|| trace_id_of(context?)).map(str::to_string);
        let started = self.get(&["Start Time"]).and_then(|time| read_time(time, zone));
        let mut time = started;
        record.started_ms = started.map(|time| time.ms);
        // A running query has an end and a duration so far, which are not final.
        if !record.is_running() {
            let ended = self.get(&["End Time"]).and_then(|time| read_time(time, zone));
            record.ended_ms = ended.map(|time| time.ms);
            time = time.or(ended);
            record.duration_ms = self.get(&["Total"]).and_then(parse_duration_ms);
        }
        record.zoned = time.map_or(Zoned::Unknown, |time| Zoned::of_read(time.is_local));
        let phases = Phases::of(&self.0);
        record.queue_time_ms = phases.duration_ms(Phases::QUEUE);
        record.parse_time_ms = phases.duration_ms(Phases::PARSE);
        record.plan_time_ms = phases.duration_ms(Phases::PLAN);
        record.schedule_time_ms = phases.duration_ms(Phases::SCHEDULE);
        if !variables.is_empty() {
            record.changed_variables =
                Some(serde_json::Value::Object(variables).to_string().into());
        }
        record.load = self.load().map(Box::new);
        Ok(record)
    }

    /// Returns what StarRocks reports about a load.
    fn load(&self) -> Option<Load> {
        let number = |keys: &[&str]| self.get(keys)?.parse().ok();
        let load = Load {
            load_type: self.get(&["Load Type"]).map(str::to_string),
            loaded_rows: number(&["NumRowsNormal"]),
            filtered_rows: number(&["NumRowsAbnormal"]),
            unselected_rows: number(&["NumRowsUnselected", "numRowsUnselected"]),
            load_bytes: number(&["NumLoadBytesTotal"]),
            ..Load::default()
        };
        (load != Load::default()).then_some(load)
    }

    /// Returns the session variables that differ from their defaults. Doris lists them as a table up to 3.0
    /// (`VarName | CurrentValue | DefaultValue`), and as JSON later.
    fn variables(&self) -> serde_json::Map<String, serde_json::Value> {
        let section = self.section("Changed Session Variables");
        let section = section.or_else(|| self.section("ChangedSessionVariables"));
        let mut variables = serde_json::Map::new();
        let Some(lines) = section.map(|section| &section.lines) else { return variables };
        if lines.first().is_some_and(|line| line.starts_with('[')) {
            let rows: Vec<Variable> = serde_json::from_str(&lines.join("\n")).unwrap_or_default();
            variables.extend(rows.into_iter().map(|row| (row.name, row.value.into())));
            return variables;
        }
        // The first two lines are the heading of the table and its rule.
        for line in lines.iter().skip(2) {
            let mut cells = line.split('|').map(str::trim);
            if let (Some(name), Some(value), Some(_)) = (cells.next(), cells.next(), cells.next()) {
                variables.insert(name.to_string(), value.into());
            }
        }
        variables
    }
}

/// A session variable that differs from its default.
#[derive(serde::Deserialize)]
struct Variable {
    #[serde(rename = "VarName")]
    name: String,
    #[serde(rename = "CurrentValue")]
    value: String,
}

/// Returns a value without white space around it, or None if it is one that frontends write for an unknown value.
fn known(value: &str) -> Option<&str> {
    let value = value.trim();
    let unknown = ["", "N/A", "null", "UNKNOWN", "NULL"];
    (!unknown.contains(&value)).then_some(value)
}

fn parse_bool(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// Returns a name without the cluster that Doris up to 1.2 and StarRocks up to 2.5 write before it.
fn without_cluster(name: &str) -> String {
    name.strip_prefix("default_cluster:").unwrap_or(name).to_string()
}

/// Returns the trace id in the variable `session_context`: `trace_id:checkout-7;shop:12`
/// (`SessionVariable.getTraceId`).
fn trace_id_of(context: &str) -> Option<&str> {
    let pairs = context.split(';').filter_map(|pair| pair.split_once(':'));
    let (_, id) = pairs.into_iter().find(|(key, _)| key.trim() == "trace_id")?;
    known(id)
}
