// On a site without a cluster, Run lets a reader step through what a block printed when it was recorded.
// Under `./dev serve` blocks really run, see live/client/page.js, which says so before this script begins.

const STARTS =
  "This site has no cluster, so here is what a real one printed, step by step. " +
  "In a clone of the repository ./dev serve starts a cluster on your machine: there this button runs the block.";

function stepThrough(block, number) {
  const lines = [...block.querySelectorAll("code > span[id^=__span]")];
  const isOutput = (line) => Boolean(line.querySelector(".go, .printed"));
  // A step ends with a line of output that is followed by another command, or by nothing.
  const steps = [[]];
  for (const [index, line] of lines.entries()) {
    steps.at(-1).push(line);
    if (isOutput(line) && index + 1 < lines.length && !isOutput(lines[index + 1])) steps.push([]);
  }

  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
  const run = make("button", "small-button step-run", "Run");
  run.type = "button";
  run.setAttribute("aria-label", `Run block ${number}`);
  const next = make("button", "small-button", "Next");
  next.type = "button";
  const said = make("p", "", "");
  said.setAttribute("role", "status");
  const box = make("div", "step-box", "");
  box.hidden = true;
  box.append(said, next);
  block.append(run);
  block.after(box);

  let done = 0;
  const show = () => {
    for (const [index, step] of steps.entries()) {
      for (const line of step) {
        line.classList.toggle("step-hidden", index >= done && isOutput(line));
        line.classList.toggle("step-now", index === done - 1);
      }
    }
    const hasMore = steps.slice(done).flat().some(isOutput);
    next.hidden = !hasMore;
    if (done === 0) said.textContent = STARTS + (hasMore ? "" : " This block prints nothing.");
    else said.textContent = hasMore ? `Step ${done}. What will it print next?` : "That is all it printed.";
    if (!hasMore) {
      for (const line of steps.flat()) line.classList.remove("step-hidden");
      if (done) run.focus();
    }
  };
  run.addEventListener("click", () => {
    done = 0;
    box.hidden = false;
    show();
    if (!next.hidden) next.focus();
  });
  next.addEventListener("click", () => {
    done += 1;
    show();
  });
}

window.document$?.subscribe(() => {
  if ("live" in document.documentElement.dataset) return;
  const blocks = document.querySelectorAll(".md-content .highlight.run:is(.language-python, .language-console)");
  for (const [index, block] of blocks.entries()) stepThrough(block, index + 1);
});
