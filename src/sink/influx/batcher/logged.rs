//! What one tenant's batcher has logged already.

use crate::runtime::log_once::LogOnce;

/// How much of a kind is logged: names and sentences that come from outside.
pub(super) const MOST: usize = 50;

/// Logged until it is over.
#[derive(Debug)]
pub(super) struct Logged {
    /// What waits for an operator, as it was logged last.
    pub lasting: String,
    /// Columns whose values are left out.
    pub columns: LogOnce,
    /// Tables without room for another column.
    pub full_tables: LogOnce,
    /// Why lines were rejected.
    pub rejections: LogOnce,
    /// The budget of columns is spent.
    pub is_budget_spent: bool,
}

impl Default for Logged {
    fn default() -> Self {
        let [columns, full_tables, rejections] = [(); 3].map(|()| LogOnce::new(MOST));
        Self { lasting: String::new(), columns, full_tables, rejections, is_budget_spent: false }
    }
}
