//! A limit on how many bytes may be read.

use std::cell::Cell;
use std::io::{self, Read};

/// How many bytes may still be read through the readers of this budget.
pub(super) struct Budget {
    left: Cell<u64>,
    /// The kind of the error once nothing is left.
    error: io::ErrorKind,
}

impl Budget {
    /// Returns a budget of `bytes`. Its readers fail with `error` once they are read.
    pub(super) fn new(bytes: u64, error: io::ErrorKind) -> Budget {
        Budget { left: Cell::new(bytes), error }
    }

    /// Sets how many bytes may be read from now on.
    pub(super) fn reset(&self, bytes: u64) {
        self.left.set(bytes);
    }

    /// Returns a reader of `input` that takes from this budget.
    pub(super) fn reader<'a, R: Read>(&'a self, input: R) -> impl Read + use<'a, R> {
        BudgetReader { input, budget: self }
    }
}

struct BudgetReader<'a, R> {
    input: R,
    budget: &'a Budget,
}

impl<R: Read> Read for BudgetReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.left.get();
        if left == 0 {
            return Err(self.budget.error.into());
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let length = self.input.read(&mut buffer[..most])?;
        self.budget.left.set(left - length as u64);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_budget_is_an_error_until_it_is_reset() {
        let budget = Budget::new(10, io::ErrorKind::FileTooLarge);
        let mut reader = budget.reader(&[7_u8; 100][..]);
        let mut text = Vec::new();
        let error = reader.by_ref().take(20).read_to_end(&mut text).unwrap_err();
        assert_eq!((error.kind(), text.len()), (io::ErrorKind::FileTooLarge, 10));
        budget.reset(5);
        assert_eq!(reader.read(&mut [0; 20]).unwrap(), 5);
    }
}
