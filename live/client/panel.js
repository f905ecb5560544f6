// The panel that shows what the page has on the cluster, live.

import { button } from "./buttons.js";

export class Panel {
  constructor(reset) {
    this.element = document.createElement("details");
    this.element.className = "live-panel";
    const summary = document.createElement("summary");
    summary.textContent = "On the cluster";
    this.count = document.createElement("span");
    this.count.className = "live-count";
    summary.append(this.count);
    this.body = document.createElement("div");
    this.message = document.createElement("p");
    this.message.setAttribute("role", "status");
    const again = button("Reset", "Reset: delete what this page made, and begin a new session", reset);
    this.held = document.createElement("div");
    this.body.append(again, this.message, this.held);
    this.element.append(summary, this.body);
    document.body.append(this.element);
  }

  get isOpen() {
    return this.element.open;
  }

  say(what) {
    this.message.textContent = what;
  }

  show({ cluster, namespaces = [] }) {
    if (!cluster) {
      this.count.textContent = "no cluster";
      this.held.replaceChildren();
      return;
    }
    const now = JSON.stringify(namespaces);
    if (now === this.shown) return; // a reader may be selecting text
    this.shown = now;
    const pods = namespaces.reduce((sum, { pods }) => sum + pods.length, 0);
    const services = namespaces.reduce((sum, { services }) => sum + services.length, 0);
    this.count.textContent = namespaces.length ? `${amount(services, "Service")}, ${amount(pods, "Pod")}` : "nothing yet";
    this.held.replaceChildren(...namespaces.flatMap(shown));
  }

  remove() {
    this.element.remove();
  }
}

function shown({ name, services, pods, slices }) {
  const title = document.createElement("h2");
  title.textContent = `Namespace ${name}`;
  const nodes = Map.groupBy(pods, (pod) => pod.node);
  return [
    title,
    list("Services", services),
    ...[...nodes.keys()].sort().map((node) => list(`Pods on ${node}`, nodes.get(node))),
    list("EndpointSlices", slices),
  ];
}

function list(title, things) {
  const part = document.createElement("section");
  const heading = document.createElement("h3");
  heading.textContent = things.length ? title : `${title}: none`;
  part.append(heading);
  for (const { name, what } of things) {
    const line = document.createElement("p");
    const strong = document.createElement("b");
    strong.textContent = name;
    line.append(strong, document.createElement("br"), what);
    part.append(line);
  }
  return part;
}

function amount(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
