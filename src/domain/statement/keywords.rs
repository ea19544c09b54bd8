//! The keywords of Doris and StarRocks. Their letter case does not matter.
//!
//! The sources are `DorisLexer.g4` and `DorisParser.g4` of Doris 4.x, `StarRocksLex.g4` and `StarRocks.g4` of StarRocks
//! 4.x, the keywords of earlier versions, and keywords of MySQL that clients send. `E`, which Doris' lexer lists for a
//! default value, is not in the list, because people use it as a name.

use std::sync::LazyLock;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keyword {
    /// In lower case.
    pub word: &'static str,
    /// Whether the word is a name only in backquotes or behind a dot.
    pub is_reserved: bool,
    /// Whether the word is the name of a type.
    pub is_type: bool,
    pub role: Role,
}

/// What a keyword says about the tokens that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The keyword says nothing.
    Plain,
    /// The keyword begins another clause of the statement.
    Clause,
    /// A condition or a result follows, in which `true` is a value.
    Expression,
    /// A value follows, so that a sign belongs to it.
    Value,
    /// The keyword itself is a value: `null`, `true`, `false`.
    Constant,
    /// A list may follow of which the length does not matter.
    List,
    /// Rows follow.
    Rows,
    /// A table follows, or a function that returns one.
    Table,
    /// The name of something follows.
    Name,
    /// A name follows if the keyword starts the statement.
    Describe,
    /// An alias or a type follows.
    Alias,
    /// A name follows, or another keyword.
    With,
    /// The keyword stands between another keyword and the name behind that one, as in `table if exists`.
    Between,
    /// The name of a partition follows.
    Partition,
    /// With `label` or `snapshot` behind it, the keyword announces a label.
    Labelled,
    /// A label follows if a keyword precedes that announces one.
    Label,
    /// Rows that do not matter may follow if the keyword starts the statement.
    Insert,
    /// The keyword and a text behind it are one value: `date '2024-01-01'`.
    Typed,
}

fn role(word: &str) -> Role {
    match word {
        "except" | "group" | "having" | "intersect" | "limit" | "order" | "qualify" | "select"
        | "set" | "union" | "where" => Role::Clause,
        "and" | "between" | "else" | "on" | "or" | "then" | "when" => Role::Expression,
        "default" | "interval" => Role::Value,
        "false" | "null" | "true" => Role::Constant,
        "in" | "infile" | "tablet" => Role::List,
        "values" => Role::Rows,
        "from" | "join" => Role::Table,
        "catalog" | "database" | "into" | "overwrite" | "schema" | "table" | "update" | "use"
        | "view" => Role::Name,
        "as" => Role::Alias,
        "recursive" | "with" => Role::With,
        "exists" | "if" | "not" => Role::Between,
        "desc" | "describe" => Role::Describe,
        "partition" | "partitions" => Role::Partition,
        "backup" | "clean" | "load" | "restore" => Role::Labelled,
        "label" | "snapshot" => Role::Label,
        "insert" | "replace" => Role::Insert,
        "binary" | "date" | "datetime" | "datetimev1" | "datetimev2" | "datev1" | "datev2"
        | "time" | "timestamp" => Role::Typed,
        _ => Role::Plain,
    }
}

/// The length of the longest keyword, in bytes.
const LONGEST: usize = 35;

/// The number of slots in the hash table: a power of two, so large that more than half of the slots stay empty.
const SLOTS: usize = 2048;

/// The keywords by their [`hash`]. A keyword whose slot is taken is in the next free slot.
static TABLE: LazyLock<Box<[Option<Keyword>; SLOTS]>> = LazyLock::new(|| {
    let mut table = Box::new([None; SLOTS]);
    for (words, is_reserved, is_type) in
        [(&RESERVED[..], true, false), (&TYPES[..], false, true), (&OTHERS[..], false, false)]
    {
        for word in words {
            let mut slot = hash(word.as_bytes());
            while table[slot].is_some() {
                slot = (slot + 1) % SLOTS;
            }
            table[slot] = Some(Keyword { word, is_reserved, is_type, role: role(word) });
        }
    }
    table
});

