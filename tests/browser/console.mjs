// Looks at the console as people do, in the distribution's chromium: tests/it/observe/browser.rs starts it beside a node and does
// what it asks for. Whatever is not as it should be ends it with 1.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const { CONSOLE_URL: url, CONSOLE_KEY: key, CONSOLE_MODULES: modules, CONSOLE_MARKUP: markup, CONSOLE_SCREENSHOTS: screenshots } = process.env;
const require = createRequire(join(modules, "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const DEADLINE = 60_000;
const WIDTHS = [390, 1280, 1600];
const THEMES = ["light", "dark"];
// No background connections: the test has none to anywhere.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function please(what) {
  console.log(`do ${what}`);
  assert.equal((await answers.next()).value, "done");
}

const profile = mkdtempSync(join(tmpdir(), "console-"));
const browser = await chromium.launchPersistentContext(profile, { executablePath: "/usr/bin/chromium", headless: true, args: FLAGS, deviceScaleFactor: 1 });
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(DEADLINE);

const errors = [];
const elsewhere = [];
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(String(error)));
browser.on("request", (request) => new URL(request.url()).origin !== url && elsewhere.push(request.url()));
page.on("dialog", (dialog) => errors.push(`a dialog: ${dialog.message()}`));

// In both themes and at each width: no violation of accessibility, nothing wider than the screen.
async function inspect(name) {
  console.log(`looking at ${name}`);
  for (const colorScheme of THEMES) {
    for (const width of WIDTHS) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: 900 });
      // The picture is drawn again with the next frame, which a busy machine's browser may leave out.
      await page.evaluate(() => new Promise((drawn) => {
        requestAnimationFrame(() => requestAnimationFrame(drawn));
        setTimeout(drawn, 1_000);
      }));
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
      const found = violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
      assert.deepEqual(found, [], `${name}, ${colorScheme}, ${width} px`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name}, ${width} px: ${wide} px wider than the screen`);
      if (!screenshots) continue;
      if (name === "console") await load();
      await page.screenshot({ path: join(screenshots, `${name}-${colorScheme}-${width}.png`), fullPage: true });
      // What docs/images has: the page down to its plots.
      if (width !== 1280 || name === "log-in") continue;
      const bottom = await page.evaluate(() => document.getElementById("plots").getBoundingClientRect().bottom + scrollY);
      await page.screenshot({ path: join(screenshots, `top-${name}-${colorScheme}.png`), fullPage: true, clip: { x: 0, y: 0, width, height: Math.ceil(bottom) + 12 } });
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

// A node at rest makes a dull picture.
async function load() {
  for (let times = 0; times < 40; times += 1) {
    await please("publish");
    if ((await page.locator(".arrow[data-flows=yes]").count()) > 8) return;
  }
}

const row = (name) => page.locator(`#actor-table tbody tr[data-key="${name}"]`);
const column = (title) => page.locator("#actor-table thead th").allTextContents().then((all) => all.indexOf(title));
const attention = (text) => page.locator("#attention li", { hasText: text }).first().waitFor();
const plot = (title, of = page) => of.locator("#plots li", { has: of.locator(".name", { hasText: new RegExp(`^${title}$`) }) });
const PLOTS = ["Received", "Accepted", "Rejected", "Rows stored", "Lines written", "In flight", "Lag", "Owed"];

// A cell of a table, by its row and the title of its column.
async function cell(table, key, title, of = page) {
  const titles = await of.locator(`#${table} thead th`).allTextContents();
  assert.ok(titles.includes(title), `${table} has no column ${title}: ${titles}`);
  return of.locator(`#${table} tbody tr[data-key="${key}"]`).locator("th, td").nth(titles.indexOf(title));
}

async function shows(table, key, title, text, of = page) {
  await (await cell(table, key, title, of)).filter({ hasText: text }).first().waitFor();
}

