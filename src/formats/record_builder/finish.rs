//! The end of a record: its id, its times, and whether it is a log-in.

use super::{Entry, EntryType, RecordBuilder, WrittenAt, value};
use crate::domain::login::Login;
use crate::domain::record::{Kind, Load, QueryId, QueryIdError, QueryRecord, Zoned};
use crate::formats::SkipReason;

impl RecordBuilder {
    /// Returns the record with its id and its times, or the log-in. `written` is when the record was written, if the
    /// source says so.
    ///
    /// Errors if the record has no usable id or no time, or is of a type that annals does not keep.
    pub(in crate::formats) fn finish(
        mut self,
        written: Option<WrittenAt>,
    ) -> Result<Entry, SkipReason> {
        if let Some((name, group)) = self.cn_group.take() {
            match &self.record.compute_group {
                None => self.record.compute_group = Some(group),
                Some(_) => {
                    self.record.extra.insert(name, group);
                }
            }
        }
        match self.entry_type {
            EntryType::Other => Err(SkipReason::OtherType),
            EntryType::Login => self.into_login(written),
            EntryType::QueryOrLogin if self.looks_like_login() => self.into_login(written),
            EntryType::Query | EntryType::QueryOrLogin => {
                Ok(Entry::Record(self.into_record(written)?))
            }
        }
    }

    /// Returns whether the record has neither an id, a statement nor a duration, which every query has.
    fn looks_like_login(&self) -> bool {
        let record = &self.record;
        self.query_id == Err(QueryIdError::Missing)
            && record.statement.is_none()
            && record.duration_ms.is_none()
            && record.state.is_some()
            && (record.client.is_some() || record.user.is_some())
    }

    fn into_login(mut self, written: Option<WrittenAt>) -> Result<Entry, SkipReason> {
        let id = self.login_id(written.as_ref());
        let zoned = Zoned::of_read(match self.record.started_ms {
            Some(_) => self.start_is_local,
            None => written.is_some_and(|written| written.is_local),
        });
        let mut record = *self.record;
        // StarRocks puts the message into the code's field.
        if let Some((name, word)) = self.error_word.take() {
            match record.error_message {
                None => record.error_message = Some(word),
                Some(_) => {
                    record.extra.insert(name, word);
                }
            }
        }
        for (name, value) in [
            ("ResourceGroup", record.workload_group),
            ("Warehouse", record.compute_group),
            ("SessionId", record.session_id),
        ] {
            if let Some(value) = value {
                record.extra.insert(name.to_string(), value);
            }
        }
        let at_ms = record.started_ms.or(written.map(|written| written.ms));
        let succeeded = match record.state.as_deref() {
            Some(state) => !state.eq_ignore_ascii_case("ERR"),
            None => {
                record.error_message.is_none() && record.error_code.is_none_or(|code| code == 0)
            }
        };
        Ok(Entry::Login(Box::new(Login {
            id,
            at_ms: at_ms.ok_or(SkipReason::NoTime)?,
            user: record.user,
            client: record.client,
            frontend: record.frontend,
            catalog: record.catalog,
            db: record.db,
            succeeded,
            error_code: record.error_code,
            error_message: record.error_message,
            extra: record.extra,
            zoned,
        })))
    }

    /// Returns the id of a log-in: derived of the id that StarRocks' loader makes up for each row, or else of what
    /// tells one log-in from another.
    fn login_id(&self, written: Option<&WrittenAt>) -> String {
        if let Ok(id) = &self.query_id {
            return Login::derived_id(&["login", id.as_str()]);
        }
        let record = &self.record;
        let written = written.filter(|_| self.start_text.is_empty());
        let time = written.map(|written| written.local.to_string());
        let message = record.error_message.as_deref();
        let word = self.error_word.as_ref().map(|(_, word)| word.as_str());
        Login::derived_id(&[
            "login",
            time.as_deref().unwrap_or(&self.start_text),
            record.frontend.as_deref().unwrap_or_default(),
            record.client.as_deref().unwrap_or_default(),
            record.user.as_deref().unwrap_or_default(),
            record.db.as_deref().unwrap_or_default(),
            record.state.as_deref().unwrap_or_default(),
            message.or(word).unwrap_or_default(),
        ])
    }

