// Makes the blocks of a page run: each gets its buttons, and what it prints is shown under it.
//
// A page has one session, a kernel of Jupyter's, as long as `./dev serve` runs. The code goes there by Jupyter's
// protocol, by JupyterLab's own client for it. What comes back is shown as text and never as HTML. It comes to each tab
// that shows the page, whichever has asked.

import { KernelConnection } from "@jupyterlab/services/lib/kernel/default.js";
import { createMessage } from "@jupyterlab/services/lib/kernel/messages.js";
import { Block } from "./block.js";
import { Lab } from "./lab.js";
import { Memory } from "./memory.js";
import { Panel } from "./panel.js";
import { ask, hasKey, NO_KEY, settings, takeKey } from "./server.js";

const ENDED = "The cluster has ended. The next block that you run starts a new one, in about 6 seconds; begin at the top.";
const CRASHED = "Python has ended. Run the page from the top again.";

document.documentElement.dataset.live = "";
takeKey();

class Page {
  constructor(path, blocks, lab) {
    this.path = path;
    this.kernel = null;
    this.running = null; // the block that this tab has asked for
    this.elsewhere = null; // the block that runs for another tab
    this.stopped = false;
    this.memory = new Memory(path, () => this.kernel && this.recall());
    this.stops = new BroadcastChannel(`live-stops:${path}`);
    this.stops.onmessage = () => (this.stopped = true);
    this.blocks = blocks.map((element, index) => new Block(this, element, index + 1));
    this.panel = new Panel(() => this.reset());
    this.lab = lab && new Lab(lab, path, () => this.look());
    this.watch();
  }

  // The kernel, begun with the first block that is run.
  async begin(block) {
    if (this.kernel && !this.kernel.isDisposed) return;
    block.say("Getting ready…");
    const session = await ask("POST", "page", this.path);
    this.setMode(session.mode);
    this.join(session.kernel);
  }

  join(id) {
    this.kernel = new KernelConnection({ model: { id, name: "page" }, serverSettings: settings() });
    this.kernel.statusChanged.connect((kernel, status) => {
      if (status === "dead") this.lose(CRASHED);
    });
    this.kernel.iopubMessage.connect((kernel, message) => this.hear(message));
    this.recall();
  }

  async run(blocks) {
    if (this.running || !blocks.length) return;
    if (this.elsewhere) return blocks[0].say(`Block ${this.elsewhere.number} runs in another tab: stop it, or wait.`);
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
      if (this.kernel) this.remember();
      delete document.documentElement.dataset.liveRunning;
    }
  }

  async runOne(block) {
    await this.begin(block);
    if (this.stopped) return block.end("failed", "Stopped.");
    block.say("Runs…");
    this.remember();
    const message = createMessage({
      channel: "shell",
      msgType: "execute_request",
      msgId: `${crypto.randomUUID()}-block-${block.number}`, // by which other tabs know what runs
      session: this.kernel.clientId,
      username: this.kernel.username,
      content: { code: block.code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false, stop_on_error: true },
      metadata: { block: block.number },
    });
    const { content } = await this.kernel.sendShellMessage(message, true, true).done;
    const isFine = content.status === "ok" && !this.stopped;
    if (isFine) block.end("done", "Done.");
    else if (content.status === "aborted") block.end("failed", "Not run: what ran before it, in another tab, has failed.");
    else block.end("failed", this.stopped ? "Stopped." : "It ended with an error.");
    return isFine;
  }

  // What the kernel tells all tabs.
  hear(message) {
    const { msg_id: asked, session } = message.parent_header;
    const block = this.blocks[/-block-(\d+)$/.exec(asked)?.[1] - 1];
    if (!block) return;
    const type = message.header.msg_type;
    if (session !== this.kernel.clientId) {
      if (type === "status" && message.content.execution_state === "idle") return this.endElsewhere();
      const isSame = type !== "execute_input" || message.content.code === block.code;
      if (this.elsewhere !== block) block.begin();
      this.beginElsewhere(block, isSame ? "Runs in another tab…" : "Runs in another tab, where it has other text…");
    }
    block.take(message);
  }

  beginElsewhere(block, what) {
    if (this.elsewhere === block) return;
    this.elsewhere = block;
    block.setRunning(true);
    block.say(what);
  }

  endElsewhere() {
    this.elsewhere?.end("elsewhere", "Ran in another tab.");
    this.elsewhere = null;
    this.recall();
  }

  remember() {
    const ran = this.blocks.filter(({ hasRun }) => hasRun).map(({ number }) => number);
    this.memory.write(this.kernel.id, ran, this.running?.number ?? 0);
  }

  // What has run in this session already, for another tab or before the page was loaded.
  recall() {
    for (const number of this.memory.of(this.kernel.id).ran) this.blocks[number - 1]?.recall();
  }

  async stop() {
    this.stopped = true;
    this.stops.postMessage("");
    (this.running ?? this.elsewhere)?.say("Stops…");
    await this.kernel?.interrupt();
  }

  // What ran is gone: the kernel or the whole cluster.
  lose(why) {
    this.kernel?.dispose();
    this.kernel = null;
    this.memory.forget();
    this.elsewhere?.end("failed", why);
    this.elsewhere = null;
    for (const block of this.blocks) block.forget();
    if (this.giveUp) this.giveUp(why);
    else this.panel.say(why);
  }

  async reset() {
    this.lose("Reset.");
    this.panel.say("Deletes what this page made…");
    try {
      for (const block of this.blocks) block.clear();
      const { left } = await ask("DELETE", "page", this.path);
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
    while (!this.hasLeft) {
      if (!hasKey()) this.panel.say(NO_KEY);
      else if (!document.hidden) await this.look();
      const isWatched = this.running || this.elsewhere || this.lab?.isBusy || this.panel.isOpen;
      await new Promise((resolve) => setTimeout(resolve, isWatched ? 1000 : 5000));
    }
  }

  async look() {
    const { kernel, elsewhere } = this;
    try {
      const state = await ask("GET", "page", this.path);
      if (this.hasLeft) return;
      if (state.cluster) this.setMode(state.mode);
      // What has begun or ended here meanwhile, the answer does not know.
      if (this.kernel === kernel) this.follow(state, elsewhere);
      this.panel.show(state);
      this.lab?.show(state);
    } catch (error) {
      this.panel.say(error.message);
    }
  }

  // What another tab has begun or ended; `elsewhere` is what ran there when it was asked.
  follow(state, elsewhere) {
    if (this.kernel && this.kernel.id !== state.kernel)
      this.lose(!state.cluster ? ENDED : state.hasCrashed ? CRASHED : "The session was ended in another tab.");
    if (this.running || !state.kernel) return;
    if (!this.kernel) this.join(state.kernel);
    if (this.elsewhere !== elsewhere) return;
    const block = this.blocks[this.memory.of(state.kernel).runs - 1];
    if (!state.isBusy && elsewhere) this.endElsewhere();
    else if (state.isBusy && block) this.beginElsewhere(block, "Runs in another tab, or since before this page was opened…");
  }

  leave() {
    this.hasLeft = true;
    this.kernel?.dispose();
    this.memory.close();
    this.stops.close();
    this.panel.remove();
  }
}

// The theme changes pages without loading anew; then there are other blocks.
let page = null;
function open() {
  page?.leave();
  page = null;
  const blocks = [...document.querySelectorAll(".md-content .highlight.run")];
  const lab = document.querySelector(".lab-bar");
  page = blocks.length || lab ? new Page(location.pathname, blocks, lab) : null;
}
window.document$.subscribe(open);
