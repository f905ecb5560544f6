// A block of code: it can be edited and run, and what it prints is shown under it.

import { button } from "./buttons.js";
import { Paint } from "./colours.js";

export class Block {
  constructor(page, element, number) {
    this.page = page;
    this.number = number;
    this.element = element;
    this.text = element.querySelector("code");
    this.original = this.text.textContent;
    this.html = this.text.innerHTML;
    this.colours = new Paint(this.text);
    this.wrong = new Paint(this.text);
    this.hasRun = false;
    this.isRunning = false;
    this.language = /language-(\w+)/.exec(element.className)[1];
    this.fileName = element.querySelector(".filename")?.textContent;
    this.mode = /\bmode-(\w+)/.exec(element.className)?.[1];

    this.text.contentEditable = "plaintext-only";
    this.text.spellcheck = false;
    this.text.setAttribute("role", "textbox");
    this.text.setAttribute("aria-multiline", "true");
    this.text.setAttribute("aria-label", `Block ${number}, can be edited; Shift and Enter run it`);
    this.text.addEventListener("input", () => this.edited());
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.shiftKey || event.ctrlKey)) {
        event.preventDefault();
        this.page.run([this]);
      }
    });

    const isFile = this.language === "yaml";
    this.runs = button(isFile ? "Save" : "Run", `${isFile ? "Save" : "Run"} block ${number}`, () => page.run([this]));
    this.runsAbove = button("Run all above", `Run all blocks above block ${number} that have not run`, () =>
      page.run(page.blocks.slice(0, number - 1).filter((block) => !block.hasRun && !block.runs.disabled && block.isChosen)),
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
    this.wrong.clear();
    this.setRunning(true);
  }

  setRunning(isRunning) {
    this.isRunning = isRunning;
    this.showButtons();
  }

  // It is over: `done`, `failed`, or, for another tab, `elsewhere`.
  end(how, why) {
    this.setRunning(false);
    this.hasRun = how === "done";
    this.say(why);
  }

  recall() {
    if (this.hasRun || this.isRunning) return;
    this.hasRun = true;
    if (!this.status.textContent) this.say("Has run.");
  }

  // The session in which it ran is gone; what it printed can still be read.
  forget() {
    this.hasRun = false;
    if (!this.isRunning) this.say("");
  }

  clear() {
    this.forget();
    this.output.hidden = true;
    this.wrong.clear();
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
    const named = [...traceback.matchAll(/File "<block (\d+)>", line (\d+)/g)].filter(([, block]) => +block === this.number);
    if (!named.length) return;
    const lines = this.text.textContent.split("\n");
    const number = named.at(-1)[2] - 1;
    const begin = lines.slice(0, number).join("\n").length + (number ? 1 : 0);
    this.wrong.put("error", begin, begin + (lines[number] ?? "").length);
  }

  // Of tabs for readers of Python and of kubectl, one is chosen: the other's block does the same in another way.
  get isChosen() {
    const tab = this.element.closest(".tabbed-content:has(.client-kubectl) > .tabbed-block");
    return !tab || tab.checkVisibility();
  }

  get isEdited() {
    return this.text.textContent !== this.original;
  }

  edited() {
    this.text.classList.toggle("live-edited", this.isEdited);
    if (this.isEdited) this.colours.code(this.language);
    else this.colours.clear();
    this.showButtons();
  }

  restore() {
    this.text.innerHTML = this.html;
    this.wrong.clear();
    this.edited();
    this.text.focus();
  }

  showButtons() {
    this.stops.hidden = !this.isRunning;
    this.runs.hidden = this.isRunning;
    this.restores.hidden = !this.isEdited;
  }

  setMode(mode) {
    if (!this.mode || this.mode === mode || this.runs.disabled) return;
    this.runs.disabled = true;
    this.say(`For kube-proxy in ${this.mode} mode; this cluster's is in ${mode} mode.`);
  }
}
