// The console: reads the node's events and shows the last one, for as long as they come. It controls nothing.

import { Picture, rowId } from "./picture.js";
import { Plots } from "./plots.js";
import { UNKNOWN, ago, bytes, count, element, percent, rate, shape, span, tone, word, write } from "./text.js";

// Events come every second. After so long without one, what was shown is not known any more.
const SILENT_MS = 3_500;
const AGAIN_MS = 3_000;
const MOST_ITEMS = 12;
const RECENT_SECONDS = 300;

const at = (id) => document.getElementById(id);
const picture = new Picture(at("picture"));
const plots = new Plots(at("plots"));
let [last, lastAt, isLive, source] = [null, 0, false, null];

// Tables: the columns of each, and what a row shows. A cell is a text, or [text, state].
const TABLES = {
  lanes: {
    columns: ["Consumer", "Received/s", "Settled/s", "In flight", "Lag", "Pending", "Ack pending", "Redelivered", "Ack floor", "Acked", "Nacked", "Termed", "Held"],
    rows: (snapshot) => snapshot.lanes.map((lane) => [lane.consumer, [
      lane.consumer, rate(lane.received_per_second), rate(lane.settled_per_second), count(lane.in_flight), span(lane.lag_seconds),
      count(lane.pending), `${count(lane.ack_pending)} of ${count(lane.max_ack_pending)}`, count(lane.redelivered), count(lane.ack_floor),
      count(lane.acked), count(lane.nacked), count(lane.termed), bytes(lane.window_bytes)]]),
  },
  "actor-table": {
    columns: ["Actor", "State", "Queue", "In/s", "Out/s", "Busy", "No progress for", "Restarts", "Last exit", "In", "Out", "Thread", "Generation"],
    id: rowId,
    rows: (snapshot) => snapshot.actors.map((actor) => [actor.name, [
      actor.tenant ? `batcher of ${actor.tenant}` : actor.name, [actor.state, actor.state], count(actor.queue), rate(actor.in_per_second), rate(actor.out_per_second),
      percent(actor.busy), actor.seconds_without_progress > 0 ? span(actor.seconds_without_progress) : UNKNOWN, count(actor.restarts),
      actor.last_exit ? `${actor.last_exit}, ${ago(actor.last_exit_at, snapshot.as_of)}` : "none", count(actor.in), count(actor.out), actor.thread ?? UNKNOWN,
      count(actor.generation)]]),
  },
  conditions: {
    columns: ["Component", "State", "Why"],
    rows: (snapshot) => snapshot.conditions.map((of) => [of.name, [of.name, of.up ? ["up", "up"] : ["down", "down"], of.reason ?? ""]]),
  },
  pool: {
    columns: ["In use", "Idle", "Waiting for one", "At most"],
    empty: "Not known.",
    rows: ({ postgres_pool: pool }) => (pool ? [["pool", [count(pool.in_use), count(pool.idle), count(pool.waiting), count(pool.max)]]] : []),
  },
  reasons: {
    columns: ["Reason", "Last 5 min", "Per second", "Since the start"],
    empty: "None.",
    rows: (snapshot) => snapshot.rejections.reasons.map((of) => [of.reason, [of.reason, count(of.last_five_minutes), rate(of.per_second), count(of.total)]]),
  },
  rejected: {
    columns: ["Tenant", "Reason", "Count"],
    empty: "None.",
    rows: (snapshot) => snapshot.rejections.tenants.map((of) => [`${of.tenant} ${of.reason}`, [of.tenant, of.reason, count(of.count)]]),
  },
  missing: {
    columns: ["Tenant", "Missing", "Late", "Repeats", "Resets", "Silent now", "Alerts"],
    empty: (snapshot) => `No number is missing${silence(snapshot)}.`,
    rows: (snapshot) => snapshot.missing_readings.tenants.map((of) => [of.tenant, [
      of.tenant === "%other" ? "all others" : of.tenant, count(of.missing), count(of.late), count(of.repeats), count(of.resets), count(of.silent), count(of.alerts)]]),
  },
  devices: {
    columns: ["Device", "Tenant", "What", "Command"],
    empty: "None.",
    rows: ({ missing_readings: { devices, silent_devices: silent }, as_of }) => [
      ...devices.map((of) => [of, `${count(of.missing)} missing, the last found ${span(of.found_seconds_ago)} ago`]),
      ...(silent ?? []).map((of) => [of, `silent, last heard ${ago(of.last_seen_at, as_of)}`]),
    ].map(([of, what], place) => [`${place} ${of.tenant} ${of.device}`, [of.device, of.tenant, what, `ingest-node explain --tenant=${word(of.tenant)} --device=${word(of.device)}`]]),
  },
  owed: {
    columns: ["Tenant", "Lines", "Oldest", "Written later", "Done in"],
    empty: "Nothing.",
    unknown: (snapshot) => snapshot.outbox === null,
    rows: (snapshot) => (snapshot.outbox?.tenants ?? []).map((of) => [of.tenant, [
      of.tenant === "%other" ? "all others" : of.tenant, count(of.lines), span(of.oldest_seconds), `${rate(of.lines_per_second)}/s`, span(of.eta_seconds)]]),
  },
  batchers: {
    columns: ["Tenant", "Breaker", "Lines held", "Memory", "Requests", "Failed", "Lines written", "Last error"],
    empty: "None.",
    rows: (snapshot) => (snapshot.influx?.batchers ?? []).map((of) => [of.tenant, [
      of.tenant, [of.breaker, of.breaker], count(of.held_lines), bytes(of.held_bytes), count(of.requests), count(of.requests_failed), count(of.lines_ok), of.last_error ?? ""]]),
  },
};
// What is known of silent devices where there are no figures.
function silence({ missing_readings: { silent_devices: silent }, actors }) {
  if (silent) return ", and no device is silent";
  const looks = actors.some((actor) => actor.role === "silence-watcher");
  return looks ? "; silent devices are counted by another replica, or not known yet" : "; silent devices are not looked for (DEVICE_SILENCE=0)";
}

