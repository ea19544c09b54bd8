use proptest::prelude::*;

use super::*;

#[test]
fn what_does_not_matter_is_gone() {
    for (statement, expected) in [
        ("SELECT  a\tFROM t\nWHERE b = 1;", "select a from t where b = ?"),
        ("select a from t where b = 'x'", "select a from t where b = ?"),
        ("select a from t where b=\"it''s\"", "select a from t where b = ?"),
        ("select a from t where b='it\\'s' -- x", "select a from t where b = ?"),
        ("select /*+ SET_VAR(a=1) */ a from t where b=-1.5e-3", "select a from t where b = ?"),
        ("select a\\nfrom t -- c\\nwhere b = 0xFF # d", "select a from t where b = ?"),
        ("select `a` from `t` where b = ?", "select a from t where b = ?"),
        ("select a from t where b in (1, 2,3)", "select a from t where b in (?)"),
        ("select a from t where b NOT IN ('x')", "select a from t where b not in (?)"),
        ("where (a,b) in ((1,2),(3,4))", "where (a, b) in ((?, ?))"),
        ("where a in (1, null, true)", "where a in (?)"),
        ("insert into T (a, b) values (1,'x'), (2, 'y')", "insert into T(a, b) values (?)"),
        ("insert into T values (1, NOW()), (2, now());", "insert into T values (?)"),
        ("select * from (values (1), (2)) v limit 10", "select * from (values (?)) v limit ?"),
        ("select array_contains([1,2,3], x)", "select array_contains([?], x)"),
        ("select x'1f', DATE '2024-01-01', .5, 1.", "select ?, ?, ?, ?"),
        (
            "select case when a is null then -1 else a-1 end",
            "select case when a is null then ? else a - ? end",
        ),
    ] {
        assert_eq!(normalize(statement), expected, "{statement}");
    }
}

#[test]
fn what_matters_stays() {
    for (statement, expected) in [
        ("select Count(*), t.Date from Orders t", "select count(*), t.Date from Orders t"),
        ("select COUNT (*) from orders", "select count(*) from orders"),
        ("select round(a, 1), round(a)", "select round(a, ?), round(a)"),
        ("select * from db.2024_orders p1", "select * from db.2024_orders p1"),
        ("select `order`, `a b` from t", "select `order`, `a b` from t"),
        ("where a is not null and b = null", "where a is not null and b = ?"),
        ("select a->'$.x', b::int, @@v, @x := 1", "select a -> ?, b :: int, @@v, @x := ?"),
        ("select a,b from t where 中文 <=> 1", "select a, b from t where 中文 <=> ?"),
        ("select 1; select 2;", "select ?; select ?"),
        ("from t where a in (select b, b from u)", "from t where a in (select b, b from u)"),
    ] {
        assert_eq!(normalize(statement), expected, "{statement}");
    }
    assert_ne!(normalize("select a from T"), normalize("select a from t"));
}

#[test]
fn statements_that_were_cut_and_other_texts_are_normalized() {
    for (statement, expected) in [
        ("", ""),
        ("  -- only this", ""),
        ("select 'abc", "select ?"),
        ("select `abc", "select abc"),
        ("select a /* abc", "select a"),
        ("select a, b from t wh...", "select a, b from t ..."),
        (")))](,,", ")))](,,"),
        ("\u{0}\u{1f600}'\\", "\u{0} \u{1f600} ?"),
    ] {
        assert_eq!(normalize(statement), expected, "{statement}");
    }
    let deep = "(".repeat(100_000);
    assert_eq!(normalize(&deep), deep);
    let long = format!("select * from t where a in ({}1)", "1, ".repeat(1_000_000));
    assert_eq!(normalize(&long), "select * from t where a in (?)");
}

/// Checks that the statements of a group normalize alike, and statements of different groups differently.
fn assert_apart(groups: &[&[&str]]) {
    let mut normalized: Vec<String> = Vec::new();
    for group in groups {
        let first = normalize(group[0]);
        for statement in *group {
            assert_eq!(normalize(statement), first, "{statement} | {}", group[0]);
        }
        assert!(!normalized.contains(&first), "{first}");
        normalized.push(first);
    }
}

