// Small plots of the last five minutes. A gap is a second that nothing is known of.

import { UNKNOWN, count, element, rate, span, write } from "./text.js";

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 64;

const PLOTS = [
  ["received", "Received", "messages/s", rate],
  ["accepted", "Accepted", "messages/s", rate],
  ["rejected", "Rejected", "messages/s", rate],
  ["rows", "Rows stored", "rows/s", rate],
  ["lines", "Lines written", "lines/s", rate],
  ["in_flight", "In flight", "messages", count],
  ["lag_seconds", "Lag", "", span],
  ["owed_lines", "Owed", "lines", count],
];

export class Plots {
  constructor(list) {
    this.fields = [];
    this.points = [];
    this.seconds = 300;
    this.plots = PLOTS.map(([field, title, unit, format]) => {
      const item = element("li", null, { class: "plot" });
      const value = element("span", UNKNOWN, { class: "value" });
      const head = element("p", null, { class: "plot-head" });
      head.append(element("span", title, { class: "name" }), value, element("span", unit, { class: "unit" }));
      const svg = document.createElementNS(NS, "svg");
      svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("role", "img");
      const [area, line] = ["area", "line"].map((name) => {
        const path = document.createElementNS(NS, "path");
        path.setAttribute("class", name);
        svg.append(path);
        return path;
      });
      const foot = element("p", null, { class: "plot-foot" });
      const most = element("span", "");
      foot.append(element("span", "5 min ago"), most, element("span", "now"));
      item.append(head, svg, foot);
      list.append(item);
      return { field, title, unit, format, value, svg, area, line, most };
    });
  }

  begin({ fields, points, seconds }) {
    [this.fields, this.points, this.seconds] = [fields, points, seconds];
  }

  // A point, or null where the connection is lost: then the last value is not shown as if it were one of now.
  add(point) {
    if (point) {
      // A snapshot out of turn has the figures of the last second again.
      if (!this.last || point[0] - this.last[0] > 0.5) this.points.push(point);
      this.last = [point[0], performance.now()];
    }
    if (!this.last) return;
    // By the node's clock, which need not be this machine's.
    const now = this.last[0] + (performance.now() - this.last[1]) / 1_000;
    while (this.points.length > 0 && this.points[0][0] < now - this.seconds) this.points.shift();
    for (const plot of this.plots) this.draw(plot, now, point);
  }

  draw({ field, title, unit, format, value, svg, area, line, most }, now, last) {
    const at = this.fields.indexOf(field);
    const values = this.points.map((point) => point[at]).filter((known) => known !== null && known !== undefined);
    const top = Math.max(1, ...values);
    const x = (time) => (WIDTH * (1 - (now - time) / this.seconds)).toFixed(1);
    const y = (known) => (HEIGHT - 2 - (HEIGHT - 6) * (known / top)).toFixed(1);
    let [stroke, fill, run, before] = ["", "", [], null];
    const end = () => {
      if (run.length === 0) return;
      stroke += `M${run.map(([time, known]) => `${x(time)} ${y(known)}`).join("L")}`;
      fill += `M${x(run[0][0])} ${HEIGHT}L${run.map(([time, known]) => `${x(time)} ${y(known)}`).join("L")}L${x(run.at(-1)[0])} ${HEIGHT}Z`;
      run = [];
    };
    for (const point of this.points) {
      const known = point[at];
      if (known === null || known === undefined || (before !== null && point[0] - before > 3)) end();
      if (known !== null && known !== undefined) run.push([point[0], known]);
      before = point[0];
    }
    end();
    line.setAttribute("d", stroke);
    area.setAttribute("d", fill);
    const current = format(last ? last[at] : null);
    const peak = values.length > 0 ? format(Math.max(...values)) : UNKNOWN;
    write(value, current);
    write(most, `at most ${peak}`);
    const spoken = current === UNKNOWN ? "not known" : `${current} ${unit}`;
    svg.setAttribute("aria-label", `${title} over five minutes: now ${spoken}, at most ${peak} ${unit}`.trim());
  }
}
