//! Generated records with known and new keys in any order, and any values.

use proptest::prelude::*;
use proptest::sample::select;

use super::any_values::{message_text, text};
use super::{HEAD, field, records};
use crate::domain::statement::original_text;

/// A form that frontends write, with the keys between which others may be.
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

/// Any JSON object or array; its texts often hold what looks like fields.
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

/// New fields between a message and the row after it. A value there that looks like text is the message's.
fn plain_fields() -> impl Strategy<Value = Vec<(String, String)>> {
    let value =
        prop_oneof![json().prop_map(|json| json.to_string()), "[a-zA-Z0-9_.]{1,12}", "[0-9]{1,9}"];
    proptest::collection::btree_map("X[a-z]{1,5}[A-Z][a-zA-Z]{0,6}", value, 0..4)
        .prop_map(|fields| fields.into_iter().collect())
}

/// An error message that StarRocks writes after the statement.
fn message_after() -> impl Strategy<Value = String> {
    let pieces = [
        "\n", "\n\n", "|Digest=3", "|Digest=", "|State=EOF", "|x=1", "|User=eve", "'", "\"", "; ",
        "|", "名", " at line 1",
    ];
    proptest::collection::vec(select(pieces.to_vec()), 0..8)
        .prop_map(|pieces| format!("no table {}.", pieces.concat()))
}

/// Parts of a record, which each dialect arranges in its own order.
#[derive(Debug)]
struct Parts {
    head: Vec<TestField>,
    /// The error message of Doris, before the statement.
    message: String,
    /// The error message of StarRocks, after the statement.
    message_after: String,
    middle: Vec<TestField>,
    figures: Vec<TestField>,
    plan: String,
    statement: String,
    after: Vec<TestField>,
    turn: usize,
}

/// A key and its value.
type TestField = (String, String);

fn field_of(key: &str, value: &str) -> TestField {
    (key.to_string(), value.to_string())
}

/// A record of a dialect: its fields, and its line.
fn any_record() -> impl Strategy<Value = (Vec<TestField>, String)> {
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
    let after = shuffled(&[("SessionId", "s-1"), ("WorkloadGroup", "etl")]);
    let message = prop_oneof![
        Just(String::new()),
        message_text().prop_map(|text| format!("errCode = 2, detail: {text}")),
    ];
    let statement =
        text(&["|NotKnown=1", "|QueryId=1-2", "|Time(ms)=5", "|ScanRows=7", "|Digest=x'"]);
    let message = (message, message_after(), plain_fields(), any::<bool>(), 0..100usize);
    (dialect, head, (message, plan), figures, statement, after).prop_map(
        |(dialect, head, (message, plan), mut figures, statement, after)| {
            let (message, message_after, mut middle, is_early, turn) = message;
            if is_early {
                // The figures are before the time, too.
                let is_known = |(key, _): &TestField| !key.starts_with(['X', 'i']);
                middle.extend(figures.iter().filter(|field| is_known(field)).cloned());
                figures.retain(|field| !is_known(field));
                let turn = turn % middle.len().max(1);
                middle.rotate_left(turn);
            }
            let statement = format!("select 1 {statement} from t;");
            let fields = dialect.arrange(Parts {
                head,
                message,
                message_after,
                middle,
                figures,
                plan,
                statement,
                after,
                turn,
            });
            let line = dialect.line(&fields);
            (fields, line)
        },
    )
}

impl Dialect {
    /// Arranges the parts of a record in the order of this dialect.
    fn arrange(self, parts: Parts) -> Vec<TestField> {
        let Parts {
            head,
            message,
            message_after,
            middle,
            figures,
            plan,
            statement,
            mut after,
            turn,
        } = parts;
        let mut fields = head;
        match self {
            Dialect::Doris2 => {
                fields.push(field_of("ErrorMessage", &message));
                fields.extend(middle);
                fields.push(field_of("Time(ms)", "15"));
                fields.extend(figures);
                fields.push(field_of("Stmt", &statement));
                fields.push(field_of("CpuTimeMS", "16"));
            }
            Dialect::Doris4 => {
                fields.push(field_of("ErrorMessage", &message));
                fields.extend(middle);
                fields.push(field_of("Time(ms)", "15"));
                fields.push(field_of("CpuTimeMS", "16"));
                // A message with this key, too, would be that of the record.
                fields.push(field_of("SqlHash", "5f0c3b"));
                fields.push(field_of("GetMetaTimesMs", &plan));
                fields.push(field_of("HitSqlCache", "true"));
                fields.extend(figures);
                fields.append(&mut after);
                // It writes line ends of a statement as two characters.
                fields.push(field_of("Stmt", &statement.replace(['\n', '\r'], " ")));
            }
            Dialect::StarRocks | Dialect::StarRocksJson => {
                fields.push(field_of("ResourceGroup", ""));
                fields.push(field_of("Time", "15"));
                fields.push(field_of("CpuCostNs", "15600000"));
                fields.extend(figures);
                fields.extend(middle);
                fields.push(field_of("Stmt", &statement));
                fields.push(field_of("Digest", "0af1"));
                // The workload group has another name there.
                after.retain(|(key, _)| key != "WorkloadGroup");
                let at = turn % (after.len() + 1);
                after.insert(at, field_of("ErrorMessage", &message_after));
            }
        }
        fields.extend(after);
        // No record has a key twice.
        let mut names = Vec::new();
        fields.retain(|(key, _)| {
            let is_new = !names.contains(key);
            names.push(key.clone());
            is_new
        });
        fields
    }

    /// Returns the line of a record.
    fn line(self, fields: &[TestField]) -> String {
        if !matches!(self, Dialect::StarRocksJson) {
            let fields = fields.iter().map(|(key, value)| format!("|{key}={value}"));
            return format!("{HEAD}{}\n", fields.collect::<String>());
        }
        let is_plain =
            |json: &serde_json::Value| !json.is_string() && !json.is_null() && !json.is_f64();
        let value_of = |value: &str| {
            let json = serde_json::from_str(value).ok().filter(is_plain);
            json.unwrap_or_else(|| value.into())
        };
        let object: serde_json::Map<_, _> =
            fields.iter().map(|(key, value)| (key.clone(), value_of(value))).collect();
        let object = serde_json::Value::Object(object);
        format!("2024-01-02 11:15:51.248Z INFO (p|7) [AuditLog.log():68] {object}\n")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn fields_come_back_whatever_they_hold((fields, line) in any_record()) {
        let found = records(&line);
        prop_assert_eq!(found.len(), 1, "{}", line);
        let record = &found[0];
        for (key, value) in &fields {
            let found_value = match key.as_str() {
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
            let value = if key == "Stmt" { original_text(value) } else { value.into() };
            let known = Some(value.into_owned()).filter(|value| !value.is_empty());
            // A JSON object is read as one: its order and its spaces are not kept, and need not be.
            match (&found_value, &known) {
                (Some(found_value), Some(known)) if found_value != known => {
                    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
                    prop_assert!(json(found_value).is_some() && json(found_value) == json(known), "{key}: {found_value} is not {known} in {line}");
                }
                _ => prop_assert_eq!(&found_value, &known, "{} in {}", key, line),
            }
        }
    }
}