#[test]
fn the_letter_case_of_words_does_not_matter_unless_they_are_names() {
    assert_apart(&[
        &["SHOW PROCESSLIST", "show processlist"],
        &["select a from p ASOF JOIN q", "select a from p asof join q"],
        &[
            "select a from p NULL AWARE LEFT ANTI JOIN q",
            "select a from p null aware left anti join q",
        ],
        &["Show Table Status", "SHOW TABLE STATUS"],
        &["SHOW ROUTINE LOAD TASK", "show routine load task"],
        &["CREATE ROLE packer", "create role packer"],
        &["ADMIN SET FRONTEND CONFIG ('a' = '1')", "admin set frontend config ('b'='2')"],
        &["select Cast(a AS VARCHAR(10)) from p", "SELECT cast(a as varchar(20)) FROM p"],
        &["select CURRENT_DATE", "select current_date"],
        &["select @@SESSION.time_zone", "select @@session.time_zone"],
        &["select a from p where b ILIKE 'x'", "select a from p where b ilike 'y'"],
        &["select a from Events", "SELECT a FROM `Events`"],
        &["select a from events", "select a from `events`"],
        &["select Events.a from p", "select `Events`.a from p"],
        &["select events.a from p", "select events . a from p"],
        &["select a from p, Users", "select a from p , Users"],
        &["select a from p, users"],
        &["select a from p join Tasks", "select a from p JOIN `Tasks`"],
        &["select a from p join tasks"],
        &["insert into Logs (a) select 1", "INSERT INTO Logs(a) SELECT 2"],
        &["insert into logs (a) select 1"],
        &["select a from p join [shuffle] Users", "select a from p JOIN [shuffle] `Users`"],
        &["select a from (select b from p) q, Users", "select a FROM (select b FROM p) q, `Users`"],
        &["DESC Events", "desc `Events`"],
        &["desc events", "DESC events"],
        &["DESC FUNCTION s3('a'='b')", "desc function S3('a'='c')"],
        &["insert into FILES('a'='b') select 1", "INSERT INTO files('a'='c') SELECT 2"],
        &["grant SELECT_PRIV on depot.* to 'x'", "GRANT select_priv ON depot.* TO 'y'"],
        &["drop table if exists Roles", "DROP TABLE IF EXISTS Roles"],
        &["drop table if exists roles"],
        &["select a as Rank from p"],
        &["select a as `rank` from p", "select a as rank from p"],
        &["select Type, Comment from p", "select type, `comment` from p"],
        &["select * from NUMBERS('number'='5')", "select * from numbers('number'='7')"],
        &["select * from FILES('path'='a')", "select * from files('path'='b')"],
        &["with Queries as (select 1) select * from Queries"],
        &["with queries as (select 1) select * from queries"],
        &["select E.id from parcels E", "SELECT E.id FROM parcels E"],
        &["select e.id from parcels e"],
    ]);
}

