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

const placeOfAddress = () => document.getElementById(decodeURIComponent(location.hash.slice(1)));

// Who comes from a claim's mark to its place on the page of proofs sees its code at once.
const unfoldProof = () => {
  const code = placeOfAddress()?.closest(".proof")?.querySelector("details");
  if (code) code.open = true;
};
window.document$?.subscribe(unfoldProof);
window.addEventListener("hashchange", unfoldProof);

// Who comes to a snippet in a tab that is not chosen sees it.
const showTab = () => {
  const place = placeOfAddress();
  const tab = place?.closest(".tabbed-block");
  if (!tab || tab.checkVisibility()) return;
  const number = [...tab.parentElement.children].indexOf(tab);
  tab.closest(".tabbed-set").querySelectorAll(":scope > input")[number].click();
  place.scrollIntoView();
};
window.document$?.subscribe(showTab);
window.addEventListener("hashchange", showTab);

// Who chose a page in the drawer by keyboard has left it, as the theme closes it for all others.
window.document$?.subscribe(() => {
  const link = document.activeElement;
  if (link.closest(".md-sidebar--primary") && matchMedia("(max-width: 76.2344em)").matches) link.blur();
});
