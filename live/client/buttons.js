// A button that does something; `label` is what screen readers say.
export function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "small-button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}