const ROW_HEADS = new Set(["lanes", "actor-table", "conditions", "reasons", "rejected", "missing", "devices", "owed", "batchers"]);
const TEXTS = new Set(["State", "Why", "Last exit", "Thread", "Reason", "Last error", "Breaker", "Tenant", "What", "Command"]);
const PROSE = new Set(["Why", "Last error"]);
const classes = (name) => (name === "Command" ? { class: "text command" } : PROSE.has(name) ? { class: "text prose" } : TEXTS.has(name) ? { class: "text" } : {});

for (const [id, { columns }] of Object.entries(TABLES)) {
  const row = element("tr");
  row.append(...columns.map((name) => element("th", name, { scope: "col", ...(TEXTS.has(name) ? { class: "text" } : {}) })));
  const head = element("thead");
  head.append(row);
  at(id).append(head, element("tbody"));
}

function fillTable(id, snapshot) {
  const { columns, rows, empty, unknown, id: idOf } = TABLES[id];
  const body = at(id).tBodies[0];
  let list = rows(snapshot);
  if (!isLive) list = list.map(([key, cells]) => [key, cells.map((cell, place) => (place === 0 && ROW_HEADS.has(id) ? cell : Array.isArray(cell) ? ["unknown", "unknown"] : UNKNOWN))]);
  const note = !isLive || unknown?.(snapshot) ? "Not known." : typeof empty === "function" ? empty(snapshot) : empty;
  if (list.length === 0) {
    body.replaceChildren(element("tr"));
    body.rows[0].append(element("td", note ?? "", { colspan: columns.length, class: "text" }));
    return;
  }
  const before = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  list.forEach(([key, cells], place) => {
    let row = before.get(key);
    before.delete(key);
    if (!row) {
      row = element("tr", null, { "data-key": key, ...(idOf ? { id: idOf(key), tabindex: "-1" } : {}) });
      row.append(...cells.map((cell, column) => {
        if (column === 0 && ROW_HEADS.has(id)) return element("th", "", { scope: "row" });
        return element("td", "", classes(columns[column]));
      }));
    }
    cells.forEach((cell, column) => fillCell(row.cells[column], cell));
    if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
  });
  before.forEach((row) => row.remove());
}

function fillCell(node, cell) {
  if (!Array.isArray(cell)) return write(node, cell);
  const [word, state] = cell;
  if (node.dataset.state === state) return;
  node.dataset.state = state;
  node.dataset.tone = tone(state);
  node.replaceChildren(element("span", shape(state), { class: "shape", "aria-hidden": "true" }), ` ${word}`);
}

