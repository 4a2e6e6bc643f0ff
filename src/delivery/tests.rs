//! The duty to settle a delivery: however it is split and wherever its parts end, its settle handle hears of it exactly once, and
//! the worst.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use actix::prelude::*;
use bytes::Bytes;
use ingest_core::flow::disposition::Verdict;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::{Delivery, DeliveryGuard, Lane, Origin, Settle, SettleHandle, Settlement};

/// Any verdict.
fn verdict() -> impl Strategy<Value = Verdict> {
    use Verdict::{Done, Lost, Poison, Rejected, Retry};
    proptest::sample::select(&[Done, Rejected, Poison, Retry, Lost])
}

/// What becomes of a guard.
#[derive(Clone, Debug)]
enum Plan {
    /// It gets this verdict; `None` = it is dropped.
    End(Option<Verdict>),
    Split(Vec<Plan>),
}

impl Plan {
    fn worst(&self) -> Verdict {
        match self {
            Plan::End(verdict) => verdict.unwrap_or(Verdict::Lost),
            Plan::Split(legs) => legs.iter().map(Plan::worst).max().unwrap_or(Verdict::Done),
        }
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let end = prop_oneof![4 => verdict().prop_map(Some), 1 => Just(None)].prop_map(Plan::End);
    end.prop_recursive(4, 24, 4, |leg| proptest::collection::vec(leg, 1..5).prop_map(Plan::Split))
}

/// What the settle handle of a lane hears.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(u64, Verdict)>>>);

impl Actor for Heard {
    type Context = Context<Self>;
}

impl Handler<Settle> for Heard {
    type Result = ();

    fn handle(&mut self, Settle { settled }: Settle, _: &mut Self::Context) {
        self.0.lock().extend(settled.into_iter().map(|end| (end.slot, end.verdict)));
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Everything;

impl Handler<Everything> for Heard {
    type Result = ();

    /// Comes behind all that was sent before it.
    fn handle(&mut self, _: Everything, _: &mut Self::Context) {}
}

fn guard(slot: u64, settle_handle: &Arc<SettleHandle>) -> DeliveryGuard {
    let origin = Origin { stream: "TELEMETRY".into(), stream_seq: slot, received_us: 0 };
    Delivery::new(origin, 1, Bytes::new(), slot, settle_handle.clone()).into_guard()
}

/// Ends and splits guards in the order that `choices` makes, until `steps` are done.
fn go_on(work: &mut Vec<(DeliveryGuard, Plan)>, choices: &[usize], steps: usize) {
    let mut settlement = Settlement::default();
    for step in 0..steps {
        if work.is_empty() {
            break;
        }
        let choice = choices[step % choices.len()];
        let (guard, plan) = work.swap_remove(choice % work.len());
        match plan {
            Plan::End(Some(verdict)) => settlement.add(guard, verdict),
            Plan::End(None) => drop(guard),
            Plan::Split(plans) => {
                let legs = guard.split(plans.len() as u32);
                assert_eq!(legs.len(), plans.len());
                work.extend(legs.into_iter().zip(plans));
            }
        }
        // A settlement is sent now and then; one that is dropped with verdicts in it counts as sent.
        match choice % 3 {
            0 => std::mem::take(&mut settlement).send(),
            1 => drop(std::mem::take(&mut settlement)),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn a_handle_hears_of_each_delivery_once_and_the_worst_verdict_of_its_legs(
        plans in proptest::collection::vec((plan(), any::<bool>()), 1..6),
        choices in proptest::collection::vec(any::<usize>(), 1..20),
        alone in 0_usize..20,
    ) {
        let (heard, expected) = actix::System::new().block_on(async {
            let settle_handles = [Lane::TELEMETRY, Lane::SHADOW].map(|_lane| {
                let heard = Heard::default();
                let address = heard.clone().start();
                (heard, address.clone(), SettleHandle::new(address.recipient()))
            });
            let mut expected = [BTreeMap::new(), BTreeMap::new()];
            let mut work = Vec::new();
            for (slot, (plan, second)) in plans.into_iter().enumerate() {
                let lane = usize::from(second);
                expected[lane].insert(slot as u64, plan.worst());
                work.push((guard(slot as u64, &settle_handles[lane].2), plan));
            }
            go_on(&mut work, &choices, alone);
            let mut shares: [Vec<(DeliveryGuard, Plan)>; 3] = Default::default();
            for (index, part) in work.into_iter().enumerate() {
                shares[index % 3].push(part);
            }
            let threads = shares.map(|mut share| {
                let choices = choices.clone();
                thread::spawn(move || go_on(&mut share, &choices, usize::MAX))
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let mut heard = Vec::new();
            for (lane, address, _) in &settle_handles {
                address.send(Everything).await.unwrap();
                heard.push(lane.0.lock().clone());
            }
            (heard, expected)
        });
        for (heard, expected) in heard.into_iter().zip(expected) {
            prop_assert_eq!(heard.len(), expected.len(), "each exactly once: {:?}", heard);
            prop_assert_eq!(heard.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
}