#[test]
fn statements_that_were_cut_end_behind_their_last_whole_part() {
    const MARK: &str = " ... /* truncated. audit_plugin_max_sql_length=64 */";
    const ROWS: &str = " ... /* total 9 rows, truncated audit_plugin_max_sql_length=64 */";
    for (cut, mark, expected) in [
        ("insert into parcels values", ROWS, "insert into parcels values (?)"),
        ("insert into parcels values (", ROWS, "insert into parcels values (?)"),
        ("insert into parcels values (1,'a", ROWS, "insert into parcels values (?)"),
        ("insert into parcels values (1,'a'),", ROWS, "insert into parcels values (?)"),
        ("insert into parcels values (1,'a'),(f(2", ROWS, "insert into parcels values (?)"),
        ("select a from p where b in (1, 2, 34", MARK, "select a from p where b in (? ..."),
        ("select a from p where b in (1,", MARK, "select a from p where b in (? ..."),
        ("select a from p where b in (", MARK, "select a from p where b in (? ..."),
        ("select a from p where b in ('x','y", MARK, "select a from p where b in (? ..."),
        (
            "select a from p where b = 1 and c = 'x",
            MARK,
            "select a from p where b = ? and c = ? ...",
        ),
        ("select a from p where b = 1 and c", MARK, "select a from p where b = ? ..."),
        ("select a from p where b = 1 an", MARK, "select a from p where b = ? ..."),
        ("select a from p where b = 12", MARK, "select a from p where b = ? ..."),
        ("select a from p where b = 1 and ", MARK, "select a from p where b = ? ..."),
        ("select a, b, c", MARK, "select a, b ..."),
        ("select a from parcels /* its", MARK, "select a from parcels ..."),
        ("sel", MARK, "..."),
        ("select a from p whe", "...", "select a from p ..."),
        // Without a mark only an open list shows a cut.
        ("select a from p where b in (1, 2", "", "select a from p where b in (? ..."),
    ] {
        assert_eq!(normalize(&format!("{cut}{mark}")), expected, "{cut}");
    }
    assert_ne!(normalize("select a from p wh..."), normalize("select a from q wh..."));
}

#[test]
fn labels_and_partitions_do_not_matter() {
    for (statement, expected) in [
        (
            "LOAD LABEL depot.l1 (DATA INFILE('a', 'b') INTO TABLE p) WITH BROKER x ('k' = 'v')",
            "load label depot.?(data infile (?) into table p) with broker x(? = ?)",
        ),
        ("load label `depot` . `l1` (x)", "load label depot.?(x)"),
        ("CLEAN LABEL l1 FROM depot", "clean label ? from depot"),
        ("clean label l2 from `depot`", "clean label ? from depot"),
        ("CLEAN LABEL FROM depot", "clean label from depot"),
        ("select clean, restore-1, Clean(2) from p", "select clean, restore - ?, clean(?) from p"),
        ("load label l1 (x)", "load label ?(x)"),
        ("insert into p WITH LABEL `l1` select 1", "insert into p with label ? select ?"),
        ("insert into p (a) with label l1 values (1)", "insert into p(a) with label ? values (?)"),
        ("alter table p rename partition p1 p2", "alter table p rename partition ? ?"),
        ("select label from p order by label desc", "select label from p order by label desc"),
        ("BACKUP SNAPSHOT depot.s1 TO r ON (p)", "backup snapshot depot.? to r on (p)"),
        ("select * from p PARTITION (p1, `p2`) q", "select * from p partition(?) q"),
        ("select * from p partition p1 where a", "select * from p partition ? where a"),
        (
            "insert overwrite table p partition(*) select 1",
            "insert overwrite table p partition(*) select ?",
        ),
        (
            "insert into p partition (day='1', h) select 1",
            "insert into p partition(day = ?, ?) select ?",
        ),
        (
            "alter table p drop partition if exists p1 force",
            "alter table p drop partition if exists ? force",
        ),
        (
            "alter table p ADD TEMPORARY PARTITION tp1 VALUES [('1'),('2'))",
            "alter table p add temporary partition ? values [(?))",
        ),
        (
            "alter table p add partition p1 values less than ('1')",
            "alter table p add partition ? values less than(?)",
        ),
        (
            "alter table p replace partition (p1) with temporary partition (tp1, tp2)",
            "alter table p replace partition(?) with temporary partition(?)",
        ),
        (
            "refresh materialized view v partition start ('1') end ('2')",
            "refresh materialized view v partition start(?) end(?)",
        ),
        (
            "select sum(a) over (partition by b, c) from p",
            "select sum(a) over (partition by b, c) from p",
        ),
        ("show partitions from p", "show partitions from p"),
        ("delete from p partitions (p1,p2) where a = 1", "delete from p partitions(?) where a = ?"),
        ("truncate table p partition(p1)", "truncate table p partition(?)"),
        ("select * from p tablet(1, 2)", "select * from p tablet (?)"),
    ] {
        assert_eq!(normalize(statement), expected, "{statement}");
    }
}

