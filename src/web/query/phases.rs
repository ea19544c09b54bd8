//! The phases of a query: where the time before and during execution went.

use maud::{Markup, html};

use crate::domain::profile::{Phase, Phases};
use crate::web::format;

/// Returns the phases as one bar with a legend, and their steps behind a disclosure; nothing where no phase is known.
pub(super) fn bar(phases: &Phases) -> Markup {
    let phases = &phases.phases;
    if phases.is_empty() {
        return html! {};
    }
    let duration = |phase: &Phase| format::duration(Some(phase.duration_ms));
    html! {
        figure.phases {
            figcaption { "Where the time went" }
            svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
                @for (phase, x, width) in places(phases) {
                    rect class=(class(&phase.name)) x=(x) width=(width) height="10" {
                        title { (phase.name) " " (duration(phase)) }
                    }
                }
            }
            ul {
                @for phase in phases {
                    li class={ "key " (class(&phase.name)) } {
                        (phase.name) " " strong { (duration(phase)) } " (" (format::percent(phase.share)) ")"
                    }
                }
            }
            @if phases.iter().any(|phase| !phase.steps.is_empty()) {
                details.more {
                    summary { "Steps" }
                    dl.facts {
                        @for phase in phases {
                            @for step in &phase.steps {
                                div { dt { (phase.name) ": " (step.name) } dd { (duration(step)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns each phase with its x and its width in a bar that is 1000 wide.
fn places(phases: &[Phase]) -> Vec<(&Phase, String, String)> {
    let sum = phases.iter().map(|phase| phase.share).sum::<f64>().max(1e-9);
    let mut x = 0.0;
    let places = phases.iter().map(|phase| {
        let place = (phase, format!("{x:.2}"), format!("{:.2}", phase.share / sum * 1000.0));
        x += phase.share / sum * 1000.0;
        place
    });
    places.collect()
}

/// Returns the CSS class of a phase's colour.
fn class(phase: &str) -> &'static str {
    match phase {
        Phases::PARSE => "parse",
        Phases::ANALYZE => "analyze",
        Phases::PLAN => "plan",
        Phases::QUEUE => "queue",
        Phases::SCHEDULE => "schedule",
        "prepare" => "prepare",
        "other" => "other",
        _ => "run",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_one_bar_with_a_legend() {
        let text = include_str!("../../../tests/profiles/starrocks-3.3.txt");
        let phases = Phases::of_text(text.as_bytes());
        let markup = bar(&phases).into_string();
        assert_eq!(markup.matches("<rect ").count(), 7, "{markup}");
        for expected in [
            "<li class=\"key queue\">queue <strong>1.20 s</strong> (0.7 %)</li>",
            "<dt>plan: optimize</dt><dd>60 ms</dd>",
        ] {
            assert!(markup.contains(expected), "{expected}: {markup}");
        }
        let widths: f64 = markup
            .split(" width=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.parse::<f64>().ok())
            .sum();
        assert!((widths - 1000.0).abs() < 0.1, "{widths}");
        assert_eq!(bar(&Phases::default()).into_string(), "");
    }
}