/// Returns the keyword that `word` is in any letter case.
pub(super) fn keyword(word: &str) -> Option<Keyword> {
    let bytes = word.as_bytes();
    if bytes.len() > LONGEST || bytes.is_empty() {
        return None;
    }
    let table = &**TABLE;
    let mut slot = hash(bytes);
    while let Some(keyword) = &table[slot] {
        if keyword.word.len() == bytes.len() && keyword.word.eq_ignore_ascii_case(word) {
            return Some(*keyword);
        }
        slot = (slot + 1) % SLOTS;
    }
    None
}

/// Returns a slot of the table for a word's length and its first and last bytes, whatever their letter case. Hashing
/// the whole word takes longer.
fn hash(word: &[u8]) -> usize {
    let (first, last) = match word {
        [.., _, _, _, _, _, _, _, _] => {
            let end = word.len() - 8;
            (to_u64(&word[..8]), to_u64(&word[end..]))
        }
        [.., _, _, _, _] => (to_u64(&word[..4]), to_u64(&word[word.len() - 4..])),
        [first, .., middle, last] => {
            (u64::from_le_bytes([*first, *middle, *last, 0, 0, 0, 0, 0]), 0)
        }
        [first, last] => (u64::from_le_bytes([*first, *last, 0, 0, 0, 0, 0, 0]), 0),
        _ => (word.first().copied().unwrap_or(0).into(), 0),
    };
    // The bit by which lower and upper case differ.
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let mixed = (first | LOWER).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (last | LOWER).rotate_left(23).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ word.len() as u64;
    (mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 53) as usize
}

fn to_u64(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(eight)
}

/// Keywords that are a name only in backquotes or behind a dot. Sorted.
const RESERVED: [&str; 89] = [
    "add", "all", "alter", "analyze", "and", "as", "asc", "between", "by", "case", "column",
    "create", "cross", "delete", "desc", "describe", "distinct", "div", "drop", "dual", "else",
    "except", "exists", "explain", "false", "for", "from", "full", "grant", "group", "having",
    "ilike", "in", "infile", "inner", "insert", "intersect", "into", "is", "join", "kill",
    "lateral", "left", "like", "limit", "load", "match", "match_all", "match_any", "match_phrase",
    "match_phrase_edge", "match_phrase_prefix", "match_regexp", "maxvalue", "natural", "not",
    "null", "of", "on", "or", "order", "outer", "outfile", "over", "overwrite", "partition",
    "primary", "regexp", "revoke", "right", "rlike", "select", "set", "show", "table",
    "tablesample", "then", "to", "true", "union", "unique", "update", "use", "using", "values",
    "when", "where", "with", "xor",
];

/// The names of types, which may be names of other things as well. Sorted.
const TYPES: [&str; 50] = [
    "agg_state", "array", "bigint", "binary", "bitmap", "blob", "boolean", "char", "character",
    "date", "datetime", "datetimev1", "datetimev2", "datev1", "datev2", "dec", "decimal",
    "decimal128", "decimal32", "decimal64", "decimalv2", "decimalv3", "double", "float", "hll",
    "int", "integer", "ipv4", "ipv6", "json", "jsonb", "largeint", "map", "mediumint", "numeric",
    "percentile", "quantile_state", "real", "signed", "smallint", "string", "struct", "text",
    "time", "timestamp", "tinyint", "unsigned", "varbinary", "varchar", "variant",
];