// What a healthy node does not have: the page gets one of its own snapshots with tenants that are owed points, lanes that are late or not
// known, and seconds of which nothing is known.
async function late() {
  const snapshot = await page.evaluate(async () => (await fetch("/actors")).json());
  const tenant = (name, lines, oldest, rate, eta) => ({ tenant: name, lines, oldest_seconds: oldest, lines_per_second: rate, eta_seconds: eta });
  const tenants = [tenant("acme", 1_200, 3_725, 7.5, 96), tenant(markup, 30, 0, null, null), tenant("%other", 4, 60, null, null)];
  snapshot.outbox = { lines: 1_234, oldest_seconds: 3_725, tenants, counted_seconds_ago: 0 };
  const lane = (consumer) => snapshot.lanes.find((one) => one.consumer === consumer);
  lane("ingest-workers").lag_seconds = 75;
  lane("ingest-shadow").lag_seconds = null;
  const fields = ["epoch_seconds", "received", "accepted", "rejected", "rows", "lines", "in_flight", "lag_seconds", "owed_lines"];
  const now = Date.parse(snapshot.as_of) / 1000;
  const point = (ago, lag, owed) => [now - ago, 1, 2, 3, 4, 5, 6, lag, owed];
  const history = { fields, points: [point(5, 70, 2_000), point(4, 71, 2_000), point(3, 72, null), point(2, 73, 1_500)], seconds: 300 };
  const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  const other = await browser.newPage();
  other.setDefaultTimeout(DEADLINE);
  other.on("pageerror", (error) => errors.push(String(error)));
  await other.route(/\/console\/events$/, (route) => route.fulfill({
    status: 200, contentType: "text/event-stream", body: "retry: 500\n\n" + event("history", history) + event("snapshot", { snapshot, point: point(0, null, 1_234) }),
  }));
  await other.goto(`${url}/console`);

  await shows("owed", "acme", "Lines", /^1,200$/, other);
  await shows("owed", "acme", "Oldest", /^1 h 2 min$/, other);
  await shows("owed", "acme", "Written later", /^7\.5\/s$/, other);
  await shows("owed", "acme", "Done in", /^1 min 36 s$/, other);
  await shows("owed", "%other", "Tenant", /^all others$/, other);
  await shows("owed", "%other", "Done in", /^–$/, other);
  // Names from outside are text.
  await other.locator("#owed th", { hasText: markup }).first().waitFor();
  assert.equal(await other.locator("img").count(), 0);
  assert.equal(await other.locator("#owed tbody tr").count(), tenants.length);
  await other.locator("#attention li", { hasText: "1,234 lines are owed to InfluxDB" }).waitFor();

  await shows("lanes", "ingest-workers", "Lag", /^1 min 15 s$/, other);
  await shows("lanes", "ingest-shadow", "Lag", /^–$/, other);
  await other.locator("#attention li", { hasText: "ingest-shadow: " }).first().waitFor();

  // The last value, the largest, and a line with a gap where a second is not known.
  await plot("Owed", other).locator(".value", { hasText: /^1,234$/ }).waitFor();
  await plot("Owed", other).getByText("at most 2,000").waitFor();
  const spoken = await plot("Owed", other).locator("svg").getAttribute("aria-label");
  assert.equal(spoken, "Owed over five minutes: now 1,234 lines, at most 2,000 lines");
  const pieces = async (title) => (await plot(title, other).locator("path.line").getAttribute("d")).split("M").length - 1;
  assert.deepEqual([await pieces("Owed"), await pieces("Received")], [2, 1]);
  await plot("Lag", other).locator(".value", { hasText: /^–$/ }).waitFor();
  await plot("Lag", other).getByText("at most 1 min 13 s").waitFor();
  await other.close();
}

