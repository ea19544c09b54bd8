//! Writes operators, brackets and commas.

use super::context::Context;
use super::list::ListKind;
use super::normalizer::Normalizer;

impl Normalizer<'_, '_> {
    /// Writes a symbol; `signs` are the signs before it, `is_behind_array` says that the word `array` precedes.
    pub(super) fn symbol(
        &mut self,
        symbol: &str,
        signs: Option<(usize, Context)>,
        is_behind_array: bool,
    ) {
        // Comparing one byte is faster than comparing texts. Longer symbols are operators.
        let byte = if let [byte] = symbol.as_bytes() { *byte } else { 0 };
        match byte {
            b'(' if self.context == Context::InsertRows => self.put("(", Context::SkippedOpen),
            b'(' if self.context == Context::SkippedComma => {
                // One row represents all rows.
                let end = self.text.len() - "?)".len();
                self.text.truncate(end);
                self.context = Context::SkippedOpen;
            }
            b'(' | b'[' => self.open_bracket(symbol, is_behind_array),
            b')' | b']' => self.close_bracket(symbol),
            b',' if self.context == Context::SkippedClose => self.context = Context::SkippedComma,
            b',' => self.comma(),
            b'.' => {
                let is_label = self.context == Context::Label;
                self.put(".", if is_label { Context::Label } else { Context::Dot });
            }
            b';' => {
                self.whole_end = self.text.len();
                self.tables_depth = None;
                self.is_insert = false;
                self.put(";", Context::Start);
            }
            b'-' | b'+' if self.context.awaits_value() => {
                self.signs = Some(signs.unwrap_or((self.text.len(), self.context)));
                self.put(symbol, Context::Operator);
            }
            _ => self.put(symbol, Context::Operator),
        }
    }

    fn open_bracket(&mut self, symbol: &str, is_behind_array: bool) {
        let kind = match self.context {
            _ if symbol == "[" => ListKind::Values,
            Context::List => ListKind::Values,
            // `array(1, 2)` is the same as `[1, 2]`.
            Context::Word if is_behind_array => ListKind::Values,
            Context::Partition => ListKind::Partitions,
            _ => ListKind::Other,
        };
        // JOIN [shuffle] orders
        self.is_join_hint = symbol == "[" && self.context == Context::Table;
        let begins_rows = self.context == Context::Rows;
        self.whole_end = self.text.len();
        self.put(symbol, Context::Open);
        if begins_rows {
            self.open_list(ListKind::Rows, self.text.len() - 1);
        }
        self.open_list(kind, self.text.len());
    }

    fn close_bracket(&mut self, symbol: &str) {
        if self.deeper > 0 {
            self.deeper -= 1;
        } else {
            self.end_element();
            if let Some(list) = self.lists.pop() {
                self.tables_depth = list.tables_depth;
            }
        }
        self.put(symbol, Context::Close);
        if symbol == "]" && std::mem::take(&mut self.is_join_hint) {
            self.context = Context::Table;
        }
    }

    fn comma(&mut self) {
        if self.deeper == 0 {
            self.end_element();
        }
        self.whole_end = self.text.len();
        let is_table_next = self.tables_depth == Some(self.depth());
        self.put(",", if is_table_next { Context::Table } else { Context::Comma });
        // The next element begins behind the space.
        let element = self.text.len() + 1;
        if let Some(list) = self.lists.last_mut() {
            list.element = element;
        }
    }
}
