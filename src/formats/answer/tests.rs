//! Tests of saved answers and texts.

use std::io::Read;

use proptest::prelude::*;

use super::*;

fn profile(id: &str) -> String {
    format!(
        "Summary:\n   - Profile ID: {id}\n   - Task Type: QUERY\n   - Start Time: 2026-03-01 10:00:00\n   \
         - End Time: 2026-03-01 10:00:01\n   - Total: 950ms\n   - Task State: EOF\n   - User: mira\n   \
         - Default Catalog: internal\n   - Default Db: shop\n   - Sql Statement: select 1\n"
    )
}

fn texts(text: &str) -> Vec<String> {
    profiles(text.as_bytes().to_vec()).map(|text| String::from_utf8(text).unwrap()).collect()
}

#[test]
fn every_profile_of_a_text_is_found() {
    let (one, two) = (profile("1-2"), profile("3-4"));
    assert_eq!(texts(&one), std::slice::from_ref(&one));
    assert_eq!(texts(&format!("\u{feff}{one}")), [format!("\u{feff}{one}")]);
    let headed = format!("# Slow\n\nas seen today\n\n{one}");
    assert_eq!(texts(&headed), std::slice::from_ref(&one));
    let fenced = format!("# Slow\n```text\n{one}```\nand\n~~~\n\n{two}~~~\nthat is all\n");
    assert_eq!(texts(&fenced), [one.clone(), two.clone()]);
    assert_eq!(texts(&format!("{one}\n{two}")), [format!("{one}\n"), two.clone()]);
    let old = format!("Query:\n  {}", one.replace('\n', "\n  "));
    assert_eq!(texts(&format!("Query Profile\n\n{old}")), [old]);
    assert!(texts("Summary:\n a lot was done\n").is_empty());
    let quoted = format!("He wrote:\n> {}\nNo.\n", one.trim_end().replace('\n', "\n> "));
    assert_eq!(texts(&quoted), std::slice::from_ref(&one));
    // The reader of the profile takes off the table's frame.
    let table = format!("| {} |\n", one.trim_end().replace('\n', "\n| "));
    assert_eq!(texts(&table), std::slice::from_ref(&table));
    assert!(texts("Meeting\n\nSummary:\n a lot was done\n").is_empty());
}

#[test]
fn html_of_pages_and_of_answers() {
    let text = profile("1-2").replace("select 1", "select 1 where a < 2 and b <> '</x>'");
    let doris = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
    assert!(is_html(doris.as_bytes()));
    assert_eq!(text_of_html(&doris), text);
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!DOCTYPE html><html><head><style>a > b {{}}</style><script>if (a < b) {{}}</script></head>\
         <body><h1>Query</h1><pre>{escaped}</pre></body></html>"
    );
    assert!(is_html(page.as_bytes()));
    let texts = texts(&text_of_html(&page));
    assert_eq!(texts[0].trim_end(), text.trim_end());
}

#[test]
fn the_parts_of_a_spilled_profile_become_its_text() {
    let json = r#"{"summaryProfile":{"infoStrings":{"Total":"1ms","Profile ID":"1-2","New":"x"},
        "infoStringsDisplayOrder":["Profile ID","Total"]},"executionSummaryProfile":{
        "infoStrings":{"Is Cached":"No"},"infoStringsDisplayOrder":["Is Cached"]}}"#;
    let spilled = |rest: &[u8]| {
        let mut bytes = (json.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        bytes.extend_from_slice(&(rest.len() as u32).to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    };
    let rest = "\nMergedProfile \n     Fragments:\n";
    let expected = format!(
        "Summary:\n   - Profile ID: 1-2\n   - Total: 1ms\n   - New: x\n\
         Execution Summary:\n   - Is Cached: No\n{rest}"
    );
    let plain = spilled(rest.as_bytes());
    let mut packed = Vec::new();
    flate2::read::ZlibEncoder::new(rest.as_bytes(), flate2::Compression::fast())
        .read_to_end(&mut packed)
        .unwrap();
    for bytes in [&plain, &spilled(&packed)] {
        assert!(is_spilled(bytes));
        assert_eq!(spilled_text(bytes), Ok(expected.clone().into_bytes()));
    }
    for end in 0..plain.len() {
        assert_eq!(spilled_text(&plain[..end]), Err(SkipReason::Damaged), "{end}");
    }
}

#[test]
fn answers_of_a_frontend() {
    let text = profile("1-2");
    let parts_of = |value: Value| {
        let mut found = Vec::new();
        let read = read_answer(value, Zone::UTC, &mut |part| {
            found.push(part);
            Ok::<(), ()>(())
        });
        read.unwrap();
        found
    };
    let html = text.replace('\n', "</br>").replace(' ', "&nbsp;&nbsp;");
    for value in [
        serde_json::json!({"msg": "success", "code": 0, "data": {"profile": text}, "count": 0}),
        serde_json::json!({"msg": "success", "code": 0, "data": html, "count": 0}),
        serde_json::json!({"profile": text}),
        serde_json::json!([{"profile": text}]),
        serde_json::json!({"status": "OK", "code": "0", "result": {"profile": text}}),
        Value::String(text.clone()),
    ] {
        let found = parts_of(value.clone());
        assert!(
            matches!(found.as_slice(), [AnswerPart::Profile(found)] if *found == text.as_bytes()),
            "{value}: {found:?}"
        );
    }
    for (value, reason) in [
        (serde_json::json!({"msg": "Error", "code": 1, "data": "x"}), SkipReason::ErrorAnswer),
        (serde_json::json!({"a": 1}), SkipReason::NotRecognised),
        (serde_json::json!(7), SkipReason::NotRecognised),
        (serde_json::json!([[[[[[[]]]]]]]), SkipReason::NotRecognised),
    ] {
        let found = parts_of(value.clone());
        assert!(
            matches!(found.as_slice(), [AnswerPart::Skipped(found)] if *found == reason),
            "{value}: {found:?}"
        );
    }
    let list = serde_json::json!({"code": 0, "data": {
        "column_names": ["Profile ID", "Task Type", "Start Time", "Total"],
        "rows": [{"Profile ID": "1-2", "Start Time": "2026-03-01 10:00:00", "Total": "5ms"}]}});
    let found = parts_of(list);
    assert!(
        matches!(found.as_slice(), [AnswerPart::Row(Ok(Entry::Record(record)))] if record.duration_ms == Some(5)),
        "{found:?}"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        parts in prop::collection::vec(
            prop_oneof![
                Just("Summary:\n"), Just("Query:\n"), Just(" - Profile ID: 1-2\n"), Just("```\n"),
                Just("<"), Just(">"), Just("</br>"), Just("<script>"), Just("<html>"), Just("&nbsp;"),
                Just("é"), Just("\n"), Just("~~~"),
            ],
            0..40,
        ),
    ) {
        let text = parts.concat();
        let found: usize = profiles(text.clone().into_bytes()).map(|text| text.len()).sum();
        prop_assert!(found <= text.len());
        text_of_html(&text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        is_spilled(&bytes);
        let _ = spilled_text(&bytes);
        is_html(&bytes);
        let _ = profiles(bytes).count();
    }
}
