//! Generated records with known and new keys in any order, and any values.

use proptest::prelude::*;
use proptest::sample::select;

use super::any_values::{message_text, text};
use super::{HEAD, field, records};
use crate::domain::statement::as_sent;

/// A form that frontends write, with the keys between which others may stand.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    /// Doris 1.2 to 3.0: the statement in the middle.
    Doris2,
    /// Doris 3.1 and later: the statement last.
    Doris4,
    /// StarRocks 2.x to 4.x, as text: the statement in the middle.
    StarRocks,
    /// StarRocks 3.x and later, as JSON.
    StarRocksJson,
}

/// Text of one line that holds all that values hold, but for a bar.
fn odd_text() -> impl Strategy<Value = String> {
    let pieces = [
        "'", "\"", ";", "=", "`", "\\", "{", "}", "[", "]", ",", ":", " ", "a=1", "'bob'@'%'",
        "(x, y)", "select 1", "\u{fffd}", "名", "->", "\\n", "--", "/*",
    ];
    proptest::collection::vec(select(pieces.to_vec()), 1..8)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("no value is blank or a word for nothing", |text| !text.trim().is_empty())
        .prop_map(|text| text.trim().to_string())
}

/// Any JSON object or array; its texts like to hold what looks like fields.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let hostile = [
        "|",
        "|CpuTimeMS=1|",
        "|Digest=ab|",
        "|Stmt=select 1",
        "|Time(ms)=7|ScanBytes=1",
        "|NewKey=",
        "\"",
        "\\",
        "\n",
        "'",
        ";",
        "internal.shop.orders",
        "{",
        "]",
        "2024-01-02 11:15:51,248 [query] |User=x",
    ];
    let text = proptest::collection::vec(select(hostile.to_vec()), 0..4)
        .prop_map(|pieces| pieces.concat());
    let leaf = prop_oneof![
        text.prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    let object = |value: BoxedStrategy<serde_json::Value>| {
        proptest::collection::vec(("[a-z_]{1,8}", value), 0..4)
            .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect()))
    };
    let nested = leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            object(inner.boxed()),
        ]
    });
    prop_oneof![
        proptest::collection::vec(nested.clone(), 0..4).prop_map(serde_json::Value::from),
        proptest::collection::vec(("[a-z_]{1,8}", nested), 0..4)
            .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
    ]
}

/// Keys that no version writes yet, with values of any kind.
fn new_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop_oneof![
        json().prop_map(|json| json.to_string()),
        odd_text(),
        "[a-zA-Z0-9_.]{1,12}",
        "[0-9]{1,9}",
    ];
    let name = "(X[a-z]{1,5}[A-Z][a-zA-Z]{0,6}|is[A-Z]x[a-z]{1,8})";
    proptest::collection::btree_map(name, value, 0..6)
        .prop_map(|fields| fields.into_iter().collect::<Vec<_>>())
}

/// Known fields in any order with new ones between them.
fn shuffled(known: &[(&str, &str)]) -> impl Strategy<Value = Vec<(String, String)>> + use<> {
    let known: Vec<(String, String)> =
        known.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    new_fields().prop_flat_map(move |new| Just([known.clone(), new].concat()).prop_shuffle())
}

/// New fields between a message and the row behind it. A value there that looks like text is the message's.
fn plain_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let value =
        prop_oneof![json().prop_map(|json| json.to_string()), "[a-zA-Z0-9_.]{1,12}", "[0-9]{1,9}"];
    proptest::collection::btree_map("X[a-z]{1,5}[A-Z][a-zA-Z]{0,6}", value, 0..4)
        .prop_map(|fields| fields.into_iter().collect())
}

/// An error message that StarRocks writes behind the statement.
fn message_behind() -> impl Strategy<Value = String> {
    let pieces = [
        "\n", "\n\n", "|Digest=3", "|Digest=", "|State=EOF", "|x=1", "|User=eve", "'", "\"", "; ",
        "|", "名", " at line 1",
    ];
    proptest::collection::vec(select(pieces.to_vec()), 0..8)
        .prop_map(|pieces| format!("no table {}.", pieces.concat()))
}

