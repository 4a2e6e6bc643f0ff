"""Series for promtool: the outages as they were recorded (monitoring/recorded), the demonstration, and one case for each other alert.

An outage is recorded with three samples of /metrics: before, when it shows, 40 seconds later (tests/it/outages/recording.rs). Here it
is quiet for 20 minutes, then it is as it was when it showed, and counters and ages go on as fast as between the last two samples.
"""

import pathlib
import re

STEP = 60
QUIET, OUTAGE = 20 * 60, 15 * 60
LATER = 40
# The job is called as the installation is (`fullnameOverride`): no rule may go by its name.
TARGET = {"namespace": "telemetry", "pod": "ingest-node-0", "instance": "10.0.0.1:8080", "job": "telemetry/readings"}
FIRED = 'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{}s]))'
SCALABLE = "ingest_node:scalable_messages"
GROWS = re.compile(r"(_total|_sum|_count|(oldest|lag|age|oldest_unsettled|replay_eta)_seconds)$")


def labelled(series: str) -> str:
    """The series with what whoever scrapes adds."""
    name, _, labels = series.partition("{")
    added = ",".join(f'{key}="{value}"' for key, value in TARGET.items() if f"{key}=" not in labels)
    return f"{name}{{{added}{',' + labels if labels.strip('}') else '}'}"


def repeated(value: str, count: int) -> str:
    return f"_x{count}" if value == "-" else f"{value}+0x{count - 1}" if count > 1 else value


def outage(path: pathlib.Path) -> list[dict]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        series, before, shown, later = line.rsplit(" ", 3)
        name = series.partition("{")[0]
        if name == "process_start_time_seconds":
            # Up for an hour on promtool's clock, which begins with 0.
            before = shown = later = "-3600"
        quiet, long = QUIET // STEP, OUTAGE // STEP
        values = [repeated(before, quiet), repeated(shown, 1)]
        if GROWS.search(name) and "-" not in (shown, later):
            slope = (float(later) - float(shown)) / LATER * STEP
            values.append(f"{float(shown) + slope}{slope:+}x{long - 2}")
        else:
            values.append(repeated(later, long - 1))
        found.append({"series": labelled(series), "values": " ".join(values)})
    return found


def healthy(path: pathlib.Path) -> list[dict]:
    """The demonstration: a sample for each scrape."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        series, *values = re.split(r" (?=[-_0-9N+])", line)
        found.append({"series": series, "values": " ".join(values)})
    return found


def samples(one: dict) -> int:
    """How many samples a series has."""
    runs = re.findall(r"x(\d+)", one["values"])
    absent = sum(1 for part in one["values"].split() if part.startswith("_x"))
    return len(one["values"].split()) + sum(int(run) for run in runs) - absent


def test(name: str, series: list[dict], alerts: list[str], step: int = STEP, length: int = QUIET + OUTAGE) -> dict:
    expected = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(alerts)]
    return {"name": name, "interval": f"{step}s", "input_series": series,
            "promql_expr_test": [{"expr": FIRED.format(length), "eval_time": f"{length}s", "exp_samples": expected}]}


def scaled(name: str, series: list[dict], messages: int | None) -> dict:
    """What the rule of the HorizontalPodAutoscaler records after some minutes; None: no sample."""
    expected = [] if messages is None else [{"labels": f'{SCALABLE}{{namespace="{TARGET["namespace"]}"}}', "value": messages}]
    return {"name": f"what a HorizontalPodAutoscaler sees: {name}", "interval": f"{STEP}s", "input_series": series,
            "promql_expr_test": [{"expr": SCALABLE, "eval_time": f"{5 * STEP}s", "exp_samples": expected}]}


def constant(series: str, value: str, minutes: int = 35) -> dict:
    return {"series": labelled(series), "values": repeated(value, minutes * 60 // STEP)}


def rising(series: str, slope: float = 1) -> dict:
    """Nothing for twenty minutes, and then so much more in every step."""
    return {"series": labelled(series), "values": f"0+0x{QUIET // STEP} {slope}+{slope}x{OUTAGE // STEP - 2}"}


def node(minutes: int = 35, pod: str = "ingest-node-0", namespace: str = "telemetry") -> list[dict]:
    """A node that is there and ready."""
    labels = f'namespace="{namespace}",pod="{pod}",instance="{pod}:8080"'
    return [constant(f"ingest_ready{{{labels}}}", "1", minutes), constant(f'ingest_component_up{{{labels},component="ingest-workers"}}', "1", minutes)]


def of_consumer(consumer: str, pending: int, ack_pending: int, most: int, paused: int | None = None) -> list[dict]:
    """The broker's figures of a consumer; `paused` is not there while the node does not know it."""
    figures = {"pending": pending, "ack_pending": ack_pending, "max_ack_pending": most, "paused": paused}
    return [constant(f'ingest_consumer_{name}{{consumer="{consumer}"}}', str(value)) for name, value in figures.items() if value is not None]


