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
