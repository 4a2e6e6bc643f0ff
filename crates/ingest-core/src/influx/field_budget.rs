//! Field budget: most columns that one tenant may create. Names of metrics come from devices, and a table that has reached
//! its limit of columns is full for every tenant that writes to it.
//!
//! Names are admitted in the order in which they arrive. A column that exists on the server is not created, so its name
//! passes; where the tenant has a database of its own it counts, so that a restart does not renew the budget. The check runs
//! for every field of every point, so the next name is predicted from the one that followed last time: devices report the
//! same names in the same order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::influx::line_fields::{self, Fields};
use crate::influx::line_protocol;

/// How long the server's answer is valid while there is budget for another name.
const VALID: Duration = Duration::from_secs(10);
/// How long it is valid while there is none.
const VALID_WHEN_FULL: Duration = Duration::from_secs(60);

/// Most columns of a server that are remembered; it holds fewer.
const MOST_KNOWN: usize = 4_096;

/// Whether a field may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may be written.
    Yes,
    /// It would create a column beyond the budget.
    No,
    /// It would create a column: ask the server first which ones exist.
    Ask,
}

/// One tenant's budget.
#[derive(Clone, Debug)]
pub struct FieldBudget {
    /// How many names; 0 = no bound.
    most: usize,
    /// Whether all columns of the database are the tenant's.
    is_sole: bool,
    names: Vec<Name>,
    index: HashMap<Arc<str>, usize>,
    /// Number of names that count.
    spent: usize,
    /// The name that was met last.
    last: usize,
    /// When the server may be asked; `None` = never.
    ask_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Name {
    /// As written in lines.
    key: Arc<str>,
    /// The name that followed it last time.
    next: usize,
    /// Whether its column exists independently of this tenant.
    exists_anyway: bool,
}

impl FieldBudget {
    /// A budget of `most` names. `is_sole`: the tenant shares its database with no other. `can_ask`: the server may be
    /// asked for its columns.
    pub fn new(most: usize, is_sole: bool, can_ask: Option<Instant>) -> Self {
        Self { most, is_sole, names: Vec::new(), index: HashMap::new(), spent: 0, last: 0, ask_at: can_ask }
    }

    /// Whether all fields of a line are known already: the usual case, decided without parsing the line.
    pub fn knows_all(&mut self, line: &str) -> bool {
        if self.most == 0 {
            return true;
        }
        let Some(mut rest) = line_fields::fields(line) else { return false };
        loop {
            let Some(value) = self.value_of_known(rest) else { return false };
            match line_fields::after_number(value) {
                Some(next) => rest = next,
                None => return !value.starts_with('"'),
            }
        }
    }