READY = [constant("ingest_ready", "1"), constant('ingest_component_up{component="ingest-workers"}', "1")]
POSTGRES = [constant('ingest_component_up{component="postgres"}', "1")]
# A gateway has no lane.
GATEWAY = [constant('ingest_ready{pod="ingest-node-gateway-0",instance="10.0.0.2:8080"}', "1"),
           constant('ingest_component_up{pod="ingest-node-gateway-0",instance="10.0.0.2:8080",component="nats"}', "1")]
UP = [constant("process_start_time_seconds", "-3600")]

# Alerts that none of the recorded outages fires, each with the least that fires it and no other.
CASES: dict[str, list[dict]] = {
    "IngestNodeAbsent": [],
    "IngestNodeRestarts": READY + [{"series": labelled("process_start_time_seconds"), "values": f"-3600+0x{QUIET // STEP - 1} " + " ".join(f"{QUIET + 120 * n}+0x{120 // STEP - 1}" for n in range(7))}],
    "IngestNodeNotReady": [constant("ingest_ready", "0"), constant('ingest_component_up{component="ingest-workers"}', "1"), constant('ingest_component_up{component="schema"}', "0")],
    "IngestActorRestarts": READY + [rising('ingest_actor_restarts_total{actor="writer"}')],
    "IngestPostgresPoolWaits": READY + [constant('ingest_postgres_pool{state="waiting"}', "3")],
    "IngestCommitsSlow": READY + [rising('ingest_postgres_flush_seconds_bucket{le="1"}', 0), rising('ingest_postgres_flush_seconds_bucket{le="5"}', 9),
                                  rising('ingest_postgres_flush_seconds_bucket{le="+Inf"}', 9)],
    "IngestRegistryDeaf": READY + [constant("ingest_registry_listening", "0")],
    "IngestRetentionStopped": READY + [constant("ingest_retention_last_success_age_seconds", "11000")],
    "IngestRetentionHeldBack": node(400) + [constant("ingest_retention_held_back_partitions", "2", 400)],
    "IngestAckPendingFull": READY + [constant('ingest_consumer_ack_pending{consumer="ingest-workers"}', "59000"),
                                     constant('ingest_consumer_max_ack_pending{consumer="ingest-workers"}', "60000")],
    "IngestStreamCreated": READY + UP + [rising("ingest_streams_created_total")],
    "IngestInfluxOwed": READY + [constant('ingest_influx_owed_oldest_seconds{tenant="acme"}', "4000")],
    "IngestInfluxPointsLost": READY + [rising("ingest_influx_vanished_lines_total")],
    "IngestInfluxColumnsFull": READY + [rising('ingest_influx_fields_skipped_total{reason="columns_full"}')],
    "IngestMessagesFail": READY + [rising('ingest_rejections_total{reason="ROW_REFUSED"}'), rising('ingest_deliveries_received_total{consumer="ingest-workers"}', 900)],
    "IngestRejectionShare": READY + [{"series": labelled('ingest_rejections_total{reason="TOKEN_INVALID"}'), "values": f"0+10x{(QUIET + OUTAGE) // STEP - 1}"},
                                     {"series": labelled('ingest_deliveries_received_total{consumer="ingest-workers"}'), "values": f"0+30x{(QUIET + OUTAGE) // STEP - 1}"}],
    "IngestRejectionsUncounted": READY + [rising("ingest_quarantine_dropped_total")],
    "IngestRouteJobsWait": READY + [constant("ingest_route_deliveries_waiting", "7")],
    "IngestRouteJobsLost": READY + [rising("ingest_route_jobs_given_up_total")],
    # Two hundred devices leave out one number in twenty; what came late and what was rejected is not lost.
    "IngestReadingsMissing": READY + [rising('ingest_readings_missing_total{tenant="acme"}', 60), rising('ingest_readings_late_total{tenant="acme"}', 5),
                                      rising('ingest_rejections_total{reason="TOKEN_INVALID"}', 5), rising('ingest_events_accepted_total{msg_type="telemetry"}', 1000)],
    # Two have been silent for long, and a tenant's site goes dark.
    "IngestDevicesSilent": READY + [constant('ingest_devices_silent{tenant="acme"}', "2"),
                                    {"series": labelled('ingest_devices_silent{tenant="globex"}'), "values": f"_x{QUIET // STEP} 40+0x{OUTAGE // STEP - 2}"}],
    "IngestDeviceAlertsUnpublished": READY + [constant("ingest_device_alerts_unpublished", "3")],
    "IngestGatewayMqttDown": READY + [constant('ingest_component_up{component="mqtt"}', "0")],
    "IngestGatewayMqttSessionLost": READY + [rising("ingest_gateway_mqtt_sessions_lost_total")],
    "IngestGatewayUnavailable": READY + [rising('ingest_gateway_refusals_total{reason="STREAM_UNAVAILABLE"}')],
    "IngestOpenFiles": READY + [constant("process_open_fds", "900"), constant("process_max_fds", "1024")],
    "IngestLogLinesDropped": READY + [rising("ingest_log_lines_dropped_total")],
}

