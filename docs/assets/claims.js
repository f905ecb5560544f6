// Escape closes what was said of a claim, wherever it was opened from (WCAG 1.4.13); the next visit opens it again.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const claim of document.querySelectorAll(".claim:is(:hover, :focus-within)")) {
    claim.classList.add("claim-closed");
    const open = () => claim.classList.remove("claim-closed");
    claim.addEventListener("pointerleave", open, { once: true });
    claim.addEventListener("focusout", open, { once: true });
  }
});

// Who comes from a claim's mark to its place on the page of proofs sees its code at once, and who comes to a snippet in a
// tab that is not chosen sees that.
const showPlace = () => {
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const code = place?.closest(".proof")?.querySelector("details");
  if (code) code.open = true;
  const tab = place?.closest(".tabbed-block");
  if (!tab || tab.checkVisibility()) return;
  const number = [...tab.parentElement.children].indexOf(tab);
  tab.closest(".tabbed-set").querySelectorAll(":scope > input")[number].click();
  place.scrollIntoView();
};
window.document$?.subscribe(showPlace);
window.addEventListener("hashchange", showPlace);
// A link to a place on the same page the theme follows by itself, and the browser does not tell.
document.addEventListener("click", ({ target }) => target.closest?.("a")?.hash && setTimeout(showPlace));

// Who chose a page in the drawer by keyboard has left it, as the theme closes it for all others.
window.document$?.subscribe(() => {
  const link = document.activeElement;
  if (link.closest(".md-sidebar--primary") && matchMedia("(max-width: 76.2344em)").matches) link.blur();
});
