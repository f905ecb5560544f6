// Makes the blocks of a page run: each gets its buttons, and what it prints is shown under it.
//
// A page has one session, a kernel of Jupyter's, as long as `./dev serve` runs. The code goes there by Jupyter's
// protocol, by JupyterLab's own client for it. What comes back is shown as text and never as HTML.

import { ServerConnection } from "@jupyterlab/services/lib/serverconnection.js";
import { KernelConnection } from "@jupyterlab/services/lib/kernel/default.js";
import { Panel } from "./panel.js";

const KEY = "live-token";
const NO_KEY = "Open the address that ./dev serve has printed: it has the key by which blocks run.";
const ENDED = "The cluster has ended. The next block that you run starts a new one, in about 6 seconds; begin at the top.";

document.documentElement.dataset.live = "";

// The key comes in the address once, and is kept for this address alone. It is in no request but the page's own.
const inAddress = /^#token=([\w-]+)$/.exec(location.hash);
if (inAddress) {
  localStorage.setItem(KEY, inAddress[1]);
  history.replaceState(null, "", location.pathname + location.search);
}

const base = `${location.origin}/live/`;
const settings = () =>
  ServerConnection.makeSettings({
    baseUrl: base,
    wsUrl: base.replace(/^http/, "ws"),
    token: localStorage.getItem(KEY) ?? "",
    appendToken: true,
  });

async function ask(method, page) {
  const url = `${base}api/page?page=${encodeURIComponent(page)}`;
  const answer = await ServerConnection.makeRequest(url, { method }, settings());
  if (answer.status === 403) throw new Error(NO_KEY);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  return said;
}

class Page {
  constructor(path, blocks) {
    this.path = path;
    this.kernel = null;
    this.running = null;
    this.stopped = false;
    this.blocks = blocks.map((element, index) => new Block(this, element, index + 1));
    this.panel = new Panel(() => this.reset());
    this.watch();
  }

  // The kernel, begun with the first block that is run.
  async begin(block) {
    if (this.kernel && !this.kernel.isDisposed) return;
    block.say("Getting ready…");
    const session = await ask("POST", this.path);
    this.setMode(session.mode);
    this.kernel = new KernelConnection({ model: { id: session.kernel, name: "page" }, serverSettings: settings() });
    this.kernel.statusChanged.connect((kernel, status) => {
      if (status === "dead" || status === "autorestarting") this.lose("Python has ended. Run the page from the top again.");
    });
  }

  async run(blocks) {
    if (this.running) return;
    this.stopped = false;
    document.documentElement.dataset.liveRunning = "";
    try {
      for (const block of blocks) {
        this.running = block;
        block.begin();
        const isFine = await new Promise((resolve) => {
          let isOver = false;
          const giveUp = (why) => {
            if (isOver) return; // what comes then is only that the kernel's client was closed
            isOver = true;
            block.end("failed", why);
            resolve(false);
          };
          this.giveUp = giveUp;
          this.runOne(block).then(resolve, (error) => giveUp(error.message));
        });
        if (!isFine || this.stopped) break;
      }
    } finally {
      this.running = null;
      this.giveUp = null;
      delete document.documentElement.dataset.liveRunning;
    }
  }

  async runOne(block) {
    await this.begin(block);
    if (this.stopped) return block.end("failed", "Stopped.");
    block.say("Runs…");
    const code = { code: block.code, stop_on_error: true, store_history: false, allow_stdin: false };
    const future = this.kernel.requestExecute(code, true, { block: block.number });
    future.onIOPub = (message) => block.take(message);
    const reply = await future.done;
    const isFine = reply.content.status === "ok" && !this.stopped;
    if (isFine) {
      block.end("done", "");
      const ran = this.blocks.filter(({ hasRun }) => hasRun).map(({ number }) => number);
      sessionStorage.setItem(this.kernel.id, JSON.stringify(ran));
    } else block.end("failed", this.stopped ? "Stopped." : "It ended with an error.");
    return isFine;
  }

