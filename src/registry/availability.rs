//! Whether PostgreSQL can be asked about devices, from what became of the questions so far.

use super::error::RegistryError;

/// What became of the last questions of each kind: one that is answered does not hide another that is not.
#[derive(Debug, Default)]
pub(super) struct Availability {
    connection: Option<String>,
    lookups: Option<RegistryError>,
    is_known: bool,
}

/// The sum of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Look-ups are answered, as far as is known.
    Answers,
    /// They wait for a connection of the pool; PostgreSQL may well be there.
    Busy,
    /// They are not answered.
    Silent(String),
}

impl Availability {
    /// Something was answered.
    pub(super) fn connected(&mut self) {
        self.connection = None;
        self.is_known = true;
    }

    /// Nothing can be asked at all.
    pub(super) fn disconnected(&mut self, fault: &RegistryError) {
        self.connection = Some(fault.to_string());
        self.is_known = true;
    }

    /// A look-up was answered.
    pub(super) fn looked_up(&mut self) {
        self.connected();
        self.lookups = None;
    }

    /// A look-up was not answered.
    pub(super) fn not_looked_up(&mut self, fault: RegistryError) {
        if fault.is_of_the_connection() {
            self.disconnected(&fault);
        }
        self.lookups = Some(fault);
        self.is_known = true;
    }

    /// The sum of it; `None` before anything was asked.
    pub(super) fn reach(&self) -> Option<Reach> {
        self.is_known.then(|| match (&self.connection, &self.lookups) {
            (Some(why), _) => Reach::Silent(why.clone()),
            (None, Some(RegistryError::Busy)) => Reach::Busy,
            (None, Some(fault)) => Reach::Silent(format!("look-ups: {fault}")),
            (None, None) => Reach::Answers,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_read_do_not_hide_look_ups_that_fail() {
        let mut condition = Availability::default();
        assert_eq!(condition.reach(), None);
        condition.connected();
        assert_eq!(condition.reach(), Some(Reach::Answers));
        condition.not_looked_up(RegistryError::Locked("locked".to_owned()));
        condition.connected();
        assert_eq!(condition.reach(), Some(Reach::Silent("look-ups: locked".to_owned())));
        condition.looked_up();
        assert_eq!(condition.reach(), Some(Reach::Answers));
    }

    #[test]
    fn a_pool_in_use_is_not_an_outage() {
        let mut condition = Availability::default();
        condition.not_looked_up(RegistryError::Busy);
        assert_eq!(condition.reach(), Some(Reach::Busy));
        condition.disconnected(&RegistryError::Silent);
        assert!(matches!(condition.reach(), Some(Reach::Silent(_))));
    }
}
