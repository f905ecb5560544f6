// What all figures have: a question to be answered first, then steps to be played, and words for each.
//
// A figure says by `figures.define(NAME, …)` what it shows. All of these are pure functions of what was recorded
// (proxy mode → what the scenario has seen) and of what is chosen (id of a choice → value), and return text:
//
//   sizes     {wide: [width, height], narrow: […]}: of its drawing, in pixels, on a wide and on a narrow screen
//   choices   (recorded) => [{id, label, options: [{value, label}]}]; may be left out
//   question  (recorded, chosen) => {asks, options: [{says, why, right: true, or left out}]}
//   steps     (recorded, chosen) => [{says, code, title of the code; both may be left out}]: what happens, in plain text.
//             The one that answers the question has `decides: true`; if none has, it is the last
//   draw      (recorded, chosen, number of the step, "wide" or "narrow") => SVG, without ids: it stands there twice
//   still     (recorded, chosen) => number of the step that is on paper; if left out, the last
//
// In a drawing, `data-move="ID"` with `data-at="X,Y"` is a group that goes from where that ID was in the step before,
// over the points of `data-via="X,Y X,Y"` if there are any; it sets out `data-after="0.1"` later, as a share of the time
// that a move takes. What has `data-appear` fades in, when others have moved. `figures.text` and `figures.box` draw words
// and boxes with round corners; `figures.escape` is for words in SVG of a figure's own.
//
// The same code runs when the site is built (figures/drawing.py): what the page shows without scripts comes from `html`.
{
  const known = {};
  const LETTERS = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  const escape = (text) => String(text).replace(/[&<>"]/g, (letter) => LETTERS[letter]);
  // Of what drawings are made; `kind` has the names of classes.
  const text = (kind, x, y, said, anchor = "start") => `<text class="${kind}" x="${x}" y="${y}" text-anchor="${anchor}">${escape(said)}</text>`;
  const box = (kind, { x, y, width, height }, round) => `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="${round}"/>`;
  const MOVES_MS = 900;
  const SECONDS_A_WORD = 0.28;
  const NARROW = "(max-width: 44.9em)"; // as in figure.css

  const choicesOf = (figure, recorded) => figure.choices?.(recorded) ?? [];
  const firstChoice = (figure, recorded, given) =>
    Object.fromEntries(choicesOf(figure, recorded).map(({ id, options }) => [id, given[id] ?? options[0].value]));

  const sentences = ({ says }) => `<p>${escape(says)}</p>`;
  const listing = ({ code, title }) => (code ? `<div class="figure-code">${title ? `<span>${escape(title)}</span>` : ""}<code>${escape(code)}</code></div>` : "");
  const words = (step) => sentences(step) + listing(step);

  const svg = (figure, recorded, chosen, step, layout, kind) => {
    const [width, height] = figure.sizes[layout];
    return `<svg class="picture ${kind} figure-${layout}" viewBox="0 0 ${width} ${height}" aria-hidden="true">${figure.draw(recorded, chosen, step, layout)}</svg>`;
  };

  // The words of all steps lie upon each other, and so do the question and the player: the page never moves. Before
  // anything was predicted there are the words of the first step, which says what the picture shows.
  const spoken = (figure, recorded, chosen) => {
    const verdicts = figure
      .question(recorded, chosen)
      .options.map(({ says, why, right }) => `<div hidden><p><b>${verdict(right)}: ${escape(says)}.</b></p><p>${escape(why)}</p></div>`);
    return figure.steps(recorded, chosen).map((step, index) => `<div${index ? " hidden" : ""}>${sentences(step)}</div>`).join("") + verdicts.join("");
  };
  const verdict = (isRight) => (isRight ? "As you predicted" : "Not as you predicted");

  const panel = (figure, recorded, chosen, id) => {
    const { asks, options } = figure.question(recorded, chosen);
    const steps = figure.steps(recorded, chosen);
    const predicted = options.map(
      ({ says, right }) => `<p hidden>You predicted: ${escape(says)}.<span> Press Play to see.</span></p><p hidden><b>${verdict(right)}</b>: ${escape(says)}.</p>`,
    );
    return `<fieldset class="figure-question"><legend id="${id}-asks"><b>Predict first.</b> ${escape(asks)}</legend>
      ${options.map(({ says }) => `<button type="button" class="figure-option">${escape(says)}</button>`).join("")}
    </fieldset>
    <div class="figure-player" role="group" aria-label="Steps" hidden>
      <div class="figure-controls">
        <button type="button" class="figure-play">Play</button>
        <button type="button" class="figure-back" aria-label="Step back">←</button>
        <button type="button" class="figure-on" aria-label="Step forward">→</button>
        <span class="figure-count"></span>
        <label><span>Speed </span><select class="figure-speed" aria-label="Speed"><option value="0.5">½ ×</option><option value="1" selected>1 ×</option><option value="2">2 ×</option></select></label>
      </div>
      <div class="figure-prediction">
        <div class="figure-predicted">${predicted.join("")}</div>
        <button type="button" class="figure-again">Predict again</button>
      </div>
      <div class="figure-listings">${steps.map((step) => `<div hidden>${listing(step)}</div>`).join("")}</div>
    </div>`;
  };
  const list = (steps) => steps.map((step) => `<li>${words(step)}</li>`).join("");

  // What stands in the element when the page is built.
  const html = (name, recorded, given, id, caption) => {
    const figure = known[name];
    const chosen = firstChoice(figure, recorded, given);
    const steps = figure.steps(recorded, chosen);
    const still = figure.still?.(recorded, chosen) ?? steps.length - 1;
    const radios = choicesOf(figure, recorded).map(
      ({ id: choice, label, options }) => `<fieldset class="figure-choice"><legend>${escape(label)}</legend>${options
        .map(({ value, label: text }) => `<label><input type="radio" name="${id}-${choice}" value="${escape(value)}"${value === chosen[choice] ? " checked" : ""}><span>${escape(text)}</span></label>`)
        .join("")}</fieldset>`,
    );
    return `<figure>
      ${radios.length ? `<div class="figure-choices">${radios.join("")}</div>` : ""}
      <div class="figure-stage">${["wide", "narrow"].map((layout) => svg(figure, recorded, chosen, still, layout, "figure-still")).join("")}</div>
      <div class="figure-words">${spoken(figure, recorded, chosen)}</div>
      <div class="figure-panel">${panel(figure, recorded, chosen, id)}</div>
      <p class="figure-said" role="status"></p>
      <figcaption>${caption}</figcaption>
      <details class="figure-all"><summary>All steps in words</summary><ol>${list(steps)}</ol></details>
    </figure>`;
  };

  const define = (name, figure) => {
    known[name] = figure;
    if (typeof customElements === "undefined" || customElements.get(name)) return;
    customElements.define(name, class extends Figure {
      get figure() {
        return figure;
      }
    });
  };
  globalThis.figures = { define, html, escape, text, box };

  const Figure = typeof HTMLElement === "undefined" ? Object : class extends HTMLElement {
    connectedCallback() {
      this.recorded ??= JSON.parse(this.querySelector("template").content.textContent);
      this.answers ??= {}; // question → number of the option that was predicted
      this.narrow = matchMedia(NARROW);
      this.calm = matchMedia("(prefers-reduced-motion: reduce)");
      this.drawAgain = () => this.draw(false);
      this.narrow.addEventListener("change", this.drawAgain);
      if (!this.live) {
        this.live = true;
        this.addEventListener("click", (event) => this.press(event.target));
        this.addEventListener("change", (event) => event.target.matches(".figure-choice input") && this.choose());
        this.addEventListener("keydown", (event) => this.key(event));
      }
      this.classList.add("figure-live");
      this.choose();
    }

    disconnectedCallback() {
      this.pause();
      this.narrow.removeEventListener("change", this.drawAgain);
    }

    // What is chosen may have changed: another question, other steps.
    choose() {
      this.pause();
      this.chosen = firstChoice(this.figure, this.recorded, this.attributesGiven());
      for (const input of this.querySelectorAll(".figure-choice input:checked"))
        this.chosen[input.name.slice(this.id.length + 1)] = input.value;
      this.steps = this.figure.steps(this.recorded, this.chosen);
      this.decides = this.steps.findIndex(({ decides }) => decides);
      if (this.decides < 0) this.decides = this.steps.length - 1;
      this.asks = this.figure.question(this.recorded, this.chosen).asks;
      this.querySelector(".figure-words").innerHTML = spoken(this.figure, this.recorded, this.chosen);
      this.querySelector(".figure-panel").innerHTML = panel(this.figure, this.recorded, this.chosen, this.id);
      this.querySelector(".figure-all > ol").innerHTML = list(this.steps);
      this.step = 0;
      this.show(false);
    }

    attributesGiven() {
      return Object.fromEntries([...this.attributes].map(({ name, value }) => [name, value]));
    }

    get answer() {
      return this.answers[this.asks];
    }

    set answer(number) {
      this.answers[this.asks] = number;
    }

    press(target) {
      const button = target.closest("button");
      if (!button) return;
      const name = [...button.classList].find((each) => each.startsWith("figure-"));
      if (name === "figure-option") {
        this.answer = [...this.querySelectorAll(".figure-option")].indexOf(button);
        this.go(0, false);
        this.querySelector(".figure-play").focus();
      } else if (name === "figure-again") {
        this.pause();
        this.answer = undefined;
        this.go(0, false);
        this.querySelector(".figure-option").focus();
      } else if (name === "figure-play") {
        if (this.timer) this.pause();
        else this.play();
      } else {
        this.pause();
        this.go(this.step + (name === "figure-on" ? 1 : -1));
      }
    }

    key(event) {
      const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
      if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!event.target.closest(".figure-player") || event.target.matches("select")) return;
      event.preventDefault();
      this.pause();
      this.go(this.step + steps[event.key]);
    }

    // The steps, and behind them what became of the prediction.
    go(step, animated = true) {
      const before = this.step;
      this.step = Math.max(0, Math.min(this.steps.length, step));
      this.show(animated && this.step === before + 1);
    }

    get speed() {
      return Number(this.querySelector(".figure-speed").value);
    }

    play() {
      if (this.step >= this.steps.length) this.go(0, false);
      const next = () => {
        const text = [...this.querySelectorAll(":is(.figure-words, .figure-listings) > :not([hidden])")].map((each) => each.textContent).join(" ");
        const seconds = Math.max(2.5, text.split(/\s+/).length * SECONDS_A_WORD);
        this.timer = setTimeout(() => {
          this.go(this.step + 1);
          if (this.step < this.steps.length) next();
          else this.pause();
        }, (1000 * seconds) / this.speed);
      };
      next();
      this.label();
    }

    pause() {
      clearTimeout(this.timer);
      this.timer = 0;
      this.label();
    }

    label() {
      const play = this.querySelector(".figure-play");
      if (play) play.textContent = this.timer ? "Pause" : this.step < (this.steps?.length ?? 0) ? "Play" : "Replay";
    }

    show(animated) {
      const isAnswered = this.answer !== undefined;
      this.querySelector(".figure-question").hidden = isAnswered;
      this.querySelector(".figure-player").hidden = !isAnswered;
      const isLast = this.step === this.steps.length;
      const only = (selector, shown) => {
        for (const [index, each] of [...this.querySelectorAll(selector)].entries()) each.hidden = index !== shown;
      };
      only(".figure-words > *", isLast ? this.step + this.answer : this.step);
      only(".figure-listings > *", this.step);
      only(".figure-predicted > *", isLast || !isAnswered ? -1 : 2 * this.answer + (this.step >= this.decides ? 1 : 0));
      for (const each of this.querySelectorAll(".figure-predicted span")) each.hidden = this.step > 0;
      const count = this.step < this.steps.length ? `Step ${this.step + 1} of ${this.steps.length}` : "Your prediction";
      this.querySelector(".figure-count").textContent = count;
      for (const [selector, isEnd] of [[".figure-back", this.step === 0], [".figure-on", this.step === this.steps.length]])
        this.querySelector(selector).setAttribute("aria-disabled", isEnd); // not `disabled`: it would lose the focus
      const parts = [".figure-words", ".figure-listings", ...(this.step === 0 || this.step === this.decides ? [".figure-predicted"] : [])];
      const said = parts.flatMap((part) => [...this.querySelectorAll(`${part} > :not([hidden])`)]).map((each) => each.innerText);
      this.querySelector(".figure-said").textContent = isAnswered ? `${count}. ${said.filter(Boolean).join(" ")}` : "";
      this.label();
      this.draw(animated);
    }

    draw(animated) {
      const stage = this.querySelector(".figure-stage");
      const before = new Map([...stage.querySelectorAll(".figure-now [data-move]")].map((each) => [each.dataset.move, each.dataset.at]));
      stage.querySelector(".figure-now")?.remove();
      const layout = this.narrow.matches ? "narrow" : "wide";
      const step = Math.min(this.step, this.steps.length - 1);
      stage.insertAdjacentHTML("beforeend", svg(this.figure, this.recorded, this.chosen, step, layout, "figure-now"));
      if (!animated || this.calm.matches) return;
      let moved = 0; // milliseconds, when all have arrived
      const duration = MOVES_MS / this.speed;
      for (const each of stage.querySelectorAll(".figure-now [data-move]")) {
        const from = before.get(each.dataset.move);
        if (!from || from === each.dataset.at) continue;
        const delay = duration * Number(each.dataset.after ?? 0);
        moved = Math.max(moved, delay + duration);
        const points = [from, ...(each.dataset.via?.split(" ") ?? []), each.dataset.at].map((point) => point.split(",").map(Number));
        const lengths = points.map((point, index) => (index ? Math.hypot(point[0] - points[index - 1][0], point[1] - points[index - 1][1]) : 0));
        const whole = lengths.reduce((sum, length) => sum + length, 0);
        let gone = 0;
        const frames = points.map(([x, y], index) => ({ transform: `translate(${x}px, ${y}px)`, offset: (gone += lengths[index]) / whole }));
        each.animate(frames, { duration, delay, easing: "ease-in-out", fill: "backwards" });
      }
      for (const each of stage.querySelectorAll(".figure-now [data-appear]"))
        each.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 350 / this.speed, delay: moved, fill: "backwards" });
    }
  };
}
