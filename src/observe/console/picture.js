// The actor tree as the README draws it: boxes for roles and servers, arrows for what goes from one to the other.

import { UNKNOWN, count, rate, shape, span, tone } from "./text.js";

const NS = "http://www.w3.org/2000/svg";
const WIDE_FROM = 860;

const TITLES = {
  nats: "NATS JetStream",
  consumer: "Consumers",
  validator: "Validators",
  registry: "Registry",
  writer: "Writer",
  postgres: "PostgreSQL",
  router: "Router, batchers",
  publisher: "Publisher",
  "state-writer": "State writer",
  "silence-watcher": "Silence watcher",
  retention: "Retention",
  influx: "InfluxDB",
  "quarantine-writer": "Quarantine writer",
  "outbox-maintainer": "Outbox maintainer",
  redelivery: "Redelivery",
};
const title = (name) => TITLES[name] ?? name[0].toUpperCase() + name.slice(1).replaceAll("-", " ");
// The servers, and the components of /ready that are about them.
const SERVERS = { nats: ["nats"], postgres: ["postgres", "schema"], influx: ["influx"] };

// Places of the boxes, [x, y, width, height]. Roles that the picture does not know stand below the others.
function boxes(isWide, lanes, has, others) {
  const places = known(isWide, lanes, has("retention"));
  const [columns, width, pitch] = isWide ? [4, 240, 270] : [2, 162, 182];
  const [, bottom] = places.size;
  others.forEach((name, place) => {
    places[name] = [(isWide ? 20 : 8) + (place % columns) * pitch, bottom + 6 + Math.floor(place / columns) * 64, width, 52];
  });
  if (others.length > 0) places.size[1] += 12 + Math.ceil(others.length / columns) * 64;
  return places;
}

// The boxes that the picture knows, for wide screens and for narrow ones.
function known(isWide, lanes, retains) {
  const list = 30 + 22 * Math.max(1, lanes);
  if (isWide) {
    const down = list - 96;
    const at = (y) => y + Math.max(0, down);
    return {
      size: [1120, at(680)],
      nats: [150, 8, 820, 48],
      consumer: [380, 104, 360, list],
      validator: [380, at(246), 360, 66],
      registry: [880, at(246), 200, 66],
      writer: [430, at(364), 260, 66],
      postgres: [880, at(364), 200, 66],
      redelivery: [80, at(400), 220, 52],
      router: [80, at(500), 260, 66],
      publisher: [430, at(500), 260, 66],
      "state-writer": retains ? [706, at(500), 200, 66] : [800, at(500), 240, 66],
      retention: [916, at(500), 200, 66],
      "silence-watcher": [840, at(140), 240, 66],
      influx: [80, at(614), 260, 58],
      "quarantine-writer": [430, at(614), 260, 58],
      "outbox-maintainer": [800, at(614), 240, 58],
    };
  }
  const [left, right, width, full] = [8, 190, 162, 344];
  const at = (row) => 70 + list + 34 + row * 102;
  return {
    size: [360, at(5) + (retains ? 66 : 14)],
    nats: [left, 4, full, 48],
    consumer: [left, 86, full, list],
    validator: [left, at(0) + 16, width, 62],
    registry: [right, at(0) + 16, width, 62],
    writer: [left, at(1) + 16, width, 62],
    postgres: [right, at(1) + 16, width, 62],
    router: [left, at(2) + 16, width, 62],
    "state-writer": [right, at(2) + 16, width, 62],
    influx: [left, at(3) + 16, width, 62],
    publisher: [right, at(3) + 16, width, 62],
    redelivery: [left, at(4) - 2, width, 50],
    "outbox-maintainer": [right, at(4) - 2, width, 50],
    "quarantine-writer": [left, at(4) + 60, width, 46],
    "silence-watcher": [right, at(4) + 60, width, 46],
    retention: [left, at(4) + 118, width, 46],
  };
}

const middle = ([x, y, w, h]) => ({ x: x + w / 2, y: y + h / 2, left: x, right: x + w, top: y, bottom: y + h });