# What fires an alert that has a case of its own, or an outage.
MORE: dict[str, tuple[list[dict], list[str]]] = {
    "a gateway without any node": (GATEWAY, ["IngestNodeAbsent"]),
    "all nodes go, the gateway stays": (GATEWAY + node(20), ["IngestNodeAbsent"]),
    "all nodes of one namespace go": (node(20) + node(namespace="elsewhere"), ["IngestNodeAbsent"]),
    "a gateway ends again and again": (
        READY + GATEWAY + [{"series": labelled('process_start_time_seconds{pod="ingest-node-gateway-0",instance="10.0.0.2:8080"}'),
                            "values": f"-3600+0x{QUIET // STEP - 1} " + " ".join(f"{QUIET + 120 * n}+0x{120 // STEP - 1}" for n in range(7))}],
        ["IngestNodeRestarts"]),
    "a revoked device floods while others lose readings": (
        READY + [rising('ingest_readings_missing_total{tenant="acme"}', 60), rising('ingest_readings_late_total{tenant="acme"}', 0),
                 rising('ingest_rejections_total{reason="DEVICE_REVOKED"}', 9000), rising('ingest_rejections_total{reason="INVALID_PAYLOAD"}', 0),
                 rising('ingest_events_accepted_total{msg_type="telemetry"}', 1000)],
        ["IngestReadingsMissing"]),
}

