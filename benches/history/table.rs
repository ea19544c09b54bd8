//! The table of results, and the goals.

/// The bound that a ratio or a figure has to keep.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// Prints a row for each measured task, and collects the tasks that miss their goal by more than half.
pub(crate) struct Table {
    missed: Vec<String>,
}

impl Table {
    /// Prints the head of the table.
    pub(crate) fn new() -> Table {
        println!("| task | annals | reference | ratio | goal |\n|---|---|---|---|---|");
        Table { missed: Vec::new() }
    }

    /// Prints the pair with the median ratio.
    pub(crate) fn ratio(&mut self, task: &str, goal: Goal, mut pairs: Vec<(f64, f64)>) {
        pairs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (ours, reference) = pairs[pairs.len() / 2];
        let ratio = ours / reference;
        self.row(task, goal, ratio, [figure(ours), figure(reference), format!("{ratio:.2}")]);
    }

    /// Prints a figure that has no reference.
    pub(crate) fn absolute(&mut self, task: &str, goal: Goal, value: f64) {
        self.row(task, goal, value, [figure(value), String::new(), String::new()]);
    }

    /// Prints a row. `value` is compared with the goal, `cells` are the columns before it.
    pub(crate) fn row(&mut self, task: &str, goal: Goal, value: f64, cells: [String; 3]) {
        let (goal, is_missed) = match goal {
            Goal::AtLeast(goal) => (format!("≥ {goal}"), value < goal / 2.0),
            Goal::AtMost(goal) => (format!("≤ {goal}"), value > goal * 2.0),
        };
        println!("| {task} | {} | {goal} |", cells.join(" | "));
        if is_missed {
            self.missed.push(task.to_string());
        }
    }

    /// Counts a task as missed that could not run.
    pub(crate) fn add_missed(&mut self, task: &str) {
        self.missed.push(task.to_string());
    }

    pub(crate) fn missed(&self) -> &[String] {
        &self.missed
    }
}

pub(crate) fn figure(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}
