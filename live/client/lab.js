// Starts, checks and ends the lab of a page: `throwaway lab` on the reader's cluster, whose words are shown.

import { button } from "./buttons.js";
import { ask } from "./server.js";

const DOES = { start: "Starts…", check: "Checks…", stop: "Ends…" };

export class Lab {
  // `hosted` is what a site without a cluster has, in whose place this comes; `look` is called when something was done.
  constructor(hosted, path, look) {
    this.path = path;
    this.namespace = `lab-${hosted.dataset.lab}`;
    this.look = look;
    this.doing = ""; // what this tab has asked for
    this.isBusy = false; // whether something is done for any tab
    this.isForOther = false; // whether it is for another
    this.starts = button("Start lab", "Start lab: put the broken situation on the cluster", () => this.act("start"));
    this.checks = button("Check", "Check whether the cause is mended", () => this.act("check"));
    this.ends = button("End lab", "End lab: take the situation away", () => this.act("stop"));
    this.status = document.createElement("span");
    this.status.className = "live-status";
    this.status.setAttribute("role", "status");
    this.said = document.createElement("pre");
    this.said.className = "live-output";
    this.said.setAttribute("role", "log");
    this.said.setAttribute("aria-label", "What throwaway lab says");
    this.said.hidden = true;
    this.bar = document.createElement("div");
    this.bar.className = "lab-bar live-bar";
    this.bar.append(this.starts, this.checks, this.ends, this.status, this.said);
    hosted.replaceWith(this.bar);
    this.show({ cluster: "" });
  }

  async act(what) {
    if (this.isBusy) return;
    this.doing = what;
    this.said.hidden = true;
    this.status.textContent = DOES[what];
    this.setBusy(true);
    try {
      const { isFine, said } = await ask("POST", `lab/${what}`, this.path);
      this.status.textContent = what === "check" ? (isFine ? "Mended." : "Not mended yet.") : isFine ? "Done." : "It failed.";
      this.said.textContent = said;
      this.said.classList.toggle("live-stderr", !isFine);
      this.said.hidden = false;
    } catch (error) {
      this.status.textContent = error.message;
    }
    this.doing = "";
    this.setBusy(false);
    await this.look();
  }

  // What there is now: the page's namespaces, and what is done with the lab, perhaps for another tab.
  show({ namespaces = [], lab = "" }) {
    const there = namespaces.find(({ name }) => name === this.namespace);
    const doing = this.doing || lab;
    const isStarted = doing ? doing !== "start" : Boolean(there);
    this.starts.hidden = isStarted;
    this.checks.hidden = this.ends.hidden = !isStarted;
    this.bar.classList.toggle("lab-started", isStarted);
    if (doing) this.status.textContent = DOES[doing] + (doing === "start" && there ? progress(there.pods) : "");
    else if (this.isForOther) this.status.textContent = ""; // what came of it, the other tab shows
    this.isForOther = Boolean(lab) && !this.doing;
    this.setBusy(Boolean(doing));
  }

  setBusy(isBusy) {
    this.isBusy = isBusy;
    for (const each of [this.starts, this.checks, this.ends]) each.disabled = isBusy;
  }
}

function progress(pods) {
  const ready = pods.filter(({ what }) => what.endsWith(" ready")).length;
  return ` ${ready} of ${pods.length} Pods ready`;
}