    /// What follows the key that `fields` begins with, where it is known.
    fn value_of_known<'a>(&mut self, fields: &'a str) -> Option<&'a str> {
        if let Some(value) = fields.strip_prefix("seq=") {
            return Some(value);
        }
        let guess = self.names.get(self.last).map_or(0, |name| name.next);
        let key = self.names.get(guess).map(|name| &*name.key)?;
        if let Some(value) = fields.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')) {
            self.last = guess;
            return Some(value);
        }
        let field = Fields::at_start_of(fields)?;
        self.find(field.key).then(|| &fields[field.key.len() + 1..])
    }

    /// Decides about a field by its key as written in a line, and records its name.
    pub fn admit(&mut self, key: &str, now: Instant) -> Admission {
        if self.most == 0 || self.find(key) {
            return Admission::Yes;
        }
        if self.ask_at.is_some_and(|ask_at| ask_at <= now) {
            return Admission::Ask;
        }
        if self.spent >= self.most {
            return Admission::No;
        }
        self.spent += 1;
        self.remember(key.into(), false);
        Admission::Yes
    }

    /// The server has these columns, by their names without escapes. Names of the tenant that created no column are
    /// released, where the tenant has a database of its own.
    pub fn answered<'a>(&mut self, columns: impl IntoIterator<Item = &'a str>, now: Instant) {
        let own: Vec<Name> = self.names.drain(..).filter(|name| !name.exists_anyway && !self.is_sole).collect();
        self.index.clear();
        for name in own {
            self.remember(name.key, false);
        }
        self.spent = self.names.len();
        for column in columns {
            let key: Arc<str> = line_protocol::escaped(column).into();
            let is_field = !line_protocol::is_reserved(column) && column != "tenant_id";
            if is_field && !self.index.contains_key(&key) && self.names.len() < self.most.max(MOST_KNOWN) {
                self.spent += usize::from(self.is_sole);
                self.remember(key, true);
            }
        }
        let is_full = self.spent >= self.most;
        self.ask_at = Some(now + if is_full { VALID_WHEN_FULL } else { VALID });
    }

    /// The server gave no answer. It may be asked again at that time; `None` = never.
    pub fn unanswered(&mut self, ask_at: Option<Instant>) {
        self.ask_at = ask_at;
    }

    fn find(&mut self, key: &str) -> bool {
        let guess = self.names.get(self.last).map_or(0, |name| name.next);
        if self.names.get(guess).is_some_and(|name| *name.key == *key) {
            self.last = guess;
            return true;
        }
        let Some(&found) = self.index.get(key) else { return false };
        self.follow(found);
        true
    }

    fn remember(&mut self, key: Arc<str>, exists_anyway: bool) {
        let place = self.names.len();
        self.index.insert(key.clone(), place);
        self.names.push(Name { key, next: 0, exists_anyway });
        self.follow(place);
    }

    fn follow(&mut self, place: usize) {
        if let Some(last) = self.names.get_mut(self.last) {
            last.next = place;
        }
        self.last = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(budget: &mut FieldBudget, keys: &[&str], now: Instant) -> Vec<Admission> {
        keys.iter().map(|key| budget.admit(key, now)).collect()
    }

    use Admission::{Ask, No, Yes};

    #[test]
    fn names_are_admitted_in_the_order_in_which_they_arrive() {
        let now = Instant::now();
        let mut budget = FieldBudget::new(3, true, None);
        assert_eq!(
            all(&mut budget, &["a", "b", "a", "c", "d", "b", "e", "c"], now),
            [Yes, Yes, Yes, Yes, No, Yes, No, Yes]
        );
        let mut unbounded = FieldBudget::new(0, true, Some(now));
        assert!((0..1_000).all(|number| unbounded.admit(&number.to_string(), now) == Yes));
    }

    #[test]
    fn the_server_is_asked_before_a_name_is_admitted_and_its_columns_count_in_a_database_of_ones_own() {
        let now = Instant::now();
        let mut budget = FieldBudget::new(3, true, Some(now));
        assert_eq!(budget.admit("a", now), Ask);
        budget.answered(["time", "device_id", "seq", "x", "y y"], now);
        assert_eq!(all(&mut budget, &["x", "y\\ y", "a", "b"], now), [Yes, Yes, Yes, No]);
        // The columns on the server are unchanged: `a` has not become one.
        let later = now + VALID;
        assert_eq!(budget.admit("b", later), Ask);
        budget.answered(["x", "y y"], later);
        assert_eq!(all(&mut budget, &["b", "a", "x"], later), [Yes, No, Yes]);
    }

    #[test]
    fn columns_of_others_are_free_for_a_tenant_that_shares_the_database() {
        let now = Instant::now();
        let mut budget = FieldBudget::new(2, false, Some(now));
        budget.answered(["x", "y", "z"], now);
        assert_eq!(all(&mut budget, &["x", "z", "a", "b", "c", "y"], now), [Yes, Yes, Yes, Yes, No, Yes]);
        budget.answered(["x", "y", "z", "a"], now);
        assert_eq!(all(&mut budget, &["a", "b", "c"], now), [Yes, Yes, No], "columns that it created still count");
    }

    #[test]
    fn lines_of_known_names_are_recognised_whatever_their_order() {
        let now = Instant::now();
        let mut budget = FieldBudget::new(4, true, None);
        all(&mut budget, &["a", "b\\ c", "d"], now);
        for (line, knows) in [
            ("t,x=1 seq=1i,a=2,b\\ c=3i,d=true 9", true),
            ("t,x=1 seq=1i,a=2,b\\ c=3i,d=true 9", true),
            ("t,x=1 seq=1i,d=2,a=3i 9", true),
            ("t,x=1 seq=1i,aa=2,a=3i 9", false),
            ("t,x=1\\ y seq=1i,a=2 9", true),
            ("t,x=1 seq=1i 9", true),
            ("t,x=1 seq=1i", true),
            ("t,x=1 a=2,e=1 9", false),
            ("t,x=1 a=\"b, e=1\",f=2 9", false),
            ("t", false),
            ("", false),
        ] {
            assert_eq!(budget.knows_all(line), knows, "{line}");
        }
    }

    #[test]
    fn a_server_that_does_not_answer_delays_nothing() {
        let now = Instant::now();
        let mut budget = FieldBudget::new(2, true, Some(now));
        assert_eq!(budget.admit("a", now), Ask);
        budget.unanswered(Some(now + VALID));
        assert_eq!(all(&mut budget, &["a", "b", "c"], now), [Yes, Yes, No]);
        assert_eq!(budget.admit("c", now + VALID), Ask);
        budget.unanswered(None);
        assert_eq!(budget.admit("c", now + VALID), No);
    }
}