// What needs attention, the worst first: [tone, shape, sentence].
function attention(snapshot) {
  const [bad, warn, info] = [[], [], []];
  for (const of of snapshot.conditions.filter((condition) => !condition.up)) {
    (of.required ? bad : warn).push(`${of.name} is down: ${of.reason}`);
  }
  for (const actor of snapshot.actors) {
    const name = actor.tenant ? `The batcher of ${actor.tenant}` : actor.name;
    if (actor.state === "stalled") bad.push(`${name} is stalled: no progress`);
    if (actor.state === "stopped" && snapshot.node.state !== "draining") bad.push(`${name} is stopped`);
    const since = (Date.parse(snapshot.as_of) - Date.parse(actor.last_exit_at)) / 1000;
    if (since < RECENT_SECONDS) warn.push(`${name} ${actor.last_exit}; ${actor.restarts} restart${actor.restarts === 1 ? "" : "s"} in all`);
  }
  if (snapshot.node.state === "draining") warn.push("The node is draining");
  for (const lane of snapshot.lanes.filter((one) => one.lag_seconds === null)) {
    warn.push(`${lane.consumer}: ${lane.pending === null ? "lag and pending messages are" : "the age of the oldest message is"} not known`);
  }
  for (const of of (snapshot.influx?.batchers ?? []).filter((one) => one.breaker !== "closed")) {
    warn.push(`InfluxDB does not take the points of ${of.tenant}${of.last_error ? `: ${of.last_error}` : ""}`);
  }
  if (snapshot.outbox?.lines > 0) warn.push(`${count(snapshot.outbox.lines)} lines are owed to InfluxDB`);
  if (snapshot.outbox === null && snapshot.influx !== null) info.push("What is owed to InfluxDB is not known");
  info.push(...snapshot.notes);
  return [...bad.map((text) => ["bad", "✕", text]), ...warn.map((text) => ["warn", "▲", text]), ...info.map((text) => ["info", "i", text])];
}

function fillAttention(snapshot) {
  let items = isLive ? attention(snapshot) : [["dim", "?", "Not known: the connection to the node is lost."]];
  const more = items.length - MOST_ITEMS;
  if (more > 0) items = [...items.slice(0, MOST_ITEMS), ["info", "+", `and ${more} more`]];
  if (items.length === 0) items = [["ok", "●", "Nothing: all components work, no actor stands still."]];
  const list = at("attention");
  const key = JSON.stringify(items);
  // It is read aloud, so only when it says something else.
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...items.map(([mood, mark, text]) => {
    const item = element("li", null, { "data-tone": mood });
    item.append(element("span", mark, { class: "shape", "aria-hidden": "true" }), " ", element("span", text));
    return item;
  }));
}

function fillHead(snapshot) {
  const state = isLive ? snapshot.node.state.replace("_", " ") : "unknown";
  const badge = at("state");
  badge.dataset.tone = tone(state);
  write(badge.querySelector(".shape"), shape(state));
  write(badge.querySelector(".word"), state);
  const { node, totals, viewers } = snapshot;
  const about = {
    host: node.host ?? UNKNOWN,
    version: node.version,
    uptime: isLive ? span(node.uptime_seconds) : UNKNOWN,
    generation: isLive ? count(node.generation) : UNKNOWN,
    restarts: isLive ? count(totals.restarts) : UNKNOWN,
    viewers: isLive ? `${viewers.watching} of ${viewers.max}` : UNKNOWN,
  };
  for (const [name, text] of Object.entries(about)) write(document.querySelector(`[data-about="${name}"]`), text);
  write(at("as-of"), new Date(snapshot.as_of).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }));
  at("as-of").setAttribute("datetime", snapshot.as_of);
  document.title = `${state} – ingest-node ${node.host ?? ""}`.trim();
}

function show(point) {
  document.body.dataset.live = isLive ? "yes" : "no";
  write(at("live"), isLive ? "Live" : `Connection lost${last ? ` ${span((Date.now() - lastAt) / 1000)} ago` : ""}; what follows is unknown.`);
  if (!last) return;
  fillHead(last);
  fillAttention(last);
  picture.update(last, isLive);
  plots.add(point);
  Object.keys(TABLES).forEach((id) => fillTable(id, last));
  const more = last.actors_left_out;
  at("left-out").hidden = more === 0;
  write(at("left-out"), `and ${count(more)} more batchers`);
}

function connect() {
  source = new EventSource("/console/events");
  source.addEventListener("history", (event) => plots.begin(JSON.parse(event.data)));
  source.addEventListener("snapshot", (event) => {
    const message = JSON.parse(event.data);
    [last, lastAt, isLive] = [message.snapshot, Date.now(), true];
    show(message.point);
  });
  source.addEventListener("error", () => {
    // The browser tries again by itself, unless it was refused.
    if (source.readyState === EventSource.CLOSED) setTimeout(again, AGAIN_MS);
  });
}

// After a refusal: without a session the log-in is shown, which is what the page's address leads to.
async function again() {
  try {
    const answer = await fetch("/console", { method: "GET", cache: "no-store" });
    if (answer.status === 401) return location.reload();
  } catch {
    // The node is away.
  }
  connect();
}

setInterval(() => {
  if (Date.now() - lastAt < SILENT_MS) return;
  isLive = false;
  show(null);
}, 1_000);
connect();
