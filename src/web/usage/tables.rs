//! The tables of users, databases, tables, clients, clusters and statements.

use maud::{Markup, html};

use crate::http::Parameters;
use crate::http::query_parameters::address;
use crate::store::{UsageCosts, UsageGroups, UsageOrder, UsageRow};
use crate::web::paths::{FAILED, UNKNOWN, narrowed};
use crate::web::{chart, format, paths};

/// What groups are made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Db,
    Table,
    Client,
    Cluster,
    Statement,
}

pub(super) const KINDS: [Kind; 6] =
    [Kind::User, Kind::Db, Kind::Table, Kind::Client, Kind::Cluster, Kind::Statement];

impl Kind {
    /// Returns the heading of the table, and what the runs of an unknown group have.
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Kind::User => ("Users", "user unknown"),
            Kind::Db => ("Databases", "no database"),
            Kind::Table => ("Tables", "no tables recorded"),
            Kind::Client => ("Client hosts", "client unknown"),
            Kind::Cluster => ("Clusters", "cluster unknown"),
            Kind::Statement => ("Statements", "no statement recorded"),
        }
    }

    /// Returns the parameter that filters by a group.
    fn parameter(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Db => "db",
            Kind::Table => "table",
            Kind::Client => "client",
            Kind::Cluster => "cluster",
            Kind::Statement => "fingerprint",
        }
    }
}

/// A figure of a row: its order, the heading and what returns the value and its text.
type Column = (UsageOrder, &'static str, fn(&UsageCosts) -> String);

const COLUMNS: [Column; 5] = [
    (UsageOrder::Running, "Time", |costs| format::duration(costs.running_ms)),
    (UsageOrder::CpuTime, "CPU time", |costs| format::duration(costs.cpu_time_ms)),
    (UsageOrder::ScanBytes, "Scanned", |costs| format::bytes(costs.scan_bytes)),
    (UsageOrder::Errors, "Failed", |costs| format::number(Some(costs.errors))),
    (UsageOrder::Count, "Runs", |costs| format::number(Some(costs.count))),
];

/// What the figures mean.
pub(super) const MEANING: &str = "Time is how long runs ran within the range, together. Of a run that is only partly in it, CPU time and bytes scanned \
    count by the same part.";

/// What the tables of a page have in common.
pub(super) struct UsageTables<'a> {
    /// The parameters of the page. Links keep its filters.
    pub parameters: &'a Parameters,
    /// Begin and end of what links show.
    pub range: (i64, i64),
    /// What is said of runs that started before the begin.
    pub began: &'static str,
    /// The order of all tables, which their heads choose; None where the page has no choice.
    pub order: Option<UsageOrder>,
    /// Whether anything ran in the baseline: else every group would be new.
    pub has_baseline: bool,
    /// Whether clusters have a table.
    pub has_clusters: bool,
}

