//! Rows on the network.

use super::context::{Context, is_scan, name};
use super::quantity::{Quantity, Unit, bytes, ns, ratio, rows};
use super::rules::{Advice, Case, Rule};

const ROW_COUNT: Quantity = Quantity::new("rows of the exchange", 1e7, Unit::Rows);
const PART: Quantity =
    Quantity::new("rows of the exchange over rows of all scans", 0.5, Unit::Times);
const TIME: Quantity = Quantity::new("own time of the exchange", 1e9, Unit::Ns);
const SHARE: Quantity = Quantity::new("own time over the query's duration", 20.0, Unit::Percent);

pub(super) const LARGE: Rule = Rule {
    id: "large-exchange",
    thresholds: &[ROW_COUNT, PART, TIME, SHARE],
    meaning: "An exchange sends a large part of all rows that were read to other backends.",
    doris: Some(Advice::new(
        "Distribute tables that are joined often by the columns of the join, or make them a colocation group; filter or aggregate before the exchange.",
        "colocate_with",
        "https://doris.apache.org/docs/4.x/query-acceleration/colocation-join/",
    )),
    starrocks: Some(Advice::new(
        "Distribute tables that are joined often by the columns of the join, or make them a colocation group; filter or aggregate before the exchange.",
        "colocate_with",
        "https://docs.starrocks.io/docs/using_starrocks/Colocate_join/",
    )),
    find: large_exchanges,
};

fn large_exchanges(context: &Context<'_>) -> Vec<Case> {
    let scans = context.nodes().filter(|(_, node)| is_scan(node));
    let scanned: u64 = scans.filter_map(|(_, node)| node.rows).fold(0, u64::saturating_add);
    let mut cases = Vec::new();
    for (position, node) in context.nodes() {
        let is_exchange = node.name.contains("EXCHANGE") && !node.name.starts_with("LOCAL");
        let (Some(sent), Some(time)) = (node.rows, node.time_ns) else { continue };
        if !is_exchange
            || !ROW_COUNT.is_met(sent as f64)
            || !PART.is_met(ratio(sent, scanned))
            || !TIME.is_met(time as f64)
            || !SHARE.is_met(node.weight * 100.0)
        {
            continue;
        }
        let mut evidence = vec![
            rows("rows of the exchange", sent),
            rows("rows of all scans", scanned),
            ns("own time of the exchange", time),
        ];
        evidence.extend(node.bytes.map(|sent| bytes("bytes sent", sent)));
        let means = format!(
            "{} moved {} and took {}; all scans together gave {}.",
            name(node),
            evidence[0],
            evidence[2],
            evidence[1]
        );
        cases.push(Case { nodes: vec![position], weight: node.weight, evidence, means });
    }
    cases
}
