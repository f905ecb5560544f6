// Prism would go through the whole page as soon as it is loaded. This is imported before it.
window.Prism = { manual: true };
