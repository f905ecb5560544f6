// Asks for the scripts of figures where a page has one, when it is a screen away at most. Classic scripts, in order: a
// page that is read from a disk may not import modules. An element that comes later, when the theme changes pages, finds
// its script here already.
{
  const folder = new URL("figures/", document.currentScript.src);
  const asked = new Set();
  const ask = (name) => {
    if (asked.has(name)) return;
    asked.add(name);
    document.head.append(Object.assign(document.createElement("script"), { src: new URL(`${name}.js`, folder), async: false }));
  };
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        ask("figure");
        ask(target.localName);
      }
    },
    { rootMargin: "100%" },
  );
  const askForAll = () => {
    for (const element of document.querySelectorAll(".figure:not(:defined)")) near.observe(element);
  };
  window.document$.subscribe(askForAll);
}