impl UsageTables<'_> {
    /// Returns what all runs cost.
    pub(super) fn total(&self, total: &UsageRow) -> Markup {
        let memory = |costs: &UsageCosts| format::bytes(costs.peak_memory_bytes);
        let figures = COLUMNS.map(|(_, label, text)| (label, text));
        let figures = figures.into_iter().chain([("Peak memory of a run", memory as fn(&_) -> _)]);
        html! {
            dl.facts {
                @for (label, text) in figures {
                    div {
                        dt { (label) }
                        dd {
                            @match label {
                                "Runs" => (self.runs(&total.now, Some(paths::kept_of(self.parameters)))),
                                "Failed" => (self.failed(&total.now, Some(paths::kept_of(self.parameters)))),
                                _ => (text(&total.now)),
                            }
                            @if let Some(before) = self.before(total) { " " span.before { "was " (text(before)) } }
                        }
                    }
                }
            }
        }
    }

    /// Returns what a group cost in the baseline, if anything ran in it.
    fn before<'r>(&self, row: &'r UsageRow) -> Option<&'r UsageCosts> {
        row.before.as_ref().filter(|_| self.has_baseline)
    }

    /// Returns the tables of all kinds, and what their figures mean.
    pub(super) fn sections(&self, groups: [(Kind, &UsageGroups); 6]) -> Markup {
        let shown =
            groups.into_iter().filter(|(kind, _)| self.has_clusters || *kind != Kind::Cluster);
        html! { div.usage-groups { @for (kind, groups) in shown { (self.section(kind, groups)) } } }
    }

    /// Returns the table of one kind with its heading.
    fn section(&self, kind: Kind, groups: &UsageGroups) -> Markup {
        let (heading, _) = kind.labels();
        let id = format!("by-{}", kind.parameter());
        let max = groups.rows.iter().flat_map(|row| [Some(&row.now), self.before(row)]);
        let max_ms = max.flatten().filter_map(|costs| costs.running_ms).max().unwrap_or(0);
        html! {
            section.all[kind == Kind::Statement] aria-labelledby=(id) {
                div.heading {
                    h2 id=(id) { (heading) }
                    p.note {
                        @if groups.groups > groups.rows.len() { (groups.rows.len()) " of " }
                        (format::integer(groups.groups as i64))
                    }
                }
                table.statements.usage {
                    thead {
                        tr {
                            th scope="col" { (heading.trim_end_matches('s')) }
                            @for (order, label, _) in COLUMNS { (self.head(order, label)) }
                        }
                    }
                    tbody { @for row in &groups.rows { (self.row(kind, row, max_ms)) } }
                }
            }
        }
    }

    fn head(&self, order: UsageOrder, label: &str) -> Markup {
        let name = UsageOrder::NAMES.into_iter().find(|(_, it)| *it == order);
        let name = name.map_or("", |(name, _)| name);
        html! {
            th.number scope="col" aria-sort=[(self.order == Some(order)).then_some("descending")] {
                @match self.order {
                    Some(_) => a href=(address(paths::USAGE, self.parameters, &[("order", name)])) { (label) },
                    None => (label),
                }
            }
        }
    }

    fn row(&self, kind: Kind, row: &UsageRow, max_ms: i64) -> Markup {
        let before = self.before(row);
        let is_new = before.is_some_and(|before| before.count == 0);
        let listed = self.group(kind, row);
        let listed =
            listed.map(|(name, value)| narrowed(paths::kept_of(self.parameters), name, &value));
        html! {
            tr {
                td.statement {
                    (self.name(kind, row))
                    @if is_new { span.badge title="Nothing of this ran in the earlier range" { "new" } }
                }
                @for (order, label, text) in COLUMNS {
                    td.number.duration[order == UsageOrder::Running] data-label=(label) {
                        @if order == UsageOrder::Running { (chart::bar(row.now.running_ms.unwrap_or(0), max_ms)) }
                        @match order {
                            UsageOrder::Count => (self.runs(&row.now, listed.clone())),
                            UsageOrder::Errors => (self.failed(&row.now, listed.clone())),
                            _ => (text(&row.now)),
                        }
                        @if let Some(before) = before.filter(|_| !is_new) {
                            div.before {
                                @if order == UsageOrder::Running { (chart::bar(before.running_ms.unwrap_or(0), max_ms)) }
                                "was " (text(before))
                            }
                        }
                    }
                }
            }
        }
    }

    /// Returns the parameter and the value that filter by a group; None if no filter chooses it.
    fn group(&self, kind: Kind, row: &UsageRow) -> Option<(&'static str, String)> {
        let name = kind.parameter();
        let value = match kind {
            Kind::Statement => row.fingerprint.map(|fingerprint| fingerprint.to_string()),
            // Other tables may have this name behind that of their catalog.
            Kind::Table => row.name.as_ref().map(|name| match name.matches('.').count() {
                0 | 1 => format!("={name}"),
                _ => name.clone(),
            }),
            _ => row.name.clone(),
        };
        let Some(value) = value else { return Some((UNKNOWN, name.to_string())) };
        // A link with an empty value would be one to all queries.
        (!value.is_empty()).then_some((name, value))
    }

    fn name(&self, kind: Kind, row: &UsageRow) -> Markup {
        let (_, unknown) = kind.labels();
        let unknown = html! { span.unknown { (unknown) } };
        let link = match (self.group(kind, row), row.fingerprint) {
            (None, _) => return unknown,
            (_, Some(fingerprint)) => paths::statement_of(fingerprint, &self.kept()),
            (Some((name, value)), _) => {
                let mut usage = self.kept();
                for name in ["order", "baseline", "limit"] {
                    usage.set(name, self.parameters.get(name).cloned().unwrap_or_default());
                }
                address(paths::USAGE, &narrowed(usage, name, &value), &[])
            }
        };
        html! {
            a href=(link) {
                @match (&row.name, row.fingerprint) {
                    (Some(name), _) => bdi { (name) },
                    (None, Some(_)) => "statement",
                    (None, None) => (unknown),
                }
            }
        }
    }

    /// Returns the filters and the range.
    fn kept(&self) -> Parameters {
        paths::with_range(&paths::kept_of(self.parameters), self.range)
    }

    /// Returns the number of runs as a link to those in the history that started in the range, and how many are not there.
    /// `listed` chooses the runs, if a filter does.
    fn runs(&self, costs: &UsageCosts, listed: Option<Parameters>) -> Markup {
        self.listed((costs.count, costs.began_before), listed)
    }

    /// Returns the same of the failed runs.
    fn failed(&self, costs: &UsageCosts, listed: Option<Parameters>) -> Markup {
        let (name, value) = FAILED;
        let listed = listed.map(|listed| narrowed(listed, name, value));
        self.listed((costs.errors, costs.errors_began_before), listed)
    }

    fn listed(&self, (count, began_before): (i64, i64), listed: Option<Parameters>) -> Markup {
        let shown = format::number(Some(count));
        let [from, to] = [self.range.0, self.range.1].map(|ms| ms.to_string());
        let times = [("from", from.as_str()), ("to", to.as_str())];
        html! {
            @match listed.filter(|_| count > began_before) {
                Some(listed) => a href=(address(paths::HISTORY, &listed, &times)) { (shown) },
                None => (shown),
            }
            @if began_before > 0 { " " span.before { (format::integer(began_before)) " " (self.began) } }
        }
    }
}
