// What has run in a page's session, for all tabs that show the page, and after it was loaded anew.

export class Memory {
  // `heed` is called when another tab has written down something.
  constructor(path, heed) {
    this.key = `live-ran:${path}`;
    this.hear = ({ key }) => key === this.key && heed();
    addEventListener("storage", this.hear);
  }

  // The numbers of blocks that have run in the session of a kernel, and of the one that runs; it says 0 if none does.
  of(kernel) {
    const known = JSON.parse(localStorage.getItem(this.key) ?? "{}");
    return known.kernel === kernel ? known : { kernel, ran: [], runs: 0 };
  }

  write(kernel, ran, runs) {
    localStorage.setItem(this.key, JSON.stringify({ kernel, ran, runs }));
  }

  forget() {
    localStorage.removeItem(this.key);
  }

  close() {
    removeEventListener("storage", this.hear);
  }
}