  // After the reader has been elsewhere, or the page was built anew: what has run in this session already.
  recall(kernel) {
    if (this.recalled === kernel) return;
    this.recalled = kernel;
    if (this.kernel) return;
    for (const number of JSON.parse(sessionStorage.getItem(kernel) ?? "[]")) this.blocks[number - 1]?.recall();
  }

  async stop() {
    this.stopped = true;
    this.running?.say("Stops…");
    await this.kernel?.interrupt();
  }

  // What ran is gone: the kernel or the whole cluster.
  lose(why) {
    this.kernel?.dispose();
    this.kernel = null;
    for (const block of this.blocks) block.forget();
    if (this.giveUp) this.giveUp(why);
    else this.panel.say(why);
  }

  async reset() {
    this.panel.say("Deletes what this page made…");
    try {
      this.kernel?.dispose();
      this.kernel = null;
      this.giveUp?.("Reset.");
      for (const block of this.blocks) block.clear();
      const { left } = await ask("DELETE", this.path);
      this.panel.say(left.length ? `Not all could be put back: ${left.join("; ")}` : "As new: nothing of this page is left.");
    } catch (error) {
      this.panel.say(error.message);
    }
  }

  setMode(mode) {
    for (const block of this.blocks) block.setMode(mode);
  }

  // Look once a second what there is, and whether the cluster still is.
  async watch() {
    let known = localStorage.getItem(KEY);
    while (!this.hasLeft) {
      if (!document.hidden && known) {
        try {
          const state = await ask("GET", this.path);
          if (state.cluster) {
            this.setMode(state.mode);
            this.recall(state.kernel);
          }
          if (!state.cluster && this.kernel) this.lose(ENDED);
          this.panel.show(state);
        } catch (error) {
          this.panel.say(error instanceof ServerConnection.NetworkError ? "./dev serve has ended." : error.message);
        }
      } else if (!known) this.panel.say(NO_KEY);
      await new Promise((resolve) => setTimeout(resolve, this.running || this.panel.isOpen ? 1000 : 5000));
      known = localStorage.getItem(KEY);
    }
  }

  leave() {
    this.hasLeft = true;
    this.kernel?.dispose();
    this.panel.remove();
  }
}

