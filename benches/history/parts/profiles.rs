//! Profiles, beside a bare warp route.

use crate::bench::Bench;
use crate::client::{Client, SESSION, request_rate};
use crate::generator::query_id;
use crate::process::Server;
use crate::profile_text::profile_text;
use crate::table::Goal;

/// Measures profiles of random queries. The reference answers with the bytes of one profile of average length.
pub(crate) fn profiles(bench: &mut Bench) {
    let ours = Server::annals(bench.history());
    let (duration, profiles) = (bench.size.duration, bench.size.profiles);
    let is_average = |number: &u64| (18_000..22_000).contains(&profile_text(*number).len());
    let average = (0..).find(is_average).unwrap();
    for (task, path) in [
        ("profile as HTML, requests/s (bare warp route)", "/rest/v1/query_profile/"),
        ("profile as text, requests/s (bare warp route)", "/api/profile/text?query_id="),
    ] {
        let body = Client::connect(&ours.address).get(&format!("{path}{}", query_id(average)));
        let reference = bench.bare_warp(&body);
        bench.pairs(
            task,
            Goal::AtLeast(0.4),
            || {
                request_rate(&ours.address, duration, |_, random| {
                    format!("{path}{}", query_id(random.below(profiles)))
                })
            },
            || request_rate(&reference.address, duration, |_, _| SESSION.to_string()),
        );
    }
}
