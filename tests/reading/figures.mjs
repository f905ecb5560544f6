// Does with figures what readers do, and prints what came of it: node figures.mjs CHROMIUM SITE PATH#ID…
// One line of JSON for each figure. What it finds is judged by test_figures.py.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const [executablePath, site, ...places] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"], protocolTimeout: 600_000 });
const patience = { timeout: 120_000, polling: 100 };

const open = async (path, { width = 1280, features = [], scripts = true, without = "", errors = [] } = {}) => {
  const page = await browser.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.setDefaultTimeout(120_000);
  await page.setJavaScriptEnabled(scripts);
  if (without) {
    await page.setRequestInterception(true);
    page.on("request", (request) => (request.url().endsWith(without) ? request.abort() : request.continue()));
  }
  await page.emulateMediaFeatures(features);
  await page.setViewport({ width, height: 900 });
  await page.goto(`${site}/${path}`, { waitUntil: "load" });
  return page;
};

const findings = async (page, id) => {
  const { violations } = await page.evaluate((id) => axe.run(`#${id}`, { resultTypes: ["violations"] }), id);
  return violations.flatMap(({ id: rule, nodes }) => nodes.map(({ target, any }) => `${rule}: ${target} ${any.map(({ message }) => message)}`));
};

const use = async (place) => {
  const [path, id] = place.split("#");
  const done = { place, errors: [] };
  const { errors } = done;
  const page = await open(path, { errors });
  const ready = async (page) => {
    await page.$eval(`#${id}`, (element) => element.scrollIntoView()); // scripts come when a figure is near
    await page.waitForSelector(`#${id}.figure-live`, patience);
  };
  await ready(page);
  const inside = (selector) => `#${id} ${selector}`;
  const text = (selector) => page.$eval(inside(selector), (element) => element.textContent);
  const height = (page) => page.$eval(`#${id}`, (element) => element.getBoundingClientRect().height);
  const focused = () => page.evaluate(() => document.activeElement.classList[0]); // the theme adds another

  // By keyboard: from what stands before the figure to the first answer, Enter, then on by arrows.
  await page.$eval(`#${id}`, (element) => {
    element.scrollIntoView();
    element.tabIndex = -1;
    element.focus();
  });
  done.height = [await height(page)];
  done.playsBefore = await page.$eval(inside(".figure-play"), (element) => element.checkVisibility({ visibilityProperty: true }));
  await page.evaluate(axe);
  done.axe = await findings(page, id);
  for (let presses = 0; presses < 20 && (await focused()) !== "figure-option"; presses++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  done.focus = await focused();
  done.said = [await text(".figure-said")];
  const drawing = () => page.$eval(inside(".figure-now"), (element) => element.innerHTML);
  done.drawn = [await drawing()];
  const steps = await page.$$eval(inside(".figure-all li"), (items) => items.length);
  for (let step = 0; step < steps; step++) {
    await page.keyboard.press("ArrowRight");
    done.said.push(await text(".figure-said"));
    done.drawn.push(await drawing());
    done.height.push(await height(page));
  }
  await page.keyboard.press("Home");
  done.atHome = await text(".figure-said");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft");
  done.back = await text(".figure-said");
  done.axe.push(...(await findings(page, id)));

  // Play, twice as fast, until the first step is over; then pause.
  await page.select(inside(".figure-speed"), "2");
  await page.focus(inside(".figure-play"));
  await page.keyboard.press("Enter");
  done.whilePlaying = await text(".figure-play");
  await page.waitForFunction((selector) => !document.querySelector(selector).textContent.startsWith("Step 1 "), patience, inside(".figure-count"));
  await page.keyboard.press("Enter");
  done.paused = await text(".figure-play");

  // Each choice can be predicted again, and has a drawing; a figure without choices has one question.
  done.choices = await page.$eval(`#${id}`, (figure) => {
    const shows = (selector) => figure.querySelector(selector).checkVisibility({ visibilityProperty: true }); // what is hidden keeps its room
    return (figure.querySelectorAll(".figure-choice input").length ? [...figure.querySelectorAll(".figure-choice input")] : [figure]).map((choice) => {
      choice.click();
      const isFirst = shows(".figure-question");
      if (isFirst) figure.querySelector(".figure-option").click();
      const isPredicted = shows(".figure-player") && !shows(".figure-question");
      figure.querySelector(".figure-again").click();
      return { isPredicted, isAskedAgain: shows(".figure-question"), draws: figure.querySelector(".figure-now").children.length };
    });
  });

  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await page.waitForSelector("[data-md-color-scheme=slate]", patience);
  done.axe.push(...(await findings(page, id)));

  // On paper: the still and the words, and nothing to press.
  await page.emulateMediaType("print");
  done.onPaper = await page.$$eval(inside(".figure-still, .figure-now, .figure-panel, .figure-choices, figcaption, .figure-all li"), (elements) => [
    ...new Set(elements.filter((element) => element.checkVisibility({ visibilityProperty: true })).map((element) => element.getAttribute("class") ?? element.localName)),
  ]);
  await page.close();

  // Steps move things, but not for somebody to whom that is a trouble.
  for (const [name, value] of [["moves", "no-preference"], ["movesWhenCalm", "reduce"]]) {
    const page = await open(path, { features: [{ name: "prefers-reduced-motion", value }], errors });
    await ready(page);
    done[name] = await page.$eval(`#${id}`, (figure) => {
      figure.querySelector(".figure-option").click();
      let moves = 0;
      for (let step = 0; step < figure.steps.length; step++) {
        figure.querySelector(".figure-on").click();
        moves += figure.getAnimations({ subtree: true }).length;
      }
      return moves;
    });
    await page.close();
  }

  // A small phone, and what moves while the page comes.
  const phone = await open(path, { width: 320 });
  await ready(phone);
  await phone.$eval(`#${id}`, (element) => element.scrollIntoView());
  done.tooWide = await phone.$$eval(inside("*"), (elements) =>
    elements.filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1 && !element.closest("svg, .figure-said")).map((element) => element.className),
  );
  done.smallest = await phone.$eval(inside(".figure-now"), (drawing) =>
    Math.min(...[...drawing.querySelectorAll("text")].map((text) => parseFloat(getComputedStyle(text).fontSize) * drawing.getScreenCTM().a)),
  );
  await phone.close();

  // Before its scripts have come it is as high as afterwards: what is below does not move.
  for (const width of [390, 1280]) {
    const heights = [];
    for (const without of ["/figures.js", ""]) {
      const page = await open(path, { width, without });
      if (!without) await ready(page);
      heights.push(await height(page));
      await page.close();
    }
    done[`heights${width}`] = heights;
  }

  const plain = await open(path, { scripts: false });
  done.withoutScripts = await plain.$$eval(inside(".figure-still, .figure-panel, .figure-all li"), (elements) => [
    ...new Set(elements.filter((element) => element.checkVisibility({ visibilityProperty: true })).map((element) => element.getAttribute("class") ?? element.localName)),
  ]);
  await plain.close();
  return done;
};

try {
  for (const place of places) console.log(JSON.stringify(await use(place)));
} finally {
  await browser.close();
}