class Block {
  constructor(page, element, number) {
    this.page = page;
    this.number = number;
    this.element = element;
    this.text = element.querySelector("code");
    this.original = this.text.textContent;
    this.html = this.text.innerHTML;
    this.hasRun = false;
    this.language = /language-(\w+)/.exec(element.className)[1];
    this.fileName = element.querySelector(".filename")?.textContent;
    this.mode = /\bmode-(\w+)/.exec(element.className)?.[1];

    this.text.contentEditable = "plaintext-only";
    this.text.spellcheck = false;
    this.text.setAttribute("role", "textbox");
    this.text.setAttribute("aria-multiline", "true");
    this.text.setAttribute("aria-label", `Block ${number}, can be edited; Shift and Enter run it`);
    this.text.addEventListener("input", () => this.showButtons());
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.shiftKey || event.ctrlKey)) {
        event.preventDefault();
        this.page.run([this]);
      }
    });

    const isFile = this.language === "yaml";
    this.runs = button(isFile ? "Save" : "Run", `${isFile ? "Save" : "Run"} block ${number}`, () => page.run([this]));
    this.runsAbove = button("Run all above", `Run all blocks above block ${number} that have not run`, () =>
      page.run(page.blocks.slice(0, number - 1).filter((block) => !block.hasRun && !block.runs.disabled)),
    );
    this.runsAbove.hidden = number === 1;
    this.stops = button("Stop", `Stop block ${number}`, () => page.stop());
    this.restores = button("Undo edits", `Undo the edits of block ${number}`, () => this.restore());
    this.status = document.createElement("span");
    this.status.className = "live-status";
    this.status.setAttribute("role", "status");
    this.bar = document.createElement("div");
    this.bar.className = "live-bar";
    this.bar.append(this.runs, this.stops, this.runsAbove, this.restores, this.status);
    this.output = document.createElement("pre");
    this.output.className = "live-output";
    this.output.setAttribute("role", "log");
    this.output.setAttribute("aria-label", `Output of block ${number}`);
    this.output.hidden = true;
    element.after(this.bar, this.output);
    this.showButtons();
  }

  get code() {
    const source = this.text.textContent;
    if (this.language === "console") return `%%console\n${source}`;
    return this.language === "yaml" ? `%%save ${this.fileName}\n${source}` : source;
  }

  begin() {
    this.output.textContent = "";
    this.output.hidden = true;
    this.element.classList.remove("live-failed");
    for (const line of this.text.querySelectorAll(".live-error")) line.classList.remove("live-error");
    if (this.text.textContent !== this.original) this.splitLines();
    this.isRunning = true;
    this.showButtons();
  }

  end(how, why) {
    this.isRunning = false;
    this.hasRun = how === "done";
    this.element.classList.toggle("live-failed", how === "failed");
    this.say(how === "done" ? "Done." : why);
    this.showButtons();
  }

  recall() {
    this.hasRun = true;
    this.say("Has run.");
  }

  // The session in which it ran is gone; what it printed can still be read.
  forget() {
    this.hasRun = false;
    if (!this.isRunning) this.say("");
  }

  clear() {
    this.forget();
    this.output.hidden = true;
    this.element.classList.remove("live-failed");
    this.say("");
  }

  say(what) {
    this.status.textContent = what;
  }

  take({ header, content }) {
    if (header.msg_type === "stream") this.print(content.text, content.name === "stderr" ? "live-stderr" : "");
    else if (header.msg_type === "execute_result" || header.msg_type === "display_data")
      this.print(`${content.data["text/plain"]}\n`, "");
    else if (header.msg_type === "error") {
      const text = content.traceback.join("");
      this.print(text, "live-stderr");
      this.mark(text);
    }
  }

  print(text, name) {
    const piece = document.createElement("span");
    piece.className = name;
    piece.textContent = text;
    this.output.append(piece);
    this.output.hidden = false;
    this.output.scrollTop = this.output.scrollHeight;
  }

  // Mark the line of this block that a traceback names last.
  mark(traceback) {
    const lines = [...traceback.matchAll(/File "<block (\d+)>", line (\d+)/g)].filter(([, block]) => +block === this.number);
    if (!lines.length) return;
    const spans = this.text.querySelectorAll(":scope > span[id^=__span], :scope > .live-line");
    spans[lines.at(-1)[2] - 1]?.classList.add("live-error");
  }

  // Each line an element, as in a block that was not edited.
  splitLines() {
    const lines = this.text.textContent.replace(/\n$/, "").split("\n");
    this.text.replaceChildren(
      ...lines.map((text) => {
        const line = document.createElement("span");
        line.className = "live-line";
        line.textContent = `${text}\n`;
        return line;
      }),
    );
  }

  restore() {
    this.text.innerHTML = this.html;
    this.showButtons();
    this.text.focus();
  }

  showButtons() {
    this.stops.hidden = !this.isRunning;
    this.runs.hidden = Boolean(this.isRunning);
    this.restores.hidden = this.text.textContent === this.original;
  }

  setMode(mode) {
    if (!this.mode || this.mode === mode || this.runs.disabled) return;
    this.runs.disabled = true;
    this.say(`For kube-proxy in ${this.mode} mode; this cluster's is in ${mode} mode.`);
  }
}

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

// The theme changes pages without loading anew; then there are other blocks.
let page = null;
function open() {
  page?.leave();
  page = null;
  const blocks = [...document.querySelectorAll(".md-content .highlight.run")];
  page = blocks.length ? new Page(location.pathname, blocks) : null;
}
window.document$.subscribe(open);
