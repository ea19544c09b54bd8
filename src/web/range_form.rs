//! The fields of a time range: the same on every page that has one, with the spellings of the command line.

use maud::{Markup, html};

use super::layout::Page;
use super::request::list_filter;
use super::time_range::TimeRange;
use super::{filter_form, paths};
use crate::domain::time::parse_typed_time_ms;
use crate::domain::time::{TypedTimeError, Zone, check_range, is_absolute, now_ms};
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::http::view::View;

/// The parameters of a range, with the labels of their fields.
const TIMES: [(&str, &str); 2] = [("from", "From"), ("to", "To")];

/// What a field shows, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    name: &'static str,
    label: &'static str,
    text: String,
    error: Option<TypedTimeError>,
}

/// The time range of a page as its address has it, which may be none.
#[derive(Debug)]
pub(super) struct TypedRange([Field; 2]);

impl TypedRange {
    pub(super) fn of(parameters: &Parameters, zone: Zone) -> TypedRange {
        let now_ms = now_ms();
        let read = |(name, label): (&'static str, &'static str)| {
            let typed = parameters.get(name).map_or("", String::as_str);
            let time = match typed {
                "" => Ok(None),
                typed => parse_typed_time_ms(typed, zone, now_ms).map(Some),
            };
            let text = shown(typed, zone);
            (time.clone().ok().flatten(), Field { name, label, text, error: time.err() })
        };
        let [(from_ms, from), (to_ms, to)] = TIMES.map(read);
        let reversed = check_range(from_ms, to_ms).err();
        TypedRange([from, Field { error: to.error.or(reversed), ..to }])
    }

    /// Returns whether the range can be read.
    pub(super) fn is_valid(&self) -> bool {
        self.0.iter().all(|field| field.error.is_none())
    }

    /// Returns the fields, with what is wrong beside them.
    pub(super) fn fields(&self) -> Markup {
        let first_wrong = self.0.iter().find(|field| field.error.is_some());
        html! {
            @for field in &self.0 {
                @let error_id = field.error.as_ref().map(|_| format!("{}-error", field.name));
                @let described_by = error_id.iter().map(String::as_str).chain(["range-hint"]).collect::<Vec<_>>().join(" ");
                div.time {
                    label {
                        (field.label)
                        input name=(field.name) value=(field.text) placeholder="2026-11-25 14:00" maxlength="100"
                            autocomplete="off" spellcheck="false" aria-describedby=(described_by)
                            aria-invalid=[field.error.as_ref().map(|_| "true")] autofocus[first_wrong == Some(field)];
                    }
                    @if let Some(error) = &field.error {
                        p.error id=[error_id] role="alert" { bdi { (error) } }
                    }
                }
            }
        }
    }
}

/// Returns the times of a page that can be read.
pub(super) fn readable_times(parameters: &Parameters, zone: Zone) -> Parameters {
    let TypedRange(fields) = TypedRange::of(parameters, zone);
    let mut times = paths::range_of(parameters);
    times.retain(|name, _| fields.iter().any(|field| field.name == name && field.error.is_none()));
    times
}

/// Returns what people may write into the fields.
pub(super) fn hint(zone: Zone) -> Markup {
    html! {
        p.note #range-hint {
            "Times are in " (zone) ". Write 2026-11-25 14:00, a day, T14:00 for today, yesterday, 2h for two hours ago, or Unix time."
        }
    }
}

/// Returns a time of an address as its field shows it: what moves with the clock as it is, all else in ISO form.
pub(super) fn shown(typed: &str, zone: Zone) -> String {
    let ms = match is_absolute(typed) {
        true => parse_typed_time_ms(typed, zone, 0).ok(),
        false => None,
    };
    let Some(ms) = ms else { return typed.to_string() };
    let seconds = zone.format_ms(ms);
    let text = match (ms.rem_euclid(1000), seconds.strip_suffix(":00")) {
        (0, Some(minutes)) => minutes.to_string(),
        (0, None) => seconds.clone(),
        (part, _) => format!("{seconds}.{part:03}"),
    };
    // An hour that clocks show twice has no text of its own.
    let is_other = parse_typed_time_ms(&text, zone, 0) != Ok(ms);
    if is_other { ms.to_string() } else { text }
}

