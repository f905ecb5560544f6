// Runs blocks of a page in Firefox, as a reader does under ./dev serve: node live.mjs FIREFOX URL KEY
// One line of JSON with what was seen. What it should be is said by tests/test_live.py.
import puppeteer from "puppeteer-core";

const [executablePath, url, key] = process.argv.slice(2);
const browser = await puppeteer.launch({ browser: "firefox", executablePath, protocolTimeout: 600_000 });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`${url}#token=${key}`);
  const code = (number) => page.waitForSelector(`[role=textbox][aria-label^="Block ${number},"]`);
  const status = (number, text) =>
    page.waitForFunction((number, text) => document.querySelectorAll(".highlight + .live-bar .live-status")[number - 1].textContent.includes(text), {}, number, text);
  const output = (number) => page.$eval(`[role=log][aria-label="Output of block ${number}"]`, (element) => element.textContent);
  const replace = async (number, keys) => {
    const block = await code(number);
    await block.focus();
    await page.keyboard.down("Control");
    await page.keyboard.press("a");
    await page.keyboard.up("Control");
    for (const each of keys) await (each === "\n" ? page.keyboard.press("Enter") : page.keyboard.type(each));
  };
  const run = async () => {
    await page.keyboard.down("Shift");
    await page.keyboard.press("Enter");
    await page.keyboard.up("Shift");
  };
  const seen = {};

  await (await code(1)).focus();
  await run();
  await status(1, "Done.");
  seen.first = await output(1);

  await replace(1, ["x = 6", "\n", "print(x / (x - 6))"]);
  seen.edited = await (await code(1)).evaluate((element) => element.textContent);
  await run();
  await status(1, "It ended with an error.");
  seen.error = await output(1);
  seen.marked = await page.evaluate(() => [...CSS.highlights.get("live-error")].map(String));
  seen.numbers = await page.evaluate(() => [...CSS.highlights.get("live-number")].map(String));

  await replace(1, ["import time; print('begins'); time.sleep(1000)"]);
  await run();
  await page.waitForFunction(() => document.querySelector(".live-output").textContent.includes("begins"));
  await page.click('[aria-label="Stop block 1"]');
  await status(1, "Stopped.");

  await page.click(".live-panel summary");
  await page.click(".live-panel button");
  await page.waitForFunction(() => document.querySelector(".live-panel").textContent.includes("As new"));
  console.log(JSON.stringify({ ...seen, errors }));
} finally {
  await browser.close();
}