/// All other keywords of the two languages. They may be names as well. Sorted.
const OTHERS: [&str; 558] = [
    "access", "account_lock", "account_unlock", "actions", "active", "admin", "admin_priv",
    "advisor", "after", "aggregate", "alias", "alter_priv", "always", "analyzed", "analyzer",
    "analyzers", "anti", "any", "append", "apply", "array_agg", "array_agg_distinct", "asof",
    "async", "at", "authentication", "authors", "auto", "auto_increment", "automated", "avg",
    "aware", "backend", "backends", "backup", "base", "baseline", "before", "begin", "belong",
    "bin", "binlog", "bitand", "bitmap_empty", "bitmap_union", "bitor", "bitshiftleft",
    "bitshiftright", "bitshiftrightlogical", "bitxor", "blackhole", "blacklist", "body", "both",
    "branch", "brief", "broker", "bucket", "buckets", "build", "builtin", "bulk", "cache",
    "cached", "call", "cancel", "cast", "catalog", "catalogs", "ceil", "chain", "channel",
    "charset", "check", "clean", "clear", "clone", "cluster", "cluster_usage_priv", "clusters",
    "collate", "collation", "collect", "colocate", "columns", "comment", "commit", "committed",
    "compact", "compaction", "complete", "compress_type", "compute", "conditions", "config",
    "connection", "connection_id", "consistent", "constraint", "constraints", "convert",
    "convert_light_schema_change_process", "copy", "costs", "count", "create_priv", "creation",
    "cron", "cube", "cume_dist", "cumulative", "current", "current_catalog", "current_date",
    "current_group", "current_role", "current_time", "current_timestamp", "current_user", "data",
    "database", "databases", "datacache", "day", "days", "deallocate", "decommission", "default",
    "deferred", "definition", "demand", "dense_rank", "diagnose", "diagnosis", "dialect",
    "dictionaries", "dictionary", "dictionary_get", "disable", "disk", "distinctpc",
    "distinctpcsa", "distributed", "distribution", "do", "doris_internal_table_id", "drop_priv",
    "dropp", "dump", "duplicate", "dynamic", "empty", "enable", "enclose", "encryption",
    "encryptkey", "encryptkeys", "end", "ends", "engine", "engines", "enter", "errors", "escape",
    "events", "every", "exclude", "execute", "expired", "export", "extended", "external",
    "extract", "failed_login_attempts", "failpoint", "failpoints", "fast", "feature", "field",
    "fields", "file", "files", "filter", "first", "first_value", "floor", "flush", "fn",
    "follower", "following", "force", "foreign", "format", "free", "frontend", "frontends",
    "function", "functions", "generated", "generic", "gin", "global", "grant_priv", "grants",
    "graph", "group_concat", "grouping", "grouping_id", "groups", "hash", "hash_map", "hdfs",
    "help", "histogram", "hll_union", "host", "hostname", "hotspot", "hour", "hours", "hub",
    "identified", "if", "ignore", "image", "immediate", "impersonate", "inactive", "incremental",
    "index", "indexes", "install", "integrated", "integration", "integrations", "intermediate",
    "interval", "inverted", "invoker", "ip_trie", "is_not_null_pred", "is_null_pred", "isnull",
    "isolation", "job", "jobs", "kafka", "key", "keys", "label", "lag", "last", "last_value",
    "layout", "ldap", "ldap_admin_password", "lead", "leading", "less", "level", "lines", "link",
    "list", "load_priv", "local", "localtime", "localtimestamp", "location", "locations", "lock",
    "locked", "logical", "logs", "low_priority", "manual", "mapping", "mappings", "masking",
    "match_element_eq", "match_element_ge", "match_element_gt", "match_element_le",
    "match_element_lt", "match_phrase_regexp", "matched", "materialized", "max", "memo", "merge",
    "meta", "microsecond", "migrate", "migrations", "millisecond", "min", "minus", "minute",
    "minutes", "mod", "mode", "modify", "month", "mtmv", "multiple", "name", "names", "national",
    "negative", "never", "next", "ngram_bf", "ngrambf", "no", "no_use_mv", "node", "node_priv",
    "nodes", "non_nullable", "none", "nowait", "ntile", "nulls", "number", "observer", "off",
    "offset", "only", "open", "operate", "optimize", "optimized", "optimizer", "option",
    "ordinality", "parameter", "parsed", "partitions", "password", "password_expire",
    "password_history", "password_lock_time", "password_reuse", "path", "pause", "pending",
    "percent", "percent_rank", "percentile_union", "performance_schema", "period", "permissive",
    "persistent", "physical", "pi", "pipe", "pipes", "pivot", "plan", "play", "plugin", "plugins",
    "policies", "policy", "preceding", "predicate", "prepare", "priority", "privileges",
    "probability", "proc", "procedure", "process", "processlist", "profile", "profilelist",
    "properties", "property", "provider", "providers", "pulsar", "qualify", "quantile_union",
    "quarter", "queries", "query", "queue", "queued", "quota", "random", "range", "rank", "read",
    "reason", "rebalance", "recent", "recover", "recursive", "recycle", "references", "refresh",
    "release", "remove", "rename", "repair", "repeatable", "replace", "replace_if_not_null",
    "replayer", "replica", "replication", "repositories", "repository", "resource", "resources",
    "restore", "restrict", "restrictive", "resume", "retain", "retention", "retry", "return",
    "returns", "revert", "rewrite", "rewritten", "role", "roles", "rollback", "rollup", "routine",
    "row", "row_number", "rows", "rule", "rules", "running", "s3", "sample", "savepoint",
    "schedule", "scheduler", "schema", "schemas", "second", "security", "select_priv", "semi",
    "separator", "serializable", "session", "session_user", "set_session_variable", "set_var",
    "sets", "shape", "show_view_priv", "skew", "skip", "skip_header", "snapshot", "snapshots",
    "soname", "sounds", "split", "sql", "sql_block_rule", "sqlblacklist", "stage",
    "stage_usage_priv", "stages", "starrocks", "start", "starts", "stats", "status", "stop",
    "storage", "straight_join", "stream", "streaming", "submit", "sum", "superuser", "suspend",
    "swap", "switch", "sync", "system", "system_time", "tables", "tablet", "tablets", "tag",
    "task", "tasks", "temporary", "terminated", "than", "times", "timestampadd", "timestampdiff",
    "token_filter", "tokenizer", "trace", "trailing", "transaction", "translate", "trash", "tree",
    "trigger", "triggers", "trim", "trim_space", "truncate", "type", "type_cast", "types",
    "unbounded", "uncommitted", "uninstall", "unlock", "unnest", "unpivot", "unset", "up", "usage",
    "usage_priv", "use_mv", "user", "users", "vacuum", "value", "variable", "variables", "vault",
    "vaults", "vector", "verbose", "version", "view", "views", "volume", "volumes", "warehouse",
    "warehouses", "warm", "warnings", "week", "whitelist", "window", "within", "without", "work",
    "workload", "write", "year", "zone",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted_and_found_in_any_letter_case() {
        let mut longest = 0;
        for (words, is_reserved, is_type) in
            [(&RESERVED[..], true, false), (&TYPES[..], false, true), (&OTHERS[..], false, false)]
        {
            assert!(words.is_sorted());
            for word in words {
                let found = keyword(&word.to_uppercase()).unwrap();
                assert_eq!(
                    (found.word, found.is_reserved, found.is_type),
                    (*word, is_reserved, is_type)
                );
                longest = longest.max(word.len());
            }
        }
        assert_eq!(longest, LONGEST);
        for name in ["", "parcels", "e", "selects", "selec", "订单", "@order"] {
            assert_eq!(keyword(name), None, "{name}");
        }
    }

    #[test]
    fn the_table_is_sparse_enough() {
        let longest_run = TABLE.split(|slot| slot.is_none()).map(<[_]>::len).max();
        assert!(longest_run < Some(16), "{longest_run:?}");
        assert!(RESERVED.len() + TYPES.len() + OTHERS.len() < SLOTS / 2);
    }
}