// The arrows: [from, to, what is counted], with their corners and the place of their figure.
function arrows(isWide, at) {
  const of = (name) => middle(at[name]);
  const straight = (from, to, x) => [[x ?? of(to).x, of(from).bottom], [x ?? of(to).x, of(to).top]];
  const across = (from, to) => [[of(from).right, of(from).y], [of(to).left, of(from).y]];
  const list = [
    ["nats", "consumer", ["messages"], straight("nats", "consumer")],
    ["consumer", "validator", ["messages"], straight("consumer", "validator")],
    ["validator", "registry", ["look-ups"], across("validator", "registry"), isWide],
    ["validator", "writer", ["accepted", "rejected"], straight("validator", "writer")],
    ["registry", "postgres", [], straight("registry", "postgres"), false],
    ["writer", "postgres", ["rows", "rejections"], across("writer", "postgres"), isWide],
  ];
  const writer = of("writer");
  if (isWide) {
    const split = (writer.bottom + of("publisher").top) / 2;
    const fork = (to, from) => [[from, writer.bottom], [from, split], [of(to).x, split], [of(to).x, of(to).top]];
    const settle = writer.y - 18;
    const upward = (from, x) => [[x, of(from).top], [x, of("postgres").bottom]];
    list.push(
      ["writer", "publisher", ["jobs"], straight("writer", "publisher")],
      ["writer", "state-writer", ["updates"], fork("state-writer", writer.right - 40)],
      ["consumer", "nats", ["settled"], [[writer.left, settle], [40, settle], [40, of("nats").y], [of("nats").left, of("nats").y]]],
      ["state-writer", "postgres", [], at.retention ? upward("state-writer", of("postgres").left + 18) : upward("state-writer", of("postgres").x), false],
    );
    if (at.retention) list.push(["retention", "postgres", [], upward("retention", of("retention").x), false]);
    if (at["silence-watcher"]) {
      const [beside, alerts] = [of("postgres").right + 22, of("nats").right - 40];
      const { right, y, top } = of("silence-watcher");
      list.push(
        ["silence-watcher", "postgres", [], [[right, y], [beside, y], [beside, of("postgres").y], [of("postgres").right, of("postgres").y]], false],
        ["silence-watcher", "nats", ["alerts"], [[alerts, top], [alerts, of("nats").bottom]]],
      );
    }
    if (at.router) {
      const low = of("router").bottom + 16;
      const between = (of("router").right + of("quarantine-writer").left) / 2;
      list.push(
        ["writer", "router", ["points"], fork("router", writer.left + 40)],
        ["redelivery", "router", ["points"], straight("redelivery", "router", of("redelivery").x - 60)],
        ["router", "influx", ["lines"], straight("router", "influx")],
        ["router", "quarantine-writer", ["refused"], [[of("router").right, of("router").y + 12], [between, of("router").y + 12], [between, of("quarantine-writer").y], [of("quarantine-writer").left, of("quarantine-writer").y]]],
        ["router", "outbox-maintainer", ["deferred"], [[of("router").right, of("router").y - 8], [between + 18, of("router").y - 8], [between + 18, low], [of("outbox-maintainer").x, low], [of("outbox-maintainer").x, of("outbox-maintainer").top]]],
      );
    }
    return list;
  }
  const gutter = (writer.right + of("postgres").left) / 2;
  const aside = (to) => [[writer.right, writer.bottom - 10], [gutter, writer.bottom - 10], [gutter, of(to).y], [of(to).left, of(to).y]];
  list.push(
    ["writer", "state-writer", ["updates"], aside("state-writer"), false],
    ["writer", "publisher", ["jobs"], aside("publisher"), false],
  );
  if (at.router) {
    list.push(
      ["writer", "router", ["points"], straight("writer", "router")],
      ["router", "influx", ["lines"], straight("router", "influx")],
    );
  }
  return list;
}

function draw(tag, attributes, parent) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

const set = (node, text) => node.textContent !== text && (node.textContent = text);

export class Picture {
  constructor(place) {
    this.place = place;
    this.key = null;
    new ResizeObserver(() => this.last && this.update(...this.last)).observe(place);
  }

  // The picture of a snapshot; of none, every state and figure is unknown.
  update(snapshot, isLive) {
    this.last = [snapshot, isLive];
    const isWide = this.place.clientWidth >= WIDE_FROM;
    const roles = new Map();
    for (const actor of snapshot.actors) {
      if (!roles.has(actor.role)) roles.set(actor.role, []);
      roles.get(actor.role).push(actor);
    }
    const key = JSON.stringify([isWide, [...roles.keys()], snapshot.lanes.map((lane) => lane.consumer)]);
    if (key !== this.key) this.build(isWide, roles, snapshot);
    this.key = key;
    for (const box of this.boxes) this.fill(box, snapshot, roles, isLive);
    for (const arrow of this.arrows) fillArrow(arrow, snapshot, isLive);
  }