#[test]
fn tasks_and_wrapped_statements_are_normalized() {
    const TASK: &str = "Asynchronous materialized view refresh task";
    assert_apart(&[
        &[
            &format!("{TASK}, taskId: 17, partitions refreshed by this insert overwrite: [p_1]"),
            &format!(
                "{TASK}, taskId: 18, partitions refreshed by this insert overwrite: [p_1, p_2]"
            ),
        ],
        &[
            &format!(
                "{TASK}, mvName: internal.depot.v,taskId: 1, refreshMode: PARTIAL, partitions: [p_1]"
            ),
            &format!(
                "{TASK}, mvName: internal.depot.v,taskId: 2, refreshMode: PARTIAL, partitions: [p_2, p_3]"
            ),
        ],
        &[&format!(
            "{TASK}, mvName: internal.depot.w,taskId: 1, refreshMode: PARTIAL, partitions: [p_1]"
        )],
        &[
            "OriginStatement{originStmt='insert into p values ('a', 1)', idx=0}",
            "insert into p values ('it''s', 2)",
            "OriginStatement{originStmt='insert into p values ('a', 1 ... /* total 3 rows, truncated. x=9 */",
        ],
    ]);
}

#[test]
fn the_way_a_value_is_written_does_not_matter() {
    assert_apart(&[
        &[
            "select * from p where a = 1",
            "select * from p where a = -1",
            "select * from p where a = - /* x */ 1",
            "select * from p where a = + - 1",
            "select * from p where a = 0xfF",
            "select * from p where a = 0b01",
            "select * from p where a = 12L",
            "select * from p where a = 1.5e3",
            "select * from p where a = x'2a'",
            "select * from p where a = r'\\'",
            "select * from p where a = _utf8mb4'x'",
            "select * from p where a = 'a' \"b\"",
            "select * from p where a = DATE '2026-01-01'",
            "select * from p where a = timestamp\n'2026-01-01 00:00:00'",
            "select * from p where a = true",
        ],
        &["select * from p where a = -b"],
        &["select * from p where a = +b"],
        &["select date - 1 from p", "select date - 2 from p"],
        &["select date + 1 from p"],
        &["select case when a then 1 end - 1", "select case when a then null end - 2"],
        &["select case when a then 1 end + 1"],
        &["select a + interval 1 day", "select a + INTERVAL -1 DAY", "select a + interval '1' day"],
        &["select * from p where a is null"],
        &["select * from p where a is not true"],
        &["SELECT TRUE", "select false", "select null", "select 1"],
        &["select distinct true", "SELECT DISTINCT 'x'"],
        &["select a from p where true", "select a from p where 1"],
        &["select a from p where not true", "select a from p where NOT FALSE"],
        &["select a from p group by a having true", "select a from p group by a having false"],
        &["create table p (a boolean default true)", "create table p (a boolean default false)"],
        &["create table p (a boolean not null)"],
        &["create table p (a boolean null)"],
        &["select array(1, 2, 3)", "SELECT ARRAY(4)"],
        &["select array_size(1, 2, 3)"],
        &["select map(1, 2, 3, 4)"],
        &["select p.array(1, 2, 3)"],
        &["select a from p limit 10", "select a from p limit 20"],
        &[
            "insert into p values (1, default), (now(), 2)",
            "insert into p values (a)",
            "insert into p values\n(?)",
        ],
        &["insert into q values (1)"],
        &["replace into q values (1, 2)", "REPLACE INTO q VALUES (3, now()), (4, 5)"],
        &["insert into q value (1, 2)", "insert into q value (3, now()), (4, 5)"],
        &["select replace(a, 'b', 'c') from p where (d) in (values (1), (2))"],
        &["create table p (a int default -1)", "create table p (a int default '2')"],
        &["insert into p select 1"],
        &["merge into p using q on a = b when not matched then insert (a) values (q.a)"],
        &["merge into p using q on a = b when not matched then insert (a) values (q.b)"],
    ]);
}

