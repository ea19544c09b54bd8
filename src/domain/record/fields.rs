//! The fields of a record, each said once.
//!
//! The tables below give the structs, merging, the columns that the store writes and reads, the keys of JSON, CSV and
//! NDJSON, and the schema of the interface's description. A new field is a line here, a migration that adds the column of
//! that name, and its key in the format that brings it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::field::{Field, FieldType, FieldValue, JsonText};
use super::{Kind, Origin, QueryId, Zoned};

/// Defines a struct from its table of fields, and what goes over all of them. The fields of `beside` are no columns of
/// the struct's table in the store.
macro_rules! define_fields {
    (
        $(#[$attribute:meta])*
        struct $record:ident {
            $($(#[doc = $doc:literal])* $field:ident: $type:ty,)+
        }
        beside {
            $($(#[doc = $beside_doc:literal])* $beside:ident: $beside_type:ty,)*
        }
    ) => {
        $(#[$attribute])*
        pub(crate) struct $record {
            $($(#[doc = $doc])* pub $field: $type,)+
            $($(#[doc = $beside_doc])* pub $beside: $beside_type,)*
        }

        impl $record {
            /// The fields in the order of the table.
            pub(crate) const FIELDS: [Field; [$(stringify!($field)),+].len()] =
                [$(Field::new::<$type>(stringify!($field), concat!($($doc, "\n",)*)),)+];

            /// Returns the values of [`Self::FIELDS`].
            pub(crate) fn values(&self) -> [FieldValue<'_>; Self::FIELDS.len()] {
                [$(self.$field.value(),)+]
            }

            /// Returns a record of the values that `next` gives, one after the other, for [`Self::FIELDS`].
            pub(crate) fn of_values<'v, E>(
                mut next: impl FnMut() -> Result<FieldValue<'v>, E>,
            ) -> Result<$record, E> {
                Ok($record {
                    $($field: FieldType::of_value(next()?),)+
                    $($beside: Default::default(),)*
                })
            }

            /// Merges each field by the rule of its type.
            pub(super) fn merge_fields(&mut self, other: &mut $record, prefer_other: bool) {
                $(self.$field.merge(&mut other.$field, prefer_other);)+
            }
        }
    };
}

define_fields! {
    /// Everything known of one statement or load. `None` is unknown. The fields are those of Doris' audit log,
    /// sizes in bytes, times in Unix milliseconds (UTC).
    #[derive(Debug, Clone, PartialEq, Hash)]
    struct QueryRecord {
        query_id: QueryId,
        /// `query` or `load`.
        kind: Kind,
        /// Where the record comes from: `audit`, or `summary` where only a profile or a list reported it.
        origin: Origin,
        /// EOF, OK, ERR, RUNNING, FINISHED, CANCELLED, and what stream loads say.
        state: Option<String>,
        started_ms: Option<i64>,
        ended_ms: Option<i64>,
        duration_ms: Option<i64>,
        user: Option<String>,
        /// Host and port.
        client: Option<String>,
        catalog: Option<String>,
        db: Option<String>,
        /// The text of the statement, with the line ends that were sent. In lists its first 65,536 characters.
        statement: Option<String>,
        statement_type: Option<String>,
        command_type: Option<String>,
        statement_id: Option<i64>,
        session_id: Option<String>,
        trace_id: Option<String>,
        is_query: Option<bool>,
        is_nereids: Option<bool>,
        is_internal: Option<bool>,
        /// Whether the slow-query log has it.
        is_slow: bool,
        error_code: Option<i64>,
        error_message: Option<String>,
        scan_rows: Option<i64>,
        scan_bytes: Option<i64>,
        local_scan_bytes: Option<i64>,
        remote_scan_bytes: Option<i64>,
        return_rows: Option<i64>,
        shuffle_send_rows: Option<i64>,
        shuffle_send_bytes: Option<i64>,
        spill_write_bytes: Option<i64>,
        peak_memory_bytes: Option<i64>,
        cpu_time_ms: Option<i64>,
        /// The frontend that ran it.
        frontend: Option<String>,
        workload_group: Option<String>,
        compute_group: Option<String>,
        queried_tables: Option<String>,
        sql_hash: Option<String>,
        sql_digest: Option<String>,
        fuzzy_variables: Option<String>,
        /// How long it waited in its workload group's queue.
        queue_time_ms: Option<i64>,
        /// How long the frontend parsed it.
        parse_time_ms: Option<i64>,
        /// How long the frontend analysed and planned it.
        plan_time_ms: Option<i64>,
        /// How long the frontend sent its fragments to the backends.
        schedule_time_ms: Option<i64>,
        /// Whether the frontend answered from its SQL cache.
        cache_hit: Option<bool>,
        spill_read_bytes: Option<i64>,
        /// The materialized views that the planner chose.
        chosen_views: Option<String>,
        /// The session variables that differ from their defaults.
        changed_variables: Option<JsonText>,
        /// The cluster that ran it, as the source names it.
        cluster: Option<String>,
        /// Whether the start is a guess: the time at which the record was written, less the duration.
        is_start_estimated: bool,
    }
    beside {
        /// Keys without a field, with the values that the source gave them.
        extra: BTreeMap<String, String>,
        /// Whether the times depend on the zone in which they were read.
        zoned: Zoned,
        /// What only loads have.
        load: Option<Box<Load>>,
    }
}

define_fields! {
    /// What only a load has: the fields of `[load]` and `[stream_load]` audit records.
    #[derive(Debug, Clone, Default, PartialEq, Hash)]
    struct Load {
        job_id: Option<String>,
        label: Option<String>,
        load_type: Option<String>,
        table_list: Option<String>,
        file_path_list: Option<String>,
        broker_user: Option<String>,
        file_number: Option<i64>,
        message: Option<String>,
        /// Where Doris lists the rows that it rejected.
        url: Option<String>,
        total_rows: Option<i64>,
        loaded_rows: Option<i64>,
        filtered_rows: Option<i64>,
        unselected_rows: Option<i64>,
        load_bytes: Option<i64>,
    }
    beside {}
}

impl QueryRecord {
    /// Returns a record of which only this is known.
    pub(crate) fn new(query_id: QueryId, kind: Kind, origin: Origin) -> QueryRecord {
        let unknown = || Ok::<_, std::convert::Infallible>(FieldValue::Unknown);
        let Ok(record) = QueryRecord::of_values(unknown);
        QueryRecord { query_id, kind, origin, ..record }
    }
}

impl Serialize for Load {
    /// Writes the keys by name, as those of `extra`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = Load::FIELDS.iter().map(|field| field.name);
        names.zip(self.values()).collect::<BTreeMap<_, _>>().serialize(serializer)
    }
}
