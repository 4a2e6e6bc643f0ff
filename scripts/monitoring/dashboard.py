"""The Grafana dashboard, as rows of panels. What a panel asks is here and nowhere else; monitoring/dashboard.json is made of it."""

# Prometheus is chosen in the dashboard, and so are namespace and pod.
SOURCE = {"type": "prometheus", "uid": "${source}"}
AT = '{namespace=~"$namespace"}'
# How often figures are compared; Grafana fits it to the scrapes.
RATE = "[$__rate_interval]"

# Title, unit, what is asked with its legend; a wide panel has the whole row.
ROWS: list[tuple[str, list[tuple[str, str, list[tuple[str, str]]]]]] = [
    ("Now", [
        ("Ready nodes and gateways", "none", [(f"sum(ingest_ready{AT})", "ready"), (f"count(ingest_ready{AT})", "there")]),
        ("Components that do their work", "none", [(f"min by (component) (ingest_component_up{AT})", "{{component}}")]),
        ("Age of the oldest message that is not settled", "s", [(f"max by (consumer) (ingest_oldest_unsettled_seconds{AT})", "{{consumer}}")]),
        ("Messages that wait", "short", [(f"max by (consumer) (ingest_consumer_pending{AT} + ingest_consumer_ack_pending{AT})", "{{consumer}}")]),
    ]),
    ("Messages", [
        ("Received", "ops", [(f"sum by (consumer) (rate(ingest_deliveries_received_total{AT}{RATE}))", "{{consumer}}")]),
        ("Settled", "ops", [(f"sum by (disposition) (rate(ingest_deliveries_settled_total{AT}{RATE}))", "{{disposition}}")]),
        ("Accepted", "ops", [(f"sum by (msg_type) (rate(ingest_events_accepted_total{AT}{RATE}))", "{{msg_type}}")]),
        ("Rejected, by reason", "ops", [(f"topk(8, sum by (reason) (rate(ingest_rejections_total{AT}{RATE})))", "{{reason}}")]),
        ("In flight, by lane", "short", [(f"sum by (consumer) (ingest_in_flight{AT})", "{{consumer}}")]),
        ("How late devices are", "s", [
            (f"histogram_quantile(0.5, sum by (le) (rate(ingest_event_lag_seconds_bucket{AT}{RATE})))", "half are younger"),
            (f"histogram_quantile(0.95, sum by (le) (rate(ingest_event_lag_seconds_bucket{AT}{RATE})))", "19 of 20 are younger")]),
    ]),
    ("The broker", [
        ("Share of max_ack_pending in use", "percentunit",
         [(f"max by (consumer) (ingest_consumer_ack_pending{AT} / (ingest_consumer_max_ack_pending{AT} > 0))", "{{consumer}}")]),
        ("Delivered more than once, unsettled", "short", [(f"max by (consumer) (ingest_consumer_redelivered{AT})", "{{consumer}}")]),
        ("Age of the broker's last answer", "s", [(f"max by (consumer) (ingest_consumer_info_age_seconds{AT})", "{{consumer}}")]),
        ("Reconnects, refusals, creations", "short", [
            (f"sum(increase(ingest_nats_reconnects_total{AT}{RATE}))", "reconnects"),
            (f"sum by (operation) (increase(ingest_nats_permission_violations_total{AT}{RATE}))", "not permitted: {{operation}}"),
            (f"sum(increase(ingest_streams_created_total{AT}{RATE}))", "streams created"),
            (f"sum(increase(ingest_consumers_created_total{AT}{RATE}))", "consumers created")]),
    ]),
    ("PostgreSQL", [
        ("Rows, and duplicates suppressed", "ops", [
            (f"sum(rate(ingest_postgres_rows_total{AT}{RATE}))", "rows"),
            (f"sum(rate(ingest_postgres_duplicates_suppressed_total{AT}{RATE}))", "duplicates")]),
        ("A batch, from begin to commit", "s", [
            (f"histogram_quantile(0.5, sum by (le) (rate(ingest_postgres_flush_seconds_bucket{AT}{RATE})))", "median"),
            (f"histogram_quantile(0.95, sum by (le) (rate(ingest_postgres_flush_seconds_bucket{AT}{RATE})))", "95 %")]),
        ("Errors, by class", "ops", [(f"sum by (class) (rate(ingest_postgres_errors_total{AT}{RATE}))", "{{class}}")]),
        ("Connections", "short", [(f"sum by (state) (ingest_postgres_pool{AT})", "{{state}}")]),
        ("Registry: look-ups, and answers from memory", "ops", [
            (f"sum by (result) (rate(ingest_registry_lookups_total{AT}{RATE}))", "looked up: {{result}}"),
            (f"sum(rate(ingest_registry_cache_hits_total{AT}{RATE}))", "from memory")]),
        ("Quarantine", "ops", [
            (f"sum(rate(ingest_quarantine_events_total{AT}{RATE}))", "stored"),
            (f"sum(rate(ingest_quarantine_capped_total{AT}{RATE}))", "counted only"),
            (f"sum(rate(ingest_quarantine_dropped_total{AT}{RATE}))", "not even counted")]),
    ]),
    ("Kept and dropped", [
        ("Oldest day that is kept", "dateTimeAsIso", [(f"min(ingest_retention_oldest_day_seconds{AT}) * 1000", "from")]),
        ("Days kept because InfluxDB is owed points of them", "short", [(f"max(ingest_retention_held_back_partitions{AT})", "days")]),
        ("Partitions dropped, steps that failed", "short", [
            (f"sum(increase(ingest_retention_partitions_dropped_total{AT}{RATE}))", "partitions dropped"),
            (f"sum(increase(ingest_retention_errors_total{AT}{RATE}))", "failed")]),
        ("Time since the last complete round of retention", "s", [(f"max(ingest_retention_last_success_age_seconds{AT})", "age")]),
    ]),
    ("Missing readings", [
        ("Numbers that go missing, without those that come late", "ops", [
            (f"topk(8, sum by (tenant) (rate(ingest_readings_missing_total{AT}{RATE}) - rate(ingest_readings_late_total{AT}{RATE})))", "{{tenant}}")]),
        ("Late, repeated, counted from the start again", "ops", [
            (f"sum(rate(ingest_readings_late_total{AT}{RATE}))", "late"),
            (f"sum(rate(ingest_readings_repeated_total{AT}{RATE}))", "repeated"),
            (f"sum(rate(ingest_device_seq_resets_total{AT}{RATE}))", "resets")]),
        ("Silent devices", "short", [(f"topk(8, max by (tenant) (ingest_devices_silent{AT}))", "{{tenant}}")]),
        ("Alerts of devices", "short", [
            (f"sum by (tenant) (increase(ingest_device_alerts_total{AT}{RATE}))", "{{tenant}}"),
            (f"max(ingest_device_alerts_unpublished{AT})", "devices whose alert is not published yet")]),
    ]),
    ("InfluxDB", [
        ("Lines, by what became of them", "ops", [(f"sum by (result) (rate(ingest_influx_lines_total{AT}{RATE}))", "{{result}}")]),
        ("Answers", "ops", [(f"sum by (status) (rate(ingest_influx_requests_total{AT}{RATE}))", "{{status}}")]),
        ("Lines that are not confirmed", "short", [(f"max(ingest_influx_unconfirmed_lines{AT})", "not confirmed"), (f"sum(ingest_influx_buffered_lines{AT})", "in buffers")]),
        ("Owed longest, by tenant", "s", [(f"topk(8, max by (tenant) (ingest_influx_owed_oldest_seconds{AT}))", "{{tenant}}")]),
        ("Tenants whose database takes nothing now", "short", [(f"sum(ingest_influx_breakers_open{AT})", "tenants")]),
        ("Left out of points", "ops", [(f"sum by (reason) (rate(ingest_influx_fields_skipped_total{AT}{RATE}))", "{{reason}}")]),
    ]),
    ("Actors", [
        ("Share of a core", "percentunit", [(f"sum by (actor) (rate(ingest_actor_busy_seconds_total{AT}{RATE}))", "{{actor}}")]),
        ("Queued messages", "short", [(f"sum by (actor) (ingest_actor_queue{AT})", "{{actor}}")]),
        ("Restarts", "short", [(f"sum by (actor) (increase(ingest_actor_restarts_total{AT}{RATE}))", "{{actor}}")]),
        ("Route jobs, and deliveries that wait for them", "short", [
            (f"sum by (result) (rate(ingest_route_jobs_total{AT}{RATE}))", "jobs: {{result}}"),
            (f"sum(ingest_route_deliveries_waiting{AT})", "waiting")]),
    ]),
    ("Ways in", [
        ("From HTTP", "ops", [(f"sum by (result) (rate(ingest_gateway_http_published_total{AT}{RATE}))", "{{result}}")]),
        ("Refused at the door", "ops", [(f"topk(8, sum by (reason) (rate(ingest_gateway_refusals_total{AT}{RATE})))", "{{reason}}")]),
        ("From an MQTT broker", "ops", [(f"sum by (result) (rate(ingest_gateway_mqtt_published_total{AT}{RATE}))", "{{result}}")]),
        ("Connections of devices, and messages that wait for the stream", "short", [
            (f"sum(ingest_gateway_http_connections{AT})", "connections"), (f"sum(ingest_gateway_window_messages{AT})", "waiting")]),
    ]),
    ("Processes", [
        ("Processor", "percentunit", [(f"sum by (pod) (rate(process_cpu_seconds_total{AT}{RATE}) and on (namespace, pod, instance) ingest_ready{AT})", "{{pod}}")]),
        ("Memory", "bytes", [(f"max by (pod) (process_resident_memory_bytes{AT} and on (namespace, pod, instance) ingest_ready{AT})", "{{pod}}")]),
        ("Version", "none", [(f"count by (version) (ingest_build_info{AT})", "{{version}}")]),
        ("Lines of the log that were dropped", "short", [(f"sum by (pod) (increase(ingest_log_lines_dropped_total{AT}{RATE}))", "{{pod}}")]),
    ]),
]


