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
  await inspect("postgresql-down");
  await please("start postgresql");
  await page.locator("#picture .box[data-state=up] .title", { hasText: "PostgreSQL" }).waitFor();
  assert.deepEqual(errors, []);
  assert.deepEqual(elsewhere, []);

  // The node is gone: nothing is shown as if it were of now.
  await please("stop node");
  await page.locator("body[data-live=no]").waitFor();
  await page.locator("#live", { hasText: "Connection lost" }).waitFor();
  const states = await page.locator("#actor-table td[data-state]").evaluateAll((cells) => cells.map((cell) => cell.dataset.state));
  assert.ok(states.length >= 13 && states.every((state) => state === "unknown"), String(states));
  const figures = await page.locator("#actor-table td:not([data-state])").allTextContents();
  assert.ok(figures.every((figure) => figure === "–"), String(figures));
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
