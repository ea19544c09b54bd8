//! What the address of a page selects of a plan.

use std::collections::HashMap;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::profile::{Node, Plan, Usual, UsualNode};
use crate::http::Parameters;
use crate::http::error::ApiError;
use crate::http::query_parameters::address;
use crate::web::paths;

/// A larger plan is drawn without what backends add to run it in parallel.
const MAX_WITH_LOCAL: usize = 40;
/// Of a larger plan, the nodes that matter little are folded.
const MAX_UNFOLDED: usize = 24;

/// What a page shows of a plan.
#[derive(Debug, Default, Clone)]
pub(in crate::web) struct PlanView {
    /// The id of the node whose counters are shown.
    pub(super) node: Option<String>,
    pub(super) zoom: Zoom,
    /// Whether local exchanges are drawn; none for what suits the size of the plan.
    pub(super) local: Option<bool>,
    /// Whether no node is folded, however large the plan is.
    pub(super) shows_all: bool,
    /// The ids of the first nodes of folds that are open.
    pub(super) open: Vec<String>,
    /// What is usual for the plan; none if too few other runs had it.
    pub(super) usual: Option<Arc<Usual>>,
    /// Whether the query still runs, so that its profile is not its last.
    pub(super) is_running: bool,
    /// For a plan beside another: how the nodes with these ids differ from it.
    pub(super) differing: Option<Arc<HashMap<String, String>>>,
    /// The time range and the filters that the page came with.
    pub(super) kept: Parameters,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zoom {
    /// As wide as its nodes can be read.
    #[default]
    Readable,
    /// Not wider than its box.
    Fit,
    Half,
    Full,
}

impl Zoom {
    /// The values of the parameter `zoom`, with the labels of the links.
    pub(super) const ALL: [(&'static str, &'static str, Zoom); 3] =
        [("fit", "Fit", Zoom::Fit), ("half", "50 %", Zoom::Half), ("full", "100 %", Zoom::Full)];
}

impl PlanView {
    /// Reads the parameters `node`, `zoom`, `local`, `nodes` and `open`.
    pub(super) fn of(parameters: &Parameters) -> Result<PlanView, ApiError> {
        let invalid = |text: &str| ApiError::BadRequest(text.to_string());
        let zoom = parameters.get("zoom").map(|zoom| {
            let known = Zoom::ALL.into_iter().find(|(name, ..)| name == zoom);
            known.map(|(.., zoom)| zoom).ok_or_else(|| invalid("zoom must be fit, half or full"))
        });
        let local = parameters.get("local").map(|local| match local.as_str() {
            "show" => Ok(true),
            "hide" => Ok(false),
            _ => Err(invalid("local must be show or hide")),
        });
        let shows_all = match parameters.get("nodes").map(String::as_str) {
            None => false,
            Some("all") => true,
            Some(_) => return Err(invalid("nodes must be all")),
        };
        let open = parameters.get("open").map(|open| open.split(',').map(str::to_string).collect());
        Ok(PlanView {
            node: parameters.get("node").cloned(),
            zoom: zoom.transpose()?.unwrap_or_default(),
            local: local.transpose()?,
            shows_all,
            open: open.unwrap_or_default(),
            kept: paths::kept_of(parameters),
            ..PlanView::default()
        })
    }

    /// Returns the view with what is usual for the plan.
    pub(super) fn with_usual(self, usual: Option<Usual>) -> PlanView {
        PlanView { usual: usual.map(Arc::new), ..self }
    }

    /// Returns the view of a plan beside another, from which the nodes with these ids differ, and how, on a page.
    pub(in crate::web) fn beside(
        differing: HashMap<String, String>,
        page: &Parameters,
    ) -> PlanView {
        let kept = paths::kept_of(page);
        PlanView { differing: Some(Arc::new(differing)), kept, ..PlanView::default() }
    }

    /// Returns what is usual for each node of a plan.
    pub(super) fn usual_of(&self, plan: &Plan<'_, '_>) -> Vec<Option<&UsualNode>> {
        let nodes = plan.nodes.iter().map(|node| (&*node.name, node.is_local()));
        self.usual.as_ref().map(|usual| usual.of_nodes(nodes)).unwrap_or_default()
    }

    /// Returns how a node differs from the plan beside this one; none if it does not.
    pub(super) fn difference(&self, node: &Node<'_, '_>) -> Option<&str> {
        self.differing.as_ref()?.get(&node.id).map(String::as_str)
    }

    /// Returns whether local exchanges of a plan are drawn.
    pub(super) fn shows_local(&self, plan: &Plan<'_, '_>) -> bool {
        self.local.unwrap_or(plan.nodes.len() <= MAX_WITH_LOCAL)
    }

    /// Returns whether nodes of a plan are folded of which this many could be drawn.
    pub(super) fn folds(&self, nodes: usize) -> bool {
        !self.shows_all && nodes > MAX_UNFOLDED
    }

    /// Returns the address of the page with these parameters, and in it the place of the chosen node. `path` is the path
    /// of the query's page.
    pub(super) fn address(&self, path: &str) -> String {
        match &self.node {
            Some(node) => self.address_at(path, &PlanView::place(node)),
            None => self.address_at(path, "profile-heading"),
        }
    }

    /// Returns the same with the place `place` in the page.
    fn address_at(&self, path: &str, place: &str) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut address = address(path, &self.kept, &[("show", "plan")]);
        if let Some(node) = &self.node {
            address += &format!("&node={}", encoded(node));
        }
        if let Some((name, ..)) = Zoom::ALL.into_iter().find(|(.., zoom)| *zoom == self.zoom) {
            address += &format!("&zoom={name}");
        }
        if let Some(local) = self.local {
            address += if local { "&local=show" } else { "&local=hide" };
        }
        if self.shows_all {
            address += "&nodes=all";
        }
        if !self.open.is_empty() {
            address += &format!("&open={}", encoded(&self.open.join(",")));
        }
        let (name, id) = place.split_once('-').unwrap_or((place, ""));
        format!("{address}#{name}-{}", encoded(id))
    }

    /// Returns the id of the element of a node in a page, which a browser scrolls to and focuses without a script.
    pub(super) fn place(node: &str) -> String {
        format!("node-{node}")
    }

    /// Returns the address of the page with a node's counters.
    pub(super) fn address_of_node(&self, node: &Node<'_, '_>, path: &str) -> String {
        PlanView { node: Some(node.id.clone()), ..self.clone() }.address(path)
    }

    /// Returns the address of the page with an open fold, whose first node this is.
    pub(super) fn address_of_fold(&self, first: &Node<'_, '_>, path: &str) -> String {
        let mut view = self.clone();
        view.open.push(first.id.clone());
        view.address_at(path, &PlanView::place(&first.id))
    }
}
