// Colours of code that a reader has edited, and the line of an error.
//
// The browser paints ranges of the text (CSS Custom Highlight API), as `::highlight(live-…)` in page.css says: new
// elements in it would take the caret away, and what Ctrl+Z has to go back to.

import "./prism-by-hand.js";
import Prism from "prismjs/components/prism-core.js";
import "prismjs/components/prism-python.js";
import "prismjs/components/prism-yaml.js";

// Where two overlap, the later one is seen.
const NAMES = ["string", "keyword", "number", "quiet", "prompt", "printed", "error"];
const painted = new Map(NAMES.map((name) => [name, new Highlight()]));
for (const [name, highlight] of painted) CSS.highlights.set(`live-${name}`, highlight);

const OF_PYTHON = {
  keyword: "keyword",
  builtin: "keyword",
  decorator: "keyword",
  string: "string",
  "triple-quoted-string": "string",
  "string-interpolation": "string",
  number: "number",
  comment: "quiet",
  operator: "quiet",
  punctuation: "quiet",
};
const OF_YAML = { key: "keyword", comment: "quiet", punctuation: "quiet" };

// What is painted in an element.
export class Paint {
  constructor(element) {
    this.element = element;
    this.ranges = [];
  }

  put(name, begin, end) {
    const range = rangeIn(this.element, begin, end);
    painted.get(name).add(range);
    this.ranges.push([name, range]);
  }

  clear() {
    for (const [name, range] of this.ranges) painted.get(name).delete(range);
    this.ranges = [];
  }

  code(language) {
    this.clear();
    const text = this.element.textContent;
    if (language === "console") this.console(text);
    else if (language === "python") this.tokens(Prism.tokenize(text, Prism.languages.python), OF_PYTHON);
    else {
      this.put("string", 0, text.length); // what a value is, as long as nothing else is said
      this.tokens(Prism.tokenize(text, Prism.languages.yaml), OF_YAML);
    }
  }

  tokens(tokens, names) {
    let at = 0;
    for (const { type, content, length } of tokens) {
      const name = type === "comment" && content.startsWith("#> ") ? "printed" : names[type];
      if (name) this.put(name, at, at + length);
      at += length;
    }
  }

  console(text) {
    let at = 0;
    for (const line of text.split("\n")) {
      if (/^[$>] /.test(line)) this.put("prompt", at, at + 1);
      else if (line) this.put("printed", at, at + line.length);
      at += line.length + 1;
    }
  }
}

// The range of an element's text between two of its characters.
function rangeIn(element, begin, end) {
  const range = document.createRange();
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let at = 0;
  while (texts.nextNode()) {
    const { length } = texts.currentNode;
    if (at <= begin) range.setStart(texts.currentNode, Math.min(begin - at, length));
    range.setEnd(texts.currentNode, Math.min(end - at, length));
    at += length;
    if (at >= end) break;
  }
  return range;
}