/// Returns the form of the time range of a page, with links to ranges that end with the newest query if there is a `range`.
/// Other parameters of the page stay as they are.
pub(super) fn picker(
    path: &str,
    parameters: &Parameters,
    zone: Zone,
    range: Option<&TimeRange>,
) -> Markup {
    let is_kept = |name: &str| !["from", "to", "cursor"].contains(&name);
    let is_chosen = TIMES.iter().any(|(name, _)| parameters.contains_key(name));
    html! {
        section.picker aria-label="Time range" {
            form.filters.period method="get" action=(path) {
                (TypedRange::of(parameters, zone).fields())
                @for (name, value) in parameters.iter().filter(|(name, _)| is_kept(name)) {
                    input type="hidden" name=(name) value=(value);
                }
                div.actions {
                    button type="submit" { "Show" }
                    @if is_chosen && range.is_none() {
                        a href=(address(path, parameters, &[("from", ""), ("to", ""), ("cursor", "")])) { "Reset" }
                    }
                }
            }
            @if let Some(range) = range { (range.choices(path, parameters, zone)) }
            (hint(zone))
        }
    }
}

/// Returns the page of an address whose time range cannot be read: the fields with what was typed, and what is wrong with it.
/// None if nothing is wrong.
pub(super) async fn invalid_page(
    view: &View,
    address: &str,
    parameters: &Parameters,
) -> Option<Result<Page, ApiError>> {
    if TypedRange::of(parameters, view.zone).is_valid() {
        return None;
    }
    let (path, _) = address.split_once('?').unwrap_or((address, ""));
    Some(fields_alone(view, path, parameters).await)
}

async fn fields_alone(view: &View, path: &str, parameters: &Parameters) -> Result<Page, ApiError> {
    let form = match path {
        paths::HISTORY => {
            let mut others = parameters.clone();
            others.retain(|name, _| !TIMES.iter().any(|(time, _)| *time == name));
            let filter = list_filter(view, &others)?;
            filter_form::form(&filter, parameters, &view.several_clusters().await?, view.zone)
        }
        path => picker(path, parameters, view.zone, None),
    };
    let title = "Invalid time range";
    let body = html! {
        h1 { (title) }
        (form)
    };
    Ok(Page { title: title.to_string(), nav: None, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_shows_absolute_times_in_iso_form_and_in_the_zone() {
        let zone: Zone = "Europe/Berlin".parse().unwrap();
        for (typed, expected) in [
            ("2026-11-25T14:00", "2026-11-25 14:00"),
            ("2026-11-25 14:00:30", "2026-11-25 14:00:30"),
            ("2026-11-25", "2026-11-25 00:00"),
            ("2026-11-25T14:00Z", "2026-11-25 15:00"),
            ("1764079200", "2025-11-25 15:00"),
            ("1764079200007", "2025-11-25 15:00:00.007"),
            // Half past two comes twice in this night, the second time at this number.
            ("2026-10-25T01:30Z", "1792891800000"),
            ("2h", "2h"),
            ("T14:00", "T14:00"),
            ("soon", "soon"),
            ("", ""),
        ] {
            assert_eq!(shown(typed, zone), expected, "{typed}");
        }
    }

    #[test]
    fn each_field_has_its_own_error() {
        let read = |from: &str, to: &str| {
            let mut parameters = Parameters::new();
            parameters.set("from", from);
            parameters.set("to", to);
            let TypedRange(fields) = TypedRange::of(&parameters, Zone::UTC);
            fields.map(|field| field.error.map(|error| error.to_string()))
        };
        assert_eq!(read("2h", ""), [None, None]);
        let [from, to] = read("soon", "T25:00");
        assert!(from.unwrap().starts_with("soon is not a time"));
        assert!(to.unwrap().starts_with("T25:00 is not a time"));
        let reversed = Some("the range ends before it begins".to_string());
        assert_eq!(read("2026-11-25", "2026-11-24"), [None, reversed]);
    }

    proptest::proptest! {
        #[test]
        fn what_a_field_shows_is_the_time_of_the_address(ms in 1_000_000_000_000..4_000_000_000_000_i64) {
            let zone: Zone = "Europe/Berlin".parse().unwrap();
            let text = shown(&ms.to_string(), zone);
            proptest::prop_assert_eq!(parse_typed_time_ms(&text, zone, 0), Ok(ms), "{}", text);
        }
    }
}
