//! Messages that wait for the registry's answer about their device.

use std::collections::HashMap;

use crate::core::device::DeviceKey;
use crate::core::envelope::Envelope;
use crate::delivery::{Delivery, Lane};

/// A message that waits.
pub type Waiting = (Lane, Delivery, Envelope);

/// The questions under way, each with the messages that wait for its answer. What bounds them is the consumers' window.
#[derive(Default)]
pub struct Parked {
    questions: HashMap<DeviceKey, Question>,
    /// Messages over all of them.
    messages: usize,
}

#[derive(Default)]
struct Question {
    messages: Vec<Waiting>,
    /// The site with which it was asked; empty where none was claimed.
    site: String,
    /// What it is about changed since it was asked, or a message claims a site and none was named: its answer is none.
    is_outdated: bool,
}

/// What to do with an answer.
pub enum Answered {
    /// It holds, for these messages too.
    Holds(Vec<Waiting>),
    /// It is older than a change: to be asked again, with this site.
    Outdated(String),
}

impl Parked {
    /// Keeps a message until its device is known; the site with which to ask, where nobody asks yet.
    pub fn park(&mut self, key: DeviceKey, site: String, message: Waiting) -> Option<String> {
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
    pub fn answered(&mut self, key: &DeviceKey) -> Answered {
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
    pub fn outdate(&mut self, applies: impl Fn(&DeviceKey) -> bool) {
        for (_, question) in self.questions.iter_mut().filter(|(key, _)| applies(key)) {
            question.is_outdated = true;
        }
    }

    /// Takes out all messages. The questions stay under way, and what they are outdated by is not forgotten.
    pub fn take_messages(&mut self) -> Vec<Waiting> {
        self.messages = 0;
        self.questions.values_mut().flat_map(|question| std::mem::take(&mut question.messages)).collect()
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }
}