async function main() {
  // The log-in.
  await page.goto(`${url}/console`);
  assert.equal(await page.title(), "Log in – ingest-node");
  await inspect("log-in");
  await page.getByLabel("Admin key").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("This is not the key.").waitFor();
  errors.length = 0; // a browser reports the 401 of the page itself
  await page.getByLabel("Admin key").fill(key);
  await page.keyboard.press("Enter");

  // Every actor, by its name.
  await page.locator("body[data-live=yes]").waitFor();
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  const weight = await page.evaluate(() => performance.getEntries().filter((of) => of.name.includes("/console") && !of.name.endsWith("/events")).reduce((all, of) => all + (of.transferSize ?? 0), 0));
  console.log(`first paint after ${Math.round(paint)} ms, ${weight} bytes`);
  assert.ok(weight < 100_000, `${weight} bytes`);
  await page.locator("#missing td", { hasText: /^No number is missing/ }).waitFor();
  await please("publish");
  await row("batcher-acme").waitFor();
  await attention("Nothing: all components work");
  const shown = await page.evaluate(async () => (await (await fetch("/actors")).json()).actors);
  assert.ok(shown.length >= 14);
  for (const { name, role } of shown) {
    assert.equal(await row(name).count(), 1, name);
    if (role !== "batcher") assert.equal(await page.locator(`#picture .box[data-role="${role}"][data-place=known]`).count(), 1, role);
  }
  assert.equal(await page.locator("#picture .box[data-place=below]").count(), 0);
  for (const title of ["Consumers", "Validators", "Registry", "Writer", "Publisher", "State writer", "Silence watcher", "Retention", "Router, batchers", "PostgreSQL", "InfluxDB"]) {
    assert.equal(await page.locator("#picture .title", { hasText: new RegExp(`^${title}$`) }).count(), 1, title);
  }
  // Names from outside are text.
  await page.locator("#rejected th", { hasText: markup }).waitFor();
  assert.equal(await page.locator("img").count(), 0);
  // Nobody is owed anything, no lane is late, and every plot has a line.
  await page.locator("#owed td", { hasText: /^Nothing\.$/ }).waitFor();
  for (const consumer of ["ingest-workers", "ingest-shadow", "ingest-commands"]) await shows("lanes", consumer, "Lag", /^\d/);
  assert.equal(await page.locator("#plots li").count(), PLOTS.length);
  for (const title of PLOTS) {
    await plot(title).locator(".value", { hasText: /^\d/ }).waitFor();
    await plot(title).locator('path.line[d^="M"]').waitFor({ state: "attached" });
  }
  await plot("Owed").locator(".value", { hasText: /^0$/ }).waitFor();
  await late();
  // Missing numbers, of whom, and what to type. They count as missing a second later, with what comes after them.
  const missing = page.locator('#missing tbody tr[data-key="globex"]');
  for (let times = 0; times < 60 && (await missing.count()) === 0; times += 1) {
    await please("publish");
    await missing.waitFor({ timeout: 1_000 }).catch(() => {});
  }
  await missing.locator("td").first().filter({ hasText: /^[1-9]/ }).waitFor();
  await page.locator("#devices td", { hasText: /^ingest-node explain --tenant=globex --device=dev-1$/ }).first().waitFor();
  const words = await page.evaluate(async () => (await import("/console/text.js")).word("a b'; rm"));
  assert.equal(words, "'a b'\\''; rm'");
  // A plot of one second is a dull picture.
  for (let times = 0; screenshots && times < 40; times += 1) {
    await please("publish");
    await page.waitForTimeout(250 + 200 * Math.sin(times / 4));
  }
  await inspect("console");

  // With the keyboard alone: from the skip link to the actors, and from a box to its row.
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the actors");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => location.hash), "#actors");
  await page.locator('#picture a[href="#actor-writer"]').focus();
  await page.keyboard.press("Enter");
  await page.locator("#actor-table tr:target", { hasText: "writer" }).waitFor();

  // A killed actor.
  await please("kill");
  const began = Date.now();
  await row("publisher").locator("td").nth((await column("Restarts")) - 1).filter({ hasText: /^1$/ }).waitFor();
  console.log(`the restart showed after ${Date.now() - began} ms`);
  await row("publisher").getByText(/panicked, .* ago/).waitFor();
  await attention("publisher panicked; 1 restart in all");
  await row("publisher").getByText("running").waitFor();

  // A server that is away: named, in the list and in the picture.
  await please("stop postgresql");
  await attention("postgres is down");
  await page.locator("#picture .box[data-state=down] .title", { hasText: "PostgreSQL" }).waitFor();
  await page.locator("#state", { hasText: "not ready" }).waitFor();
  // What is published now waits: the lane and its plot say for how long.
  await please("publish");
  await shows("lanes", "ingest-workers", "Lag", /^([1-9]|0\.\d)/);
  await plot("Lag").locator(".value", { hasText: /^([1-9]|0\.\d)/ }).waitFor();
  await inspect("postgresql-down");
  await please("start postgresql");
  await page.locator("#picture .box[data-state=up] .title", { hasText: "PostgreSQL" }).waitFor();
  await shows("lanes", "ingest-workers", "Lag", /^0 s$/);
  assert.deepEqual(errors, []);
  assert.deepEqual(elsewhere, []);

  // The node is gone: nothing is shown as if it were of now.
  await please("stop node");
  await page.locator("body[data-live=no]").waitFor();
  await page.locator("#live", { hasText: "Connection lost" }).waitFor();
  const states = await page.locator("#actor-table td[data-state]").evaluateAll((cells) => cells.map((cell) => cell.dataset.state));
  assert.ok(states.length >= 13 && states.every((state) => state === "unknown"), String(states));
  const cells = await page.locator("#actor-table td:not([data-state])").allTextContents();
  assert.ok(cells.every((figure) => figure === "–"), String(cells));
  await page.locator("#owed td", { hasText: /^Not known\.$/ }).waitFor();
  await shows("lanes", "ingest-workers", "Lag", /^–$/);
  const last = await page.locator("#plots .value").allTextContents();
  assert.ok(last.length === PLOTS.length && last.every((value) => value === "–"), String(last));
  await inspect("lost");
  assert.deepEqual(elsewhere, []);
  console.log("all of it holds");
}

try {
  await main();
} catch (error) {
  console.log(String(error.stack ?? error));
  if (screenshots) await page.screenshot({ path: join(screenshots, "failed.png"), fullPage: true }).catch(() => {});
  console.log(`errors of the page: ${JSON.stringify(errors)}`);
  process.exitCode = 1;
} finally {
  // A browser that does not end by itself ends with this program.
  await Promise.race([browser.close(), new Promise((late) => setTimeout(late, 10_000))]);
  rmSync(profile, { recursive: true, force: true });
  process.exit();
}
