// Opens each page of a site as readers do, and prints what is wrong with it: node survey.mjs CHROMIUM URL PATH…
// One line of JSON for each page. What it finds is judged by test_reading.py.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const [executablePath, site, ...paths] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"], protocolTimeout: 600_000 });

// Colours are all that differs between the schemes.
const COLOURS = { runOnly: ["color-contrast", "link-in-text-block"] };

const findings = async (page, options) => {
  const { violations } = await page.evaluate((options) => axe.run(document, { resultTypes: ["violations"], ...options }), options);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, any, all, none }) => `${id}: ${target} ${[...any, ...all, ...none].map(({ message }) => message)}`),
  );
};

const survey = async (path) => {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  const elsewhere = [];
  const errors = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.origin !== site) elsewhere.push(request.url());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  await page.setViewport({ width: 1280, height: 800 });
  await page.goto(`${site}/${path}`, { waitUntil: "load" });
  await page.evaluate(() => window.scripted);
  // What lies outside of the screen is looked at too, and nothing is caught in the middle of a change.
  await page.addStyleTag({ content: "* { content-visibility: visible !important; transition: none !important; }" });
  await page.evaluate(axe);
  const light = await findings(page, {});
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await page.waitForSelector("[data-md-color-scheme=slate]");
  const dark = await findings(page, COLOURS);
  const tooWide = {};
  for (const width of [320, 640]) { // a small phone; a window of 1280 pixels, enlarged to 200 %
    await page.setViewport({ width, height: 640 });
    tooWide[width] = await page.evaluate(() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth);
  }
  const cookies = (await page.cookies()).map(({ name }) => name);
  await page.close();
  return { path, elsewhere, errors, light, dark, tooWide, cookies };
};

try {
  for (const path of paths) console.log(JSON.stringify(await survey(path)));
} finally {
  await browser.close();
}