def panel(number: int, title: str, unit: str, targets: list[tuple[str, str]], x: int, y: int, width: int) -> dict:
    # What is yes or no is shown as such, and not by colour alone.
    states = title.startswith("Components")
    kind = "state-timeline" if states else "timeseries"
    defaults: dict = {"unit": unit, "min": 0}
    if states:
        words = {"0": {"text": "down", "color": "red", "index": 0}, "1": {"text": "up", "color": "green", "index": 1}}
        defaults = {"mappings": [{"type": "value", "options": words}]}
    asked = [{"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": expression, "legendFormat": legend} for at, (expression, legend) in enumerate(targets)]
    return {"id": number, "type": kind, "title": title, "datasource": SOURCE, "gridPos": {"x": x, "y": y, "w": width, "h": 7},
            "fieldConfig": {"defaults": defaults, "overrides": []}, "targets": asked}


def board() -> dict:
    panels: list[dict] = []
    y = 0
    for row, members in ROWS:
        panels.append({"id": len(panels) + 1, "type": "row", "title": row, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})
        y += 1
        width = 8 if len(members) % 3 == 0 else 6
        for at_row, (title, unit, targets) in enumerate(members):
            column = at_row % (24 // width)
            panels.append(panel(len(panels) + 1, title, unit, targets, column * width, y, width))
            if column == 24 // width - 1:
                y += 7
    variables = [
        {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        {"name": "namespace", "type": "query", "datasource": SOURCE, "query": "label_values(ingest_ready, namespace)", "includeAll": True, "allValue": ".*",
         "multi": True, "refresh": 2, "current": {"text": "All", "value": "$__all"}},
    ]
    return {"uid": "ingest-node", "title": "ingest-node", "tags": ["ingest-node"], "schemaVersion": 39, "version": 1, "editable": True, "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"}, "timezone": "browser", "templating": {"list": variables},
            "annotations": {"list": [{"name": "Alerts", "datasource": SOURCE, "enable": True, "iconColor": "red",
                                      "expr": 'ALERTS{alertname=~"Ingest.*",alertstate="firing"}', "titleFormat": "{{alertname}}"}]},
            "links": [], "panels": panels}
