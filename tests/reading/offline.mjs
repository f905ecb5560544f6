// Reads the offline copy of the site from a disk, and prints what came of it as JSON: node offline.mjs CHROMIUM URL
// The address is that of the copy's start page, a file://. What it prints is judged by test_reading.py.
import puppeteer from "puppeteer-core";

const [executablePath, url] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
const done = { elsewhere: [], errors: [] };
const patience = { timeout: 60_000 };

try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.on("request", (request) => request.url().startsWith("http") && done.elsewhere.push(request.url()));
  page.on("pageerror", (error) => done.errors.push(String(error)));
  await page.setViewport({ width: 1280, height: 800 });
  await page.goto(url, { waitUntil: "networkidle0" });
  const title = () => page.$eval("h1", (heading) => heading.firstChild.textContent.trim());

  // The search leads to a page.
  await page.keyboard.press("/");
  await page.waitForFunction(() => document.activeElement.matches("[data-md-component=search-query]"), patience);
  await page.keyboard.type("hairpin");
  const result = await page.waitForSelector(".md-search-result__item a");
  await Promise.all([page.waitForNavigation(), result.evaluate((link) => link.click())]);
  done.searchLeadsTo = { url: page.url(), says: await page.$eval("article", (article) => article.innerText) };

  // So does the navigation, and from there back.
  const to = async (selector) => {
    await Promise.all([page.waitForNavigation(), page.$eval(selector, (link) => link.click())]);
    return title();
  };
  done.navigationLeadsTo = await to(".md-nav__link[href$='services-nodeport.html']");
  done.markLeadsTo = await to(".claim-why a[href*='proofs.html#']");
  done.logoLeadsTo = await to(".md-header .md-logo");
  console.log(JSON.stringify(done));
} finally {
  await browser.close();
}
