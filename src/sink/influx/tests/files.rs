//! Points without a server go to files.

use std::sync::Arc;

use ingest_kit::wait_for;

use super::harness::{DEADLINE, Harness, lines, quick};
use crate::message::Drain;
use crate::metrics::LineResult;
use crate::outbox::policy::WritePolicy;
use crate::sink::influx::Config;
use crate::sink::influx::config::with;
use crate::sink::influx::files::tests::Watched;
use ingest_core::flow::disposition::Verdict;

#[actix_rt::test]
async fn without_a_server_points_go_to_a_file_per_tenant() {
    let directory = tempfile::tempdir().unwrap();
    let config = with(Config::default(), |config| {
        config.target.url = None;
        config.files.data_dir = directory.path().to_path_buf();
        config.write_policy = WritePolicy::Required;
        config.files.file_rotate_bytes = 500;
        config.batch.batch_size = 10;
        config.batch.flush_interval_ms = 10;
    });
    let harness = Harness::new(config);
    harness.send_required("acme", 0, lines(25));
    harness.send_required("müller", 100, lines(5));
    harness.wait_for_verdicts(Verdict::Done, 30).await;
    harness.router.send(Drain).await.unwrap();
    let read = |path: &str| std::fs::read_to_string(directory.path().join(path)).unwrap_or_default();
    let of = |from: u64, to: u64| lines(to).skip(from as usize).map(|line| line + "\n").collect::<String>();
    assert_eq!(read("telemetry_acme/0000000001.lp"), of(0, 10));
    assert_eq!(read("telemetry_acme/0000000002.lp"), of(10, 20));
    assert_eq!(read("telemetry_acme/current.lp"), of(20, 25));
    assert_eq!(read("telemetry-x-m_C3_BCller/current.lp"), of(0, 5));
}

#[actix_rt::test]
async fn a_line_is_confirmed_by_the_fsync_of_its_file_and_by_nothing_less() {
    for write_policy in [WritePolicy::BestEffort, WritePolicy::Required] {
        let (directory, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
        let data_dir = directory.path().to_path_buf();
        let harness = Harness::on_disk(
            with(quick(""), |config| {
                config.target.url = None;
                config.files.data_dir = data_dir;
                config.write_policy = write_policy;
            }),
            disk.clone(),
        );
        disk.fail_syncs(usize::MAX);
        match write_policy {
            WritePolicy::BestEffort => harness.send("acme", lines(5)),
            WritePolicy::Required => harness.send_required("acme", 0, lines(5)),
        }
        let mut attempts = 0;
        wait_for("several attempts", DEADLINE, async || {
            attempts += disk.take_calls().iter().filter(|call| **call == "fsync").count();
            attempts > 3
        })
        .await;
        assert_eq!((harness.count(LineResult::Ok), harness.verdicts()), (0, Vec::new()));
        disk.fail_syncs(0);
        harness.wait_for(LineResult::Ok, 5).await;
        let text = std::fs::read_to_string(directory.path().join("telemetry_acme/current.lp")).unwrap();
        assert_eq!(text, lines(5).map(|line| line + "\n").collect::<String>());
    }
}

#[actix_rt::test]
async fn a_full_disk_is_said_in_ready_until_there_is_room() {
    let (directory, disk) = (tempfile::tempdir().unwrap(), Arc::new(Watched::default()));
    let data_dir = directory.path().to_path_buf();
    let harness = Harness::on_disk(
        with(quick(""), |config| {
            config.target.url = None;
            config.files.data_dir = data_dir;
        }),
        disk.clone(),
    );
    disk.fill_up(usize::MAX);
    harness.send("acme", lines(5));
    let note = || harness.readiness.messages().join("; ");
    wait_for("the note", DEADLINE, async || note().starts_with("influx: ") && note().contains("the disk is full"))
        .await;
    assert!(harness.readiness.health().components.contains(&("influx", false)));
    disk.fill_up(0);
    harness.wait_for(LineResult::Ok, 5).await;
    wait_for("no note", DEADLINE, async || note().is_empty()).await;
    assert!(harness.readiness.health().components.contains(&("influx", true)));
}
