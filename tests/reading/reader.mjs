// Does on a page what readers do, and prints what came of it as JSON: node reader.mjs CHROMIUM URL OF A PAGE
// The page has marks, tabs and console snippets. What it prints is judged by test_reading.py.
import puppeteer from "puppeteer-core";

const [executablePath, url] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
const done = {};
const patience = { timeout: 60_000 };

const pressTabUntil = async (page, selector) => {
  for (let presses = 0; presses < 400; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return true;
  }
  return false;
};

try {
  const context = browser.defaultBrowserContext();
  await context.overridePermissions(new URL(url).origin, ["clipboard-read", "clipboard-write"]);
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.setViewport({ width: 1280, height: 800 });
  await page.goto(url, { waitUntil: "networkidle0" });

  const isIndex = (url) => url.endsWith("/search/search_index.json");
  done.indexBeforeSearch = requests.filter(isIndex).length;

  // A mark: Tab leads to it and opens what it says, Escape closes that.
  done.tabLeadsToMark = await pressTabUntil(page, ".claim > button");
  const said = ".claim:focus-within > .claim-why";
  await page.waitForFunction((said) => getComputedStyle(document.querySelector(said)).visibility === "visible", patience, said);
  await page.keyboard.press("Escape");
  await page.waitForFunction((said) => getComputedStyle(document.querySelector(said)).visibility === "hidden", patience, said);
  done.escapeClosesMark = true;

  // Tabs: Tab leads to them, an arrow chooses the next.
  done.tabLeadsToTabs = await pressTabUntil(page, ".tabbed-set > input");
  const chosen = () => page.evaluate(() => [...document.activeElement.parentElement.children].indexOf(document.activeElement));
  const before = await chosen();
  await page.keyboard.press("ArrowRight");
  done.arrowChoosesTab = (await chosen()) === before + 1 && (await page.evaluate(() => document.activeElement.checked));

  // What the copy button takes: what is typed, without prompts and output.
  const block = await page.$(".language-console.highlight:has(.go)");
  await block.evaluate((element) => element.scrollIntoView());
  const button = await block.waitForSelector("[data-md-type=copy], .md-clipboard", patience);
  done.inBlock = await block.evaluate((element) => element.innerText);
  await button.evaluate((element) => element.click());
  done.copied = await page.evaluate(() => navigator.clipboard.readText());

  // The search: its index comes when it is wanted. Slash leads to it, arrows and Enter to a result.
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("/");
  await page.waitForFunction(() => document.activeElement.matches("[data-md-component=search-query]"), patience);
  await page.keyboard.type("nodeport");
  await page.waitForSelector(".md-search-result__item a", patience);
  done.indexForSearch = requests.filter(isIndex).length;
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => document.activeElement.matches(".md-search-result__link"), patience);
  const result = await page.evaluate(() => document.activeElement.href);
  await page.keyboard.press("Enter");
  await page.waitForFunction((result) => location.pathname === new URL(result).pathname, patience, result);
  done.enterLeadsToResult = true;

  // The contents lead to their headings, of a long page of which nothing but the top has been laid out.
  // The page stays as it is, with what a reader has done on it.
  done.fromTop = {};
  done.staysAsItIs = [];
  for (const link of [3, 5, 9]) {
    await page.goto(new URL("../services-nodeport/", url).href, { waitUntil: "networkidle0" });
    await page.evaluate(() => window.scripted);
    const [place, top, stays] = await page.evaluate(async (number) => {
      const article = document.querySelector("article");
      const link = document.querySelectorAll(".md-sidebar--secondary a.md-nav__link")[number];
      link.click();
      for (let frames = 0; frames < 30; frames++) await new Promise(requestAnimationFrame);
      return [link.hash, document.getElementById(link.hash.slice(1)).getBoundingClientRect().top, article.isConnected];
    }, link);
    done.fromTop[place] = top;
    done.staysAsItIs.push(stays);
  }

  // So does the address of a place, and a link to one on another page. Who comes back finds what they had before them.
  const far = new URL("../services-nodeport/#when-something-dies", url);
  const topOf = (place) =>
    page.evaluate(async (place) => {
      for (let frames = 0; frames < 30; frames++) await new Promise(requestAnimationFrame);
      return document.querySelector(place).getBoundingClientRect().top;
    }, place);
  await page.goto(url, { waitUntil: "networkidle0" }); // from the same page a place would be reached without loading it
  await page.goto(far.href, { waitUntil: "networkidle0" });
  done.fromTop["by its address"] = await topOf(far.hash);
  await page.goto(url, { waitUntil: "networkidle0" });
  await page.evaluate((href) => {
    const link = Object.assign(document.createElement("a"), { href });
    document.querySelector("article").append(link);
    link.click();
  }, far.href);
  await page.waitForFunction((hash) => document.querySelector(hash), patience, far.hash);
  done.fromTop["from another page"] = await topOf(far.hash);
  await page.goto(far.href.replace(far.hash, ""), { waitUntil: "networkidle0" });
  await page.waitForFunction(() => !document.querySelector("[data-part]"), patience);
  await page.$eval(far.hash, (heading) => heading.scrollIntoView({ block: "center" }));
  done.beforeLeaving = await topOf(far.hash);
  await page.$eval(".md-footer__link--next", (link) => link.click());
  await page.waitForFunction((hash) => !document.querySelector(hash), patience, far.hash);
  await page.goBack();
  await page.waitForFunction((hash) => document.querySelector(hash), patience, far.hash);
  done.afterComingBack = await topOf(far.hash);

  // Soon all of a page is laid out: what is not is cut off at its edges.
  await page.goto(far.href.replace(far.hash, ""), { waitUntil: "load" });
  done.partsAtFirst = (await page.$$("[data-part]")).length;
  await page.waitForFunction(() => !document.querySelector("[data-part]"), patience);
  done.partsInTheEnd = (await page.$$("[data-part]")).length;

  // Colours: the system's at first, and those that a reader chooses from then on.
  const colours = () => page.evaluate(() => [document.body.dataset.mdColorScheme, document.querySelector("[name=color-scheme]").content]);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await page.goto(url, { waitUntil: "load" });
  done.coloursOfSystem = [await colours()];
  await page.evaluate(() => window.scripted);
  done.coloursOfSystem.push(await colours());
  await page.$eval("[data-md-component=palette] label:not([hidden])", (label) => label.click());
  done.coloursChosen = [await colours()];
  await page.reload({ waitUntil: "load" });
  await page.evaluate(() => window.scripted);
  done.coloursChosen.push(await colours());
  await page.evaluate(() => localStorage.clear());
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);

  // Tabs for readers of Python and of kubectl: who chooses one has chosen in all, and the copy button takes all lines of a
  // command. A link to a snippet in the other tab leads to it.
  const twoWays = new URL("../services-nodeport/", url).href;
  const seenTabs = (seen = page) =>
    seen.$$eval(".tabbed-block", (tabs) => tabs.filter((tab) => tab.checkVisibility()).map((tab) =>
      tab.closest(".tabbed-set").querySelectorAll(".tabbed-labels > label")[[...tab.parentElement.children].indexOf(tab)].textContent));
  await page.goto(twoWays, { waitUntil: "networkidle0" });
  await page.focus(".tabbed-set > input");
  await page.keyboard.press("ArrowRight");
  done.tabsChosen = await seenTabs();
  await page.goto(twoWays, { waitUntil: "networkidle0" });
  done.tabsRemembered = await seenTabs();
  const hasty = await (await browser.createBrowserContext()).newPage();
  hasty.setDefaultTimeout(120_000);
  await hasty.setRequestInterception(true);
  const theme = new Promise((resolve) =>
    hasty.on("request", (request) => (/\/javascripts\/bundle\./.test(request.url()) ? resolve(request) : request.continue())));
  await hasty.goto(twoWays, { waitUntil: "domcontentloaded" });
  const held = await theme;
  await hasty.$eval(".tabbed-set > input:not(:checked)", (input) => input.click());
  done.tabsBeforeScripts = await seenTabs(hasty);
  await held.continue();
  await hasty.waitForFunction(() => ![...document.querySelectorAll(".tabbed-set > input:first-child")].some((input) => input.checked), patience);
  done.tabsChosenEarly = await seenTabs(hasty);
  await hasty.close();
  const loop = await page.evaluateHandle(() =>
    [...document.querySelectorAll(".client-kubectl")].find((block) => block.textContent.includes("\n> done")));
  await loop.evaluate((element) => element.scrollIntoView());
  await (await loop.waitForSelector("[data-md-type=copy]", patience)).evaluate((element) => element.click());
  done.copiedLoop = await page.evaluate(() => navigator.clipboard.readText());
  // Annotations of code: Tab leads to their numbers, Enter to what is said. Numbers are not copied.
  const numbered = await page.waitForSelector(".highlight:has(.code-note)", patience);
  await numbered.evaluate((element) => element.scrollIntoView());
  await (await numbered.waitForSelector("[data-md-type=copy]", patience)).evaluate((element) => element.click());
  done.copiedAnnotated = await page.evaluate(() => navigator.clipboard.readText());
  await page.focus(".code-note");
  await page.keyboard.press("Tab");
  done.annotation = await page.evaluate(() => document.activeElement.matches(".code-note") && document.activeElement.ariaLabel);
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".code-notes > li:nth-child(2)").matches(":target"), patience);
  done.annotationIsSeen = await page.$eval(".code-notes > li:target", (item) => {
    const { top, bottom } = item.getBoundingClientRect();
    return top > 48 && bottom < innerHeight;
  });
  const comesToOtherTab = () =>
    page.waitForFunction(() => {
      const place = document.querySelector("#shows-nodeport-every-node");
      const { top } = place.getBoundingClientRect();
      return place.checkVisibility() && top >= 0 && top < innerHeight;
    }, patience);
  const isHidden = () => page.$eval("#shows-nodeport-every-node", (place) => !place.checkVisibility());
  done.otherTabIsHidden = await isHidden();
  await page.evaluate(() => {
    const link = Object.assign(document.createElement("a"), { href: "#shows-nodeport-every-node" });
    document.querySelector("article").append(link);
    link.click();
  });
  await comesToOtherTab();
  await page.goto(twoWays, { waitUntil: "networkidle0" });
  await page.focus(".tabbed-set > input:checked");
  await page.keyboard.press("ArrowRight");
  done.otherTabIsHidden &&= await isHidden();
  await page.goto(url, { waitUntil: "load" });
  await page.goto(`${twoWays}#shows-nodeport-every-node`, { waitUntil: "networkidle0" });
  await comesToOtherTab();
  done.placeInOtherTab = true;

  // The same without scripts, and on paper.
  await page.setJavaScriptEnabled(false);
  await page.goto(twoWays, { waitUntil: "load" });
  await page.click(".tabbed-labels > label:nth-child(2)");
  done.firstTabWithoutScripts = (await seenTabs())[0];
  await page.emulateMediaType("print");
  done.tabsOnPaper = await page.$$eval(".tabbed-set", (sets) =>
    sets.map((set) =>
      [...set.querySelectorAll(":scope > .tabbed-labels > label, :scope > .tabbed-content > .tabbed-block")]
        .map((each) => [each.getBoundingClientRect().top, each.matches("label") ? each.innerText : "what it has", each.checkVisibility()])
        .filter(([, , isSeen]) => isSeen)
        .sort(([top], [other]) => top - other)
        .map(([, what]) => what),
    ),
  );
  done.annotationsOnPaper = await page.$$eval(".code-notes > li", (items) => items.filter((item) => item.checkVisibility()).length);
  await page.emulateMediaType("screen");
  await page.setJavaScriptEnabled(true);

  // On a phone with a keyboard: what has the focus is on the screen, also in the navigation, which is a drawer there.
  await page.setViewport({ width: 390, height: 800 });
  await page.goto(url, { waitUntil: "load" });
  await page.evaluate(() => window.scripted);
  await page.addStyleTag({ content: "* { transition: none !important; }" });
  done.focusedOnPhone = [];
  for (let presses = 0; presses < 25; presses++) {
    await page.keyboard.press("Tab");
    done.focusedOnPhone.push(
      await page.evaluate(() => {
        const { x, right } = document.activeElement.getBoundingClientRect();
        return { name: document.activeElement.textContent.trim(), inNavigation: Boolean(document.activeElement.closest(".md-nav")),
                 hasOutline: getComputedStyle(document.activeElement).outlineStyle !== "none",
                 isSeen: x >= 0 && right <= innerWidth && document.activeElement.checkVisibility({ opacityProperty: true }) };
      }),
    );
  }

  // One of the page's scripts is blocked: the search works all the same, and so do the others. Without the theme's own
  // script the page still answers.
  const blocked = async (pattern, act) => {
    const other = await browser.newPage();
    other.setDefaultTimeout(120_000);
    await other.setRequestInterception(true);
    other.on("request", (request) => (pattern.test(request.url()) ? request.abort() : request.continue()));
    await other.goto(url, { waitUntil: "load" });
    await other.evaluate(() => window.scripted);
    const found = await act(other);
    await other.close();
    return found;
  };
  done.searchWithoutQuizScript = await blocked(/\/assets\/quiz\.js/, async (other) => {
    await other.focus("[data-md-component=search-query]");
    await other.keyboard.type("nodeport");
    return Boolean(await other.waitForSelector(".md-search-result__item a", patience));
  });
  done.opensWithoutTheme = await blocked(/\/javascripts\/bundle\./, (other) =>
    other.evaluate(() => new Promise((opened) => window.document$.subscribe(() => setTimeout(() => opened(true))))),
  );

  // On paper.
  await page.setViewport({ width: 1280, height: 800 });
  await page.goto(url, { waitUntil: "load" });
  await page.emulateMediaType("print");
  done.onPaper = await page.evaluate((selectors) => {
    const shows = (selector) => [...document.querySelectorAll(selector)].some((element) => element.checkVisibility());
    return Object.fromEntries(selectors.map((selector) => [selector, shows(selector)]));
  }, [".md-header", ".md-sidebar", ".md-footer", ".md-path", ".md-tags", ".md-content__button", ".md-code__nav", ".claim", "article h1", "article pre"]);
  await page.setViewport({ width: 700, height: 1000 }); // A4 between its margins
  done.cutOnPaper = await page.$$eval("article pre > code", (codes) =>
    codes.filter((code) => code.scrollWidth > code.clientWidth).map((code) => code.innerText),
  );
  console.log(JSON.stringify(done));
} finally {
  await browser.close();
}
