//! Which ranges of the broker's time a set of claims asks for: read once for all tenants, with a window for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entries::Claim;

/// Overlapping claims of one tenant: a row in their range may belong to any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Whose rows.
    pub tenant_id: Arc<str>,
    /// When the first and the last of them were received, Unix microseconds.
    pub received_us: (i64, i64),
    /// The claims.
    pub ids: Vec<i64>,
    /// The lines they stand for.
    pub lines: i64,
}

/// A time range of one stream, and the windows that lie in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeRange {
    /// Which stream.
    pub stream: Arc<str>,
    /// First and last moment, Unix microseconds.
    pub received_us: (i64, i64),
    /// Its windows: those of a tenant follow each other and do not overlap.
    pub windows: Vec<Window>,
}

impl TimeRange {
    /// The index of the window that a row falls into.
    pub(super) fn window_of(&self, tenant_id: &str, received_us: i64) -> Option<usize> {
        let after = self.windows.partition_point(|w| (&*w.tenant_id, w.received_us.0) <= (tenant_id, received_us));
        let at = after.checked_sub(1)?;
        let window = &self.windows[at];
        (&*window.tenant_id == tenant_id && received_us <= window.received_us.1).then_some(at)
    }

    /// The tenants of those of its windows that are asked for by their index, each once.
    pub(super) fn tenants_where(&self, is_asked_for: impl Fn(usize) -> bool) -> Vec<&str> {
        let windows = self.windows.iter().enumerate().filter(|(at, _)| is_asked_for(*at));
        let mut tenants: Vec<&str> = windows.map(|(_, window)| &*window.tenant_id).collect();
        tenants.dedup();
        tenants
    }
}

/// The time ranges that hold these claims. None overlaps another of its stream, so that no row is read twice.
pub(super) fn time_ranges(claims: Vec<Claim>) -> Vec<TimeRange> {
    let mut streams: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    for claim in claims {
        streams.entry(claim.stream.clone()).or_default().push(claim);
    }
    let mut all = Vec::new();
    for (stream, mut claims) in streams {
        let stream: Arc<str> = stream.into();
        claims.sort_unstable_by_key(|claim| claim.received_us);
        let first_of_stream = all.len();
        let mut range_claims: Vec<Vec<Claim>> = Vec::new();
        let mut end = i64::MIN;
        for claim in claims {
            if range_claims.is_empty() || claim.received_us.0 > end {
                range_claims.push(Vec::new());
            }
            end = end.max(claim.received_us.1);
            if let Some(open) = range_claims.last_mut() {
                open.push(claim);
            }
        }
        all.extend(range_claims.into_iter().map(|claims| time_range(stream.clone(), claims)));
        debug_assert!(all[first_of_stream..].is_sorted_by(|a, b| a.received_us.1 < b.received_us.0));
    }
    all
}

/// `claims` are in the order of their beginnings.
fn time_range(stream: Arc<str>, mut claims: Vec<Claim>) -> TimeRange {
    let from = claims.iter().map(|claim| claim.received_us.0).min().unwrap_or_default();
    let to = claims.iter().map(|claim| claim.received_us.1).max().unwrap_or_default();
    claims.sort_by(|a, b| a.tenant_id.cmp(&b.tenant_id)); // stable: still by their beginnings within a tenant
    let mut windows: Vec<Window> = Vec::new();
    for claim in claims {
        match windows.last_mut() {
            Some(open) if *open.tenant_id == *claim.tenant_id && claim.received_us.0 <= open.received_us.1 => {
                open.received_us.1 = open.received_us.1.max(claim.received_us.1);
                open.ids.push(claim.id);
                open.lines += claim.lines;
            }
            _ => windows.push(Window {
                tenant_id: claim.tenant_id.into(),
                received_us: claim.received_us,
                ids: vec![claim.id],
                lines: claim.lines,
            }),
        }
    }
    TimeRange { stream, received_us: (from, to), windows }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(id: i64, tenant_id: &str, from: i64, to: i64) -> Claim {
        Claim { id, tenant_id: tenant_id.to_owned(), stream: "TELEMETRY".to_owned(), received_us: (from, to), lines: 1 }
    }

    #[test]
    fn claims_of_a_flush_are_one_time_range_and_a_window_per_tenant() {
        let all = time_ranges(vec![
            claim(1, "b", 10, 30),
            claim(2, "a", 5, 12),
            claim(3, "b", 20, 40),
            claim(4, "a", 90, 95),
        ]);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].received_us, all[0].tenants_where(|_| true)), ((5, 40), vec!["a", "b"]));
        assert_eq!(all[0].tenants_where(|at| at == 1), ["b"]);
        assert_eq!((&all[0].windows[1].ids[..], all[0].windows[1].lines), (&[1, 3][..], 2));
        assert_eq!(all[0].window_of("a", 12), Some(0));
        assert_eq!(all[0].window_of("a", 13), None);
        assert_eq!(all[0].window_of("b", 40), Some(1));
        assert_eq!(all[1].window_of("c", 92), None);
    }

    proptest! {
        #[test]
        fn every_claim_is_in_one_window_and_every_moment_of_it_leads_there(
            ranges in prop::collection::vec((0_i64..60, 0_i64..20, 0_usize..3), 0..30),
        ) {
            let claims: Vec<Claim> = ranges
                .iter()
                .enumerate()
                .map(|(id, &(from, length, tenant))| claim(id as i64, ["a", "b", "c"][tenant], from, from + length))
                .collect();
            let all = time_ranges(claims.clone());
            for claim in &claims {
                let holding: Vec<_> = all
                    .iter()
                    .flat_map(|range| range.windows.iter().enumerate().map(move |(at, window)| (range, at, window)))
                    .filter(|(_, _, window)| window.ids.contains(&claim.id))
                    .collect();
                prop_assert_eq!(holding.len(), 1);
                let (range, at, window) = holding[0];
                prop_assert_eq!(&*window.tenant_id, &claim.tenant_id);
                for moment in [claim.received_us.0, claim.received_us.1] {
                    prop_assert_eq!(range.window_of(&claim.tenant_id, moment), Some(at));
                }
            }
        }
    }
}
