//! Messages that wait for the registry's answer about their device.

use std::collections::HashMap;

use ingest_core::message::device::DeviceKey;

/// The questions under way, each with the messages that wait for its answer. Their owner bounds them: a
/// consumer's window, or a number of waiting requests.
pub(crate) struct DeferredMessages<M> {
    questions: HashMap<DeviceKey, Question<M>>,
    /// Messages over all of them.
    messages: usize,
}

struct Question<M> {
    messages: Vec<M>,
    /// The site with which it was asked; empty where none was claimed.
    site: String,
    /// What it is about changed since it was asked, or a message claims a site and none was named: its answer is none.
    is_outdated: bool,
}

/// What to do with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answered<M> {
    /// It holds, for these messages too.
    Holds(Vec<M>),
    /// It is older than a change: to be asked again, with this site.
    Outdated(String),
}

impl<M> DeferredMessages<M> {
    /// No question.
    pub(crate) fn new() -> Self {
        Self { questions: HashMap::new(), messages: 0 }
    }

    /// Keeps a message until its device is known; the site with which to ask, where nobody asks yet.
    pub(crate) fn defer(&mut self, key: DeviceKey, site: String, message: M) -> Option<String> {
        self.messages += 1;
        match self.questions.get_mut(&key) {
            Some(question) => {
                if question.site.is_empty() && !site.is_empty() {
                    question.site = site;
                    question.is_outdated = true;
                }
                question.messages.push(message);
                None
            }
            None => {
                let question = Question { messages: vec![message], site: site.clone(), is_outdated: false };
                self.questions.insert(key, question);
                Some(site)
            }
        }
    }

    /// An answer has come.
    pub(crate) fn answered(&mut self, key: &DeviceKey) -> Answered<M> {
        match self.questions.get_mut(key) {
            Some(question) if question.is_outdated => {
                question.is_outdated = false;
                Answered::Outdated(question.site.clone())
            }
            _ => Answered::Holds(self.questions.remove(key).map_or_else(Vec::new, |question| {
                self.messages -= question.messages.len();
                question.messages
            })),
        }
    }

    /// What these questions are about has changed: whatever is answered now may be older.
    pub(crate) fn outdate(&mut self, applies: impl Fn(&DeviceKey) -> bool) {
        for (_, question) in self.questions.iter_mut().filter(|(key, _)| applies(key)) {
            question.is_outdated = true;
        }
    }

    /// Takes out all messages. The questions stay under way, and what they are outdated by is not forgotten.
    pub(crate) fn take_messages(&mut self) -> Vec<M> {
        self.messages = 0;
        self.questions.values_mut().flat_map(|question| std::mem::take(&mut question.messages)).collect()
    }

    /// Whether no message waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> DeviceKey {
        DeviceKey::new("t", "d")
    }

    fn asked() -> DeferredMessages<u32> {
        let mut deferred = DeferredMessages::new();
        assert_eq!(deferred.defer(device(), "lab".to_owned(), 1), Some("lab".to_owned()));
        deferred
    }

    #[test]
    fn a_device_is_asked_about_once_and_its_messages_keep_their_order() {
        let mut deferred = asked();
        assert_eq!(deferred.defer(device(), "lab".to_owned(), 2), None);
        assert!(!deferred.is_empty());
        assert_eq!(deferred.answered(&device()), Answered::Holds(vec![1, 2]));
        assert!(deferred.is_empty());
        assert_eq!(deferred.answered(&device()), Answered::Holds(vec![]), "an answer that nobody waits for");
    }

    #[test]
    fn an_answer_that_may_be_older_than_a_change_is_asked_for_again() {
        let mut deferred = asked();
        deferred.outdate(|key| &*key.device_id == "other");
        deferred.outdate(|key| &*key.device_id == "d");
        assert_eq!(deferred.answered(&device()), Answered::Outdated("lab".to_owned()));
        assert_eq!(deferred.answered(&device()), Answered::Holds(vec![1]));
    }

    #[test]
    fn messages_that_are_served_otherwise_leave_their_question_outdated() {
        let mut deferred = asked();
        assert_eq!(deferred.take_messages(), [1]);
        assert!(deferred.is_empty());
        deferred.outdate(|_| true);
        assert_eq!(deferred.defer(device(), "lab".to_owned(), 2), None, "still under way");
        assert_eq!(deferred.answered(&device()), Answered::Outdated("lab".to_owned()));
        assert_eq!(deferred.answered(&device()), Answered::Holds(vec![2]));
    }

    #[test]
    fn a_site_that_is_named_later_is_asked_about() {
        let mut deferred = DeferredMessages::new();
        assert_eq!(deferred.defer(device(), String::new(), 1), Some(String::new()));
        assert_eq!(deferred.defer(device(), "lab".to_owned(), 2), None);
        assert_eq!(deferred.answered(&device()), Answered::Outdated("lab".to_owned()));
        assert_eq!(deferred.answered(&device()), Answered::Holds(vec![1, 2]));
    }
}
