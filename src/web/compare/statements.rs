//! The statements of two runs: the lines that differ, or the statement that both ran.

use maud::{Markup, html};

use crate::domain::statement::{DifferenceLine, Differences, differences};
use crate::store::StoredQuery;
use crate::web::sql;

/// Returns the section of the statements.
pub(super) fn section(before: &StoredQuery, after: &StoredQuery) -> Markup {
    let is_other = before.fingerprint != after.fingerprint;
    html! {
        section aria-labelledby="statement-heading" {
            h2 #statement-heading { "Statement" }
            @match (&before.statement, &after.statement) {
                (Some(one), Some(other)) if one == other => {
                    p.note { "Both runs have the same statement." }
                    (sql::block(one))
                }
                (Some(one), Some(other)) => {
                    p.note {
                        (if is_other { "The runs are of two different statements." } else { "The statements differ in their literals or their layout." })
                    }
                    (lines(&differences(one, other)))
                }
                _ => p.note { "The statements are compared when both runs have one." },
            }
        }
    }
}

fn lines(Differences { lines, is_cut }: &Differences) -> Markup {
    html! {
        @if lines.is_empty() && !is_cut {
            p.note { "They only differ in white space." }
        } @else {
            pre.sql.differing tabindex="0" dir="auto" {
                @for line in lines {
                    @match line {
                        DifferenceLine::Both(text) => { "  " (text) "\n" },
                        DifferenceLine::Before(text) => del { "- " (text) "\n" },
                        DifferenceLine::After(text) => ins { "+ " (text) "\n" },
                        DifferenceLine::Gap => span.c { "…\n" },
                    }
                }
            }
        }
        @if *is_cut { p.note { "The statements are long. Only their first lines that differ are shown." } }
    }
}