/// A record of a dialect: its fields, and its line.
fn any_record() -> impl Strategy<Value = (Vec<(String, String)>, String)> {
    let dialect =
        select(&[Dialect::Doris2, Dialect::Doris4, Dialect::StarRocks, Dialect::StarRocksJson][..]);
    let head = shuffled(&[
        ("Client", "10.1.2.3:5000"),
        ("User", "alice"),
        ("Db", "shop"),
        ("State", "ERR"),
        ("ErrorCode", "1105"),
    ]);
    let plan = json().prop_map(|json| json.to_string());
    let figures = shuffled(&[
        ("ScanBytes", "11"),
        ("ScanRows", "12"),
        ("ReturnRows", "13"),
        ("StmtId", "14"),
        ("QueryId", "1a-2b"),
        ("IsQuery", "true"),
        ("FeIp", "10.0.0.9"),
    ]);
    let behind = shuffled(&[("SessionId", "s-1"), ("WorkloadGroup", "etl")]);
    let message = prop_oneof![
        Just(String::new()),
        message_text().prop_map(|text| format!("errCode = 2, detail: {text}")),
    ];
    let statement =
        text(&["|NotKnown=1", "|QueryId=1-2", "|Time(ms)=5", "|ScanRows=7", "|Digest=x'"]);
    let message = (message, message_behind(), plain_fields(), any::<bool>(), 0..100usize);
    (dialect, head, (message, plan), figures, statement, behind).prop_map(
        |(dialect, head, (message, plan), mut figures, statement, mut behind)| {
            let (message, message_behind, mut middle, is_early, turn) = message;
            if is_early {
                // The figures stand in front of the time, too.
                let is_known = |(key, _): &(String, String)| !key.starts_with(['X', 'i']);
                middle.extend(figures.iter().filter(|field| is_known(field)).cloned());
                figures.retain(|field| !is_known(field));
                let turn = turn % middle.len().max(1);
                middle.rotate_left(turn);
            }
            let field = |key: &str, value: &str| (key.to_string(), value.to_string());
            let mut statement = format!("select 1 {statement} from t;");
            let mut fields = head;
            match dialect {
                Dialect::Doris2 => {
                    fields.push(field("ErrorMessage", &message));
                    fields.extend(middle);
                    fields.push(field("Time(ms)", "15"));
                    fields.extend(figures);
                    fields.push(field("Stmt", &statement));
                    fields.push(field("CpuTimeMS", "16"));
                }
                Dialect::Doris4 => {
                    // It writes line ends of a statement as two characters.
                    statement = statement.replace(['\n', '\r'], " ");
                    fields.push(field("ErrorMessage", &message));
                    fields.extend(middle);
                    fields.push(field("Time(ms)", "15"));
                    fields.push(field("CpuTimeMS", "16"));
                    // A message with this key, too, would be that of the record.
                    fields.push(field("SqlHash", "5f0c3b"));
                    fields.push(field("GetMetaTimesMs", &plan));
                    fields.push(field("HitSqlCache", "true"));
                    fields.extend(figures);
                    fields.extend(behind.clone());
                    fields.push(field("Stmt", &statement));
                }
                Dialect::StarRocks | Dialect::StarRocksJson => {
                    fields.push(field("ResourceGroup", ""));
                    fields.push(field("Time", "15"));
                    fields.push(field("CpuCostNs", "15600000"));
                    fields.extend(figures);
                    fields.extend(middle);
                    fields.push(field("Stmt", &statement));
                    fields.push(field("Digest", "0af1"));
                    // It goes by another name there.
                    behind.retain(|(key, _)| key != "WorkloadGroup");
                    let at = turn % (behind.len() + 1);
                    behind.insert(at, field("ErrorMessage", &message_behind));
                }
            }
            if !matches!(dialect, Dialect::Doris4) {
                let names: Vec<String> = fields.iter().map(|(key, _)| key.clone()).collect();
                fields.extend(behind.into_iter().filter(|(key, _)| !names.contains(key)));
            }
            // No record has a key twice.
            let mut names = Vec::new();
            fields.retain(|(key, _)| {
                let new = !names.contains(key);
                names.push(key.clone());
                new
            });
            let line = match dialect {
                Dialect::StarRocksJson => {
                    let object: serde_json::Map<_, _> = fields
                        .iter()
                        .map(|(key, value)| {
                            let json = serde_json::from_str(value).ok().filter(
                                |json: &serde_json::Value| {
                                    !json.is_string() && !json.is_null() && !json.is_f64()
                                },
                            );
                            (key.clone(), json.unwrap_or_else(|| value.as_str().into()))
                        })
                        .collect();
                    format!(
                        "2024-01-02 11:15:51.248Z INFO (p|7) [AuditLog.log():68] {}\n",
                        serde_json::Value::Object(object)
                    )
                }
                _ => {
                    let fields: String =
                        fields.iter().map(|(key, value)| format!("|{key}={value}")).collect();
                    format!("{HEAD}{fields}\n")
                }
            };
            (fields, line)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn fields_come_back_whatever_they_hold((fields, line) in any_record()) {
        let found = records(&line);
        prop_assert_eq!(found.len(), 1, "{}", line);
        let record = &found[0];
        for (key, value) in &fields {
            let told = match key.as_str() {
                "ResourceGroup" => continue,
                "CpuCostNs" => {
                    prop_assert_eq!(record.cpu_time_ms, Some(16));
                    continue;
                }
                "HitSqlCache" => {
                    prop_assert_eq!(record.cache_hit, Some(true));
                    continue;
                }
                "GetMetaTimesMs" => record.extra.get("GetMetaTimesMs").cloned(),
                key => field(record, key),
            };
            let value = if key == "Stmt" { as_sent(value) } else { value.into() };
            let known = Some(value.into_owned()).filter(|value| !value.is_empty());
            // A JSON object is read as one: its order and its spaces are not kept, and need not be.
            match (&told, &known) {
                (Some(told), Some(known)) if told != known => {
                    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                    prop_assert!(json(told).is_some() && json(told) == json(known), "{key}: {told} is not {known} in {line}");
                }
                _ => prop_assert_eq!(&told, &known, "{} in {}", key, line),
            }
        }
    }
}