# What a HorizontalPodAutoscaler is to see, as `scalable` of /lag has it (ingest-core, flow/lag.rs).
SCALED: dict[str, tuple[list[dict], int | None]] = {
    "everything that is not settled": (READY + POSTGRES + of_consumer("ingest-workers", 7000, 300, 1000, 0), 7300),
    "a node that says nothing of a pause": (READY + POSTGRES + of_consumer("ingest-workers", 7000, 300, 1000), 7300),
    "nothing waits": (READY + POSTGRES + of_consumer("ingest-workers", 0, 0, 1000, 0), 0),
    "max_ack_pending is reached": (READY + POSTGRES + of_consumer("ingest-workers", 7000, 1000, 1000, 0), 0),
    "no limit is no full one": (READY + POSTGRES + of_consumer("ingest-workers", 7000, 1000, -1, 0), 8000),
    "0 is no limit, either": (READY + POSTGRES + of_consumer("ingest-workers", 7000, 1000, 0, 0), 8000),
    "the consumer is paused": (READY + POSTGRES + of_consumer("ingest-workers", 7000, 300, 1000, 1), 0),
    "only the lane of nats-server's MQTT clients is behind": (
        READY + POSTGRES + of_consumer("ingest-workers", 10, 0, 1000, 0) + of_consumer("ingest-mqtt", 9000, 5, 1000, 0), 9005),
    "the other lane is paused": (
        READY + POSTGRES + of_consumer("ingest-workers", 10, 0, 1000, 0) + of_consumer("ingest-mqtt", 9000, 5, 1000, 1), 10),
    "lanes that more replicas do not help": (
        READY + POSTGRES + of_consumer("ingest-workers", 0, 0, 1000, 0) + of_consumer("ingest-shadow", 9000, 5, 1000, 0), 0),
    "PostgreSQL is away": (READY + [constant('ingest_component_up{component="postgres"}', "0")] + of_consumer("ingest-workers", 7000, 300, 1000, 0), None),
    "the broker's figures are not known": (READY + POSTGRES, None),
}

# What must wake nobody.
NONE: dict[str, list[dict]] = {
    "one pod is replaced by another": node(20) + [
        {"series": labelled('ingest_ready{pod="ingest-node-1",instance="10.0.0.3:8080"}'), "values": f"_x{QUIET // STEP} 1+0x{OUTAGE // STEP - 1}"},
        {"series": labelled('ingest_component_up{pod="ingest-node-1",instance="10.0.0.3:8080",component="ingest-workers"}'), "values": f"_x{QUIET // STEP} 1+0x{OUTAGE // STEP - 1}"}],
    "another program ends again and again, and runs out of files": READY + [
        {"series": labelled('process_start_time_seconds{pod="other-0",instance="10.0.0.4:9000"}'), "values": " ".join(f"{300 * n}+0x{300 // STEP - 1}" for n in range(7))},
        constant('process_open_fds{pod="other-0",instance="10.0.0.4:9000"}', "1000"), constant('process_max_fds{pod="other-0",instance="10.0.0.4:9000"}', "1024")],
    "one device among many loses every other message": READY + [
        rising('ingest_readings_missing_total{tenant="acme"}', 6), rising('ingest_readings_late_total{tenant="acme"}', 0),
        rising('ingest_rejections_total{reason="TOKEN_INVALID"}', 0), rising('ingest_events_accepted_total{msg_type="telemetry"}', 1000)],
    "rejected numbers are missing": READY + [
        rising('ingest_readings_missing_total{tenant="acme"}', 100), rising('ingest_readings_late_total{tenant="acme"}', 0),
        rising('ingest_rejections_total{reason="INVALID_PAYLOAD"}', 100), rising('ingest_events_accepted_total{msg_type="telemetry"}', 900),
        rising('ingest_deliveries_received_total{consumer="ingest-workers"}', 1000)],
    "alerts beyond a tenant's quota wait for the next minute": READY + [
        constant("ingest_device_alerts_unpublished", "3"),
        {"series": labelled('ingest_device_alerts_total{tenant="acme"}'), "values": f"0+5x{(QUIET + OUTAGE) // STEP - 1}"}],
    "a fleet that has been silent for long is counted again after an outage": READY + [
        {"series": labelled('ingest_devices_silent{tenant="acme"}'), "values": f"500+0x{QUIET // STEP - 1} _x10 500+0x{OUTAGE // STEP - 11}"}],
}