  build(isWide, roles, snapshot) {
    const others = [...roles.keys()].filter((name) => !(name in TITLES) && name !== "batcher");
    const at = boxes(isWide, snapshot.lanes.length, (name) => roles.has(name), others);
    const [width, height] = at.size;
    const has = (name) => at[name] && (name in SERVERS ? name !== "influx" || roles.has("router") : roles.has(name) || ["consumer", "validator", "registry", "writer", "publisher", "state-writer"].includes(name));
    for (const name of Object.keys(TITLES)) if (!has(name)) at[name] = null;
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Way of a message through the actors" });
    const marker = draw("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, draw("defs", {}, svg));
    draw("path", { d: "M0 0L8 4L0 8Z", class: "tip" }, marker);
    this.arrows = arrows(isWide, at).map(([from, to, whats, corners, labels = true]) => {
      const group = draw("g", { class: "arrow", "aria-hidden": "true" }, svg);
      draw("path", { d: `M${corners.map(([x, y]) => `${x} ${y}`).join("L")}`, "marker-end": "url(#tip)" }, group);
      if (labels === false) return { group, from, to, whats, labels: [] };
      const [x, y] = labelPlace(corners);
      const texts = whats.map((what, place) => {
        const plate = draw("rect", { class: "plate", rx: 3 }, group);
        const text = draw("text", { x, y: y + 4 + (place - (whats.length - 1) / 2) * 16, "text-anchor": "middle" }, group);
        return { what, plate, text };
      });
      return { group, from, to, whats, labels: texts };
    });
    this.boxes = [...Object.keys(TITLES), ...others].filter((name) => at[name]).map((name) => box(svg, name, at[name], snapshot));
    for (const { name, group } of this.boxes) Object.assign(group.dataset, { role: name, place: others.includes(name) ? "below" : "known" });
    this.place.replaceChildren(svg);
  }

  fill(box, snapshot, roles, isLive) {
    const isServer = box.name in SERVERS;
    const figures = isServer ? server(box.name, snapshot, isLive) : actors(box.name, roles.get(box.name) ?? [], roles, snapshot, isLive);
    set(box.shape, shape(figures.state));
    set(box.state, figures.word);
    set(box.figures, figures.text);
    box.group.dataset.tone = tone(figures.state);
    box.group.dataset.state = figures.state;
    const lines = (figures.lines ?? []).slice(0, box.lines.length);
    box.lines.forEach((line, place) => set(line, lines[place] ?? ""));
  }
}

// In the middle of the longest part.
function labelPlace(corners) {
  const parts = corners.slice(1).map((to, place) => [corners[place], to]);
  const length = ([[a, b], [c, d]]) => Math.abs(a - c) + Math.abs(b - d);
  const longest = parts.reduce((best, part) => (length(part) > length(best) ? part : best));
  return [(longest[0][0] + longest[1][0]) / 2, (longest[0][1] + longest[1][1]) / 2];
}

function box(svg, name, [x, y, w, h], snapshot) {
  const isServer = name in SERVERS;
  const first = snapshot.actors.find((actor) => actor.role === name);
  const href = isServer ? "#conditions-title" : `#${rowId(first?.name ?? name)}`;
  const link = draw("a", { href }, svg);
  const group = draw("g", { class: isServer ? "box server" : "box" }, link);
  draw("rect", { x, y, width: w, height: h, rx: isServer ? 14 : 6 }, group);
  if (isServer) draw("rect", { x: x + 4, y: y + 4, width: w - 8, height: h - 8, rx: 11, class: "inner" }, group);
  const isNarrow = w < 200;
  const inset = x + (isNarrow ? 11 : 14);
  const top = y + (isServer && !isNarrow ? 20 : 21);
  const shapeText = draw("text", { x: inset, y: top, class: "shape", "aria-hidden": "true" }, group);
  draw("text", { x: inset + (isNarrow ? 14 : 16), y: top, class: "title" }, group).textContent = title(name);
  const state = draw("text", { x: x + w - 12, y: top, class: "state", "text-anchor": "end" }, group);
  if (isNarrow) {
    state.setAttribute("x", inset);
    state.setAttribute("y", y + 38);
    state.setAttribute("text-anchor", "start");
  }
  const figures = draw("text", { x: inset, y: y + (isNarrow ? 55 : isServer ? 38 : 42), class: "figures" }, group);
  if (isNarrow && h < 60) figures.classList.add("hidden");
  const rows = name === "consumer" ? Math.floor((h - 30) / 22) : !isNarrow && h >= 64 && !isServer ? 1 : 0;
  const lines = Array.from({ length: rows }, (_, row) =>
    draw("text", { x: inset, y: y + (name === "consumer" ? 44 + 22 * row : 58), class: "figures" }, group));
  if (name === "consumer") figures.classList.add("hidden");
  return { name, group, shape: shapeText, state, figures, lines };
}

function server(name, snapshot, isLive) {
  const about = snapshot.conditions.filter((condition) => SERVERS[name].includes(condition.name));
  const down = about.find((condition) => !condition.up);
  const state = !isLive || about.length === 0 ? "unknown" : down ? "down" : "up";
  const pool = snapshot.postgres_pool;
  const pending = isLive ? snapshot.totals.pending : null;
  const texts = {
    nats: `${count(pending)} waiting to be delivered`,
    postgres: isLive && pool ? `${count(pool.in_use)} of ${count(pool.max)} connections` : `${UNKNOWN} connections`,
    influx: `${count(isLive ? snapshot.influx?.held_lines : null)} lines held`,
  };
  return { state, word: state, text: texts[name] };
}

function actors(name, list, roles, snapshot, isLive) {
  const order = ["stalled", "stopped", "starting", "draining", "busy", "running"];
  const states = isLive ? list.map((actor) => actor.state) : [];
  const state = order.find((one) => states.includes(one)) ?? "unknown";
  const alike = states.filter((one) => one === state).length;
  const word = states.length > 1 ? `${alike} of ${states.length} ${state}` : state;
  const sum = (field) => (isLive && list.length > 0 ? list.reduce((all, actor) => (actor[field] === null || all === null ? null : all + actor[field]), 0) : null);
  const restarts = sum("restarts");
  const text = `queue ${count(sum("queue"))} · ${restarts ? `${count(restarts)} restart${restarts > 1 ? "s" : ""}` : `${busy(sum("busy"), list.length)} busy`}`;
  const lines = [`${rate(sum("in_per_second"))} in/s · ${rate(sum("out_per_second"))} out/s`];
  if (name === "consumer") {
    const lane = (lane) => `${shape(isLive ? list.find((actor) => actor.name.endsWith(lane.consumer))?.state ?? "unknown" : "unknown")} ${lane.consumer}: ${rate(isLive ? lane.received_per_second : null)}/s, lag ${span(isLive ? lane.lag_seconds : null)}`;
    return { state, word, text: "", lines: snapshot.lanes.map(lane) };
  }
  if (name === "router") {
    const batchers = (roles.get("batcher") ?? []).length + snapshot.actors_left_out;
    lines[0] = `${count(isLive ? batchers : null)} batchers · ${count(isLive ? snapshot.influx?.held_lines : null)} lines held`;
  }
  return { state, word, text, lines };
}

const busy = (share, actors) => (share === null ? UNKNOWN : `${Math.round((share / Math.max(1, actors)) * 100)} %`);

function fillArrow({ group, from, to, labels, whats }, snapshot, isLive) {
  const flow = (what) => snapshot.flows.find((one) => one.from === from && one.to === to && one.what === what);
  const rates = whats.map((what) => (isLive ? flow(what)?.per_second ?? null : null));
  group.dataset.flows = rates.some((value) => value > 0) ? "yes" : rates.length === 0 ? "plain" : "no";
  labels.forEach(({ what, plate, text }, place) => {
    const words = `${rate(rates[place])} ${what}/s`;
    if (text.textContent === words) return;
    text.textContent = words;
    const width = words.length * 6.4 + 8;
    plate.setAttribute("x", text.getAttribute("x") - width / 2);
    plate.setAttribute("y", text.getAttribute("y") - 12);
    plate.setAttribute("width", width);
    plate.setAttribute("height", 16);
  });
}

// The id of an actor's row.
export const rowId = (name) => `actor-${encodeURIComponent(name)}`;