    fn into_record(mut self, written: Option<WrittenAt>) -> Result<Box<QueryRecord>, SkipReason> {
        if let Some((name, word)) = self.error_word.take() {
            // The code of a query that went well says nothing; beside a message it says little.
            let failed = !self.record.state.as_deref().is_some_and(|state| {
                ["OK", "EOF"].iter().any(|well| state.eq_ignore_ascii_case(well))
            });
            if failed && self.record.error_message.is_none() {
                self.record.error_message = Some(word);
            } else {
                self.record.extra.insert(name, word);
            }
        }
        if self.record.trace_id.is_none() {
            self.record.trace_id =
                self.record.changed_variables.as_deref().and_then(value::trace_id);
        }
        self.record.query_id =
            match std::mem::replace(&mut self.query_id, Err(QueryIdError::Missing)) {
                Ok(id) => id,
                Err(QueryIdError::Missing) => self.derived_id(written.as_ref())?,
                Err(error) => return Err(SkipReason::BadQueryId(error)),
            };
        let mut record = self.record;
        record.zoned = Zoned::of_read(match (record.started_ms, record.ended_ms) {
            (Some(_), _) => self.start_is_local,
            (None, Some(_)) if !record.is_running() => self.end_is_local,
            _ => written.is_some_and(|written| written.is_local),
        });
        fill_in_times(&mut record, written.map(|written| written.ms))?;
        if self.load != Load::default() {
            record.load = Some(Box::new(self.load));
        }
        Ok(record)
    }

    /// Returns the id of a record to which its frontend gave none: the same for every report of one statement or load.
    ///
    /// Errors if the record has no statement, or the load no label.
    fn derived_id(&self, written: Option<&WrittenAt>) -> Result<QueryId, SkipReason> {
        let record = &self.record;
        if record.kind == Kind::Load {
            // Doris gives a stream load no id. A label may be used again once a load failed, so the time makes it the
            // load's own.
            let label = self.load.label.as_deref().ok_or(SkipReason::NoQueryId)?;
            let db = record.db.as_deref().unwrap_or_default();
            return Ok(QueryId::derived(&["stream_load", db, label, &self.start_text]));
        }
        // Statements that never ran may have no id. Their slow-query line must give the same one and is written a
        // moment later, so of the time of writing only the day counts.
        let statement = record.statement.as_deref().ok_or(SkipReason::NoQueryId)?;
        let written = written.filter(|_| self.start_text.is_empty());
        let day = written.map(|written| written.local.date().to_string());
        Ok(QueryId::derived(&[
            "query",
            record.frontend.as_deref().unwrap_or_default(),
            record.client.as_deref().unwrap_or_default(),
            record.user.as_deref().unwrap_or_default(),
            &record.statement_id.map(|id| id.to_string()).unwrap_or_default(),
            day.as_deref().unwrap_or(&self.start_text),
            // Only the first line: a followed log may be read before all lines are written.
            statement.trim_start().lines().next().unwrap_or_default(),
        ]))
    }
}

/// Derives the start, end or duration that is unknown from those that are known, in milliseconds.
///
/// The time of writing counts only if no start is known: a frontend holds records back for five seconds and more
/// (Doris 2.1 and later), StarRocks for minutes. Errors if no time is known.
fn fill_in_times(record: &mut QueryRecord, written_ms: Option<i64>) -> Result<(), SkipReason> {
    if record.is_running() {
        record.ended_ms = None;
    }
    match (record.started_ms, record.ended_ms) {
        (Some(started_ms), Some(ended_ms)) => {
            let took_ms = ended_ms.checked_sub(started_ms).map(|ms| ms.max(0));
            // An estimated start is no measure.
            let took_ms = took_ms.filter(|_| !record.is_start_estimated);
            record.duration_ms = record.duration_ms.or(took_ms);
        }
        (Some(started_ms), None) if !record.is_running() => {
            record.ended_ms = record.duration_ms.and_then(|ms| started_ms.checked_add(ms));
        }
        (Some(_), None) => {}
        (None, ended_ms) => {
            let known_ms = ended_ms.or(written_ms).ok_or(SkipReason::NoTime)?;
            record.started_ms = known_ms.checked_sub(record.duration_ms.unwrap_or(0));
            record.is_start_estimated |= ended_ms.is_none() || record.duration_ms.is_none();
            if !record.is_running() {
                record.ended_ms = Some(known_ms);
            }
        }
    }
    Ok(())
}
