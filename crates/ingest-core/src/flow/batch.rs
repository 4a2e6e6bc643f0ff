//! Batches: items are taken out of queues and batches in order, none lost or duplicated.

use std::collections::VecDeque;

/// Takes the oldest items, at most `capacity`, and reduces `capacity` by their number.
pub fn take<T>(queue: &mut VecDeque<T>, capacity: &mut usize) -> Vec<T> {
    let count = queue.len().min(*capacity);
    *capacity -= count;
    queue.drain(..count).collect()
}

/// Takes the named items out, each with its remark, and leaves the others in order. `named` holds indices in
/// ascending order; one that is out of range or named twice is passed over.
pub fn extract<T, R>(items: &mut Vec<T>, named: Vec<(usize, R)>) -> Vec<(T, R)> {
    if named.is_empty() {
        return Vec::new();
    }
    let mut named = named.into_iter().peekable();
    let mut taken = Vec::new();
    let mut kept = Vec::with_capacity(items.len());
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        while named.next_if(|(at, _)| *at < index).is_some() {}
        match named.next_if(|(at, _)| *at == index) {
            Some((_, remark)) => taken.push((item, remark)),
            None => kept.push(item),
        }
    }
    *items = kept;
    taken
}
