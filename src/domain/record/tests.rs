use super::*;

fn record(origin: Origin, state: &str) -> QueryRecord {
    let mut record = QueryRecord::new("1a-2b".parse().unwrap(), Kind::Query, origin);
    record.state = Some(state.to_string());
    record
}

fn merged(records: &[&QueryRecord]) -> QueryRecord {
    let mut all = records[0].clone();
    for record in &records[1..] {
        all.merge((*record).clone());
    }
    all
}

#[test]
fn an_audit_record_and_a_summary_give_the_same_in_either_order() {
    let mut summary = record(Origin::Summary, "EOF");
    summary.started_ms = Some(1_000);
    summary.duration_ms = Some(3_600_000);
    summary.catalog = Some("internal".into());
    let mut audit = record(Origin::Audit, "EOF");
    audit.started_ms = Some(1_234);
    audit.duration_ms = Some(3_601_000);
    audit.client = Some("10.0.0.1:5000".into());
    let both = merged(&[&summary, &audit]);
    assert_eq!(both, merged(&[&audit, &summary]));
    assert_eq!(both.started_ms, Some(1_234));
    assert_eq!(both.duration_ms, Some(3_601_000));
    assert_eq!(both.catalog.as_deref(), Some("internal"));
    assert_eq!(both.client.as_deref(), Some("10.0.0.1:5000"));
    assert_eq!(merged(&[&both, &summary, &audit]), both);
}

#[test]
fn finished_is_never_overwritten_by_running() {
    let mut running = record(Origin::Audit, "RUNNING");
    running.db = Some("running".into());
    let mut finished = record(Origin::Summary, "FINISHED");
    finished.db = Some("finished".into());
    for order in [[&running, &finished], [&finished, &running]] {
        assert_eq!(merged(&order).state.as_deref(), Some("FINISHED"));
        assert_eq!(merged(&order).db.as_deref(), Some("finished"));
    }
}

#[test]
fn a_start_is_as_exact_as_any_report_knows_it() {
    let at = |origin, started_ms: i64, is_guess| {
        let mut record = record(origin, "EOF");
        record.started_ms = Some(started_ms);
        record.duration_ms = Some(40);
        record.ended_ms = Some(started_ms + 40);
        record.is_start_estimated = is_guess;
        record
    };
    let summary = at(Origin::Summary, 1_767_322_800_000, false);
    let late_guess = at(Origin::Audit, 1_767_322_806_100, true);
    let good_guess = at(Origin::Audit, 1_767_322_800_700, true);
    let exact = at(Origin::Audit, 1_767_322_800_654, false);
    for (reports, started_ms) in [
        (vec![&summary, &late_guess], 1_767_322_800_000),
        (vec![&summary, &good_guess], 1_767_322_800_700),
        (vec![&summary, &late_guess, &exact], 1_767_322_800_654),
        (vec![&summary, &good_guess, &exact], 1_767_322_800_654),
    ] {
        for turn in 0..reports.len() {
            let mut order = reports.clone();
            order.rotate_left(turn);
            for _ in 0..2 {
                order.reverse();
                let merged = merged(&order);
                assert_eq!(merged.started_ms, Some(started_ms), "{order:?}");
                assert_eq!(merged.ended_ms, Some(started_ms + 40), "{order:?}");
                assert_eq!(merged.is_start_estimated, started_ms == 1_767_322_800_700);
            }
        }
    }
}

#[test]
fn a_slow_query_line_only_marks_the_query() {
    let query = record(Origin::Audit, "EOF");
    let mut slow = query.clone();
    slow.is_slow = true;
    assert_eq!(merged(&[&query, &slow]), slow);
    assert_eq!(merged(&[&slow, &query]), slow);
}

#[test]
fn a_cut_statement_gives_way_to_the_whole_one() {
    let whole = "select a, b, c from t where a = 1 and b = 2";
    for cut in ["select a, b", "select a, b...", "select a, b ... /* truncated. x=16 */"] {
        let (mut cut_audit, mut summary) =
            (record(Origin::Audit, "EOF"), record(Origin::Summary, "EOF"));
        cut_audit.statement = Some(cut.to_string());
        summary.statement = Some(whole.to_string());
        for order in [[&cut_audit, &summary], [&summary, &cut_audit]] {
            assert_eq!(merged(&order).statement.as_deref(), Some(whole), "{cut}");
        }
    }
}
