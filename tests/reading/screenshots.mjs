// Takes pictures of pages at the widths of a phone, a tablet and a desk, in both colour schemes:
// node screenshots.mjs CHROMIUM URL FOLDER PATH…
import puppeteer from "puppeteer-core";

const [executablePath, site, folder, ...paths] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  await page.goto(site, { waitUntil: "networkidle0" }); // from here on the typefaces are at hand
  for (const path of paths)
    for (const scheme of ["light", "dark"])
      for (const width of [390, 768, 1280]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await page.setViewport({ width, height: 1600 });
        await page.goto(`${site}/${path}`, { waitUntil: "networkidle0" });
        const name = path.replaceAll("/", "-") || "start-";
        await page.screenshot({ path: `${folder}/${name}${width}-${scheme}.png` });
      }
} finally {
  await browser.close();
}