#[test]
fn what_is_in_comments_does_not_matter() {
    assert_apart(&[
        &[
            "select a from p where b = 1",
            "/* run 17 /* by */ 'x */ select a from p where b = 1",
            "select a -- it's\r from p # x\nwhere b = 1",
            "select a -- it's\\r from p # x\\nwhere b = 1",
            "select /*+ SET_VAR(x=1) */ a from p where b = 1",
            "select /*!40001 SQL_NO_CACHE */ a from p where b = 1",
            "-- {\"app\": \"x\", \"run\": \"7\"}\nselect a from p where b = 1;",
            // StarRocks does not nest comments.
            "select a /* /* */ from p where b = 1",
        ],
        &["select a from p where b = '-- x' and c"],
    ]);
}

/// Pieces of statements, whole and broken.
fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
    let piece = prop::sample::select(vec![
        "select", "in", "values", "(", ")", "[", "]", ",", ".", ";", "a", "T", "1", "-1", "'x'",
        "\"", "`", "`b`", "null", "is", "=", "-", "f(", "/*", "*/", "?", "中", "\\",
    ]);
    prop::collection::vec(piece, 0..40)
}

/// Parts of statements, none of which reaches into the next one.
fn whole_pieces() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "select", "from", "where", "in", "(", ")", ",", "=", "p", "q.r", "1", "and", "case",
        "when", "then", "insert", "into", "values", "order", "by", "limit", "is", "not", "between",
        "show", "partition", ";", "join", "on", "as", "union", "with", "set", "[", "]", "update",
    ])
}

/// Values as clients write them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,5}",
        "[0-9]{0,3}\\.[0-9]{1,3}([eE][+-]?[0-9]{1,2})?",
        "0x[0-9a-fA-F]{1,8}",
        "'([a-z (,\\-#/*;`\"]|''|\\\\')*'",
        "\"([a-z (,\\-#/*;`']|\"\")*\"",
    ]
}

#[test]
fn a_cut_behind_a_list_and_a_long_character_is_no_panic() {
    for text in ["in(1,2)\u{fffd}...", "select a in (1, 2)é...", "a in (1,2,3)北京..."] {
        assert!(normalize(text).ends_with("..."), "{text}");
    }
}

#[test]
fn a_cut_behind_a_list_is_the_same_for_lists_of_every_length() {
    let cut = |list: &str| normalize(&format!("select a from t where b in ({list})..."));
    assert_eq!(cut("1"), cut("1, 2"));
    assert_eq!(cut("1"), cut("1, 2, 3"));
}

proptest! {
    #[test]
    fn any_text_is_normalized(statement: String) {
        normalize(&statement);
    }

    #[test]
    fn white_space_and_comments_never_matter(pieces in pieces()) {
        let whole: Vec<_> = pieces
            .into_iter()
            .filter(|piece| !["\"", "`", "/*", "*/", "\\"].contains(piece))
            .collect();
        let spaced = normalize(&whole.join(" "));
        prop_assert_eq!(normalize(&whole.join("\n  ")), spaced.clone());
        prop_assert_eq!(normalize(&whole.join(" /* x */ ")), spaced);
    }

    #[test]
    fn letter_case_and_values_never_matter(
        pieces in prop::collection::vec((whole_pieces(), any::<bool>(), value()), 0..40),
    ) {
        let statement = |is_other: bool| {
            let pieces = pieces.iter().map(|(piece, is_upper, value)| match *piece {
                "1" if is_other => value.clone(),
                name @ ("p" | "q.r") => name.to_string(),
                word if is_other && *is_upper => word.to_uppercase(),
                word => word.to_string(),
            });
            pieces.collect::<Vec<_>>().join(" ")
        };
        prop_assert_eq!(normalize(&statement(true)), normalize(&statement(false)));
    }

    #[test]
    fn pieces_of_statements_are_normalized(pieces in pieces()) {
        normalize(&pieces.concat());
    }
}
