// The end of a Pod behind a Service: above, who is connected to whom; below, what each party saw and when.
{
  const { define, text, box } = figures;
  const LEAVES = "web-0";
  const STAYS = "web-1";
  const SHAPES = {
    wide: {
      client: { x: 16, width: 110 },
      rules: { x: 226, width: 178 },
      pods: { x: 496, width: 168 },
      plot: { x: 176, width: 488 },
      lanes: { y: 206, step: 36, bar: 22, beside: true },
    },
    narrow: {
      client: { x: 4, width: 68 },
      rules: { x: 104, width: 112 },
      pods: { x: 244, width: 92 },
      plot: { x: 4, width: 332 },
      lanes: { y: 212, step: 42, bar: 20, beside: false },
    },
  };
  const KEPT_Y = 50; // where the kept connection passes the rules
  const ROWS = { [LEAVES]: 76, [STAYS]: 140 }; // and where the rules are
  const BEFORE_MS = 600;

  const endingOf = (recorded, { ending }) => Object.values(recorded)[0].endings[ending];
  const waitsOf = (recorded) => Object.values(recorded)[0].waits_seconds;
  const time = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);
  const isFailed = ([, who]) => who !== LEAVES && who !== STAYS;

  const choices = (recorded) => [
    {
      id: "ending",
      label: "The program",
      options: [
        { value: "at-once", label: "ends at once" },
        { value: "prestop", label: `preStop: ${waitsOf(recorded)} s` },
        { value: "waits", label: `waits ${waitsOf(recorded)} s itself` },
      ],
    },
  ];

  const question = (recorded, chosen) => {
    const { events, new: opened } = endingOf(recorded, chosen);
    const failed = opened.filter(isFailed).length;
    if (chosen.ending === "at-once")
      return {
        asks: `A client has a connection open to ${LEAVES}, and opens new ones all the time. Now ${LEAVES} is deleted, and its program ends at once. What does the client see?`,
        options: [
          { says: "Nothing: Kubernetes leads everybody elsewhere first", why: "Nobody waits for anybody. The program is told to end at the same time as the Nodes are told to lead elsewhere." },
          { says: `The open connection is moved to ${STAYS}`, why: "A connection cannot be moved: the other end of it was a program that is gone. The client has to open a new one." },
          {
            says: "The open connection breaks, and new ones may fail for a moment",
            why: `The program may be gone before the rules are. ${failed ? `Here ${failed} new ${failed === 1 ? "connection" : "connections"} failed.` : events.ended < events.rules ? "Here no new connection happened to fall into the gap." : "Here the rules happened to be quicker, and no new connection failed."}`,
            right: true,
          },
        ],
      };
    return {
      asks: `A client has a connection open to ${LEAVES}, and opens new ones all the time. Now ${LEAVES} is deleted, and goes on for ${waitsOf(recorded)} s. What becomes of the open connection?`,
      options: [
        { says: "It is cut as soon as the Service leads elsewhere", why: "Rules are for new connections. They do not cut one that is open." },
        { says: `From then on its requests go to ${STAYS}`, why: "A Pod is picked when a connection is opened. That holds until the connection ends." },
        { says: "It goes on until the program ends", why: "The Node leads it to the Pod that was picked, whatever the rules say now. When the program ends, so does the connection.", right: true },
      ],
    };
  };

  // What happens, in order: when, and in words.
  const happens = (recorded, chosen) => {
    const { events, kept, new: opened } = endingOf(recorded, chosen);
    const waits = waitsOf(recorded);
    const failed = opened.filter(isFailed);
    const after = kept.filter((ms) => ms > events.rules).length;
    const isLate = events.ended < events.rules;
    const told = {
      "at-once": "the kubelet has told the program to end (SIGTERM), and it did at once.",
      prestop: "the preStop hook is over. Only now does the kubelet tell the program to end (SIGTERM), and it does at once.",
      waits: "the program has waited long enough, and ends.",
    }[chosen.ending];
    const all = [
      { ms: -1, says: `Two Pods are behind a Service. By one connection, which it keeps open, a client asks ${LEAVES} again and again. It keeps opening new ones as well, which go to either Pod.` },
      { ms: 0, says: `${LEAVES} is deleted. The API server only marks it as being deleted. It still runs, and still gets connections.${chosen.ending === "prestop" ? " Its preStop hook begins." : ""}` },
      { ms: events.listed, says: `After ${time(events.listed)} the EndpointSlice says of ${LEAVES}: not ready, but serving, and terminating. Every Node is told.` },
      {
        ms: events.rules,
        says: isLate
          ? `After ${time(events.rules)} the rules of worker1 lead to ${STAYS} only. The program had been gone for ${time(events.rules - events.ended)} by then.`
          : `After ${time(events.rules)} the rules of worker1 lead to ${STAYS} only. New connections go there. The one that is kept goes on: ${LEAVES} was picked for it when it was opened.`,
      },
      { ms: events.ended, says: `After ${time(events.ended)} ${told} That ends the kept connection. The client has to open another, which goes to ${isLate ? "either Pod as long as the rules say so" : STAYS}.` },
      { ms: events.gone, says: `After ${time(events.gone)} the Pod is gone from the API, too.` },
    ];
    if (events.signalled !== undefined)
      all.push({ ms: events.signalled, says: `After ${time(events.signalled)} the kubelet tells the program to end (SIGTERM). This program serves on all the same, for ${waits} s.` });
    all.sort((one, other) => one.ms - other.ms);
    const total = `Of ${opened.length} new connections, ${failed.length || "none"} failed.`;
    const lesson = {
      "at-once": failed.length
        ? "A program that ends at once is gone before all Nodes know. It should wait some seconds first."
        : "That was luck: nobody waits until all Nodes know. A program should wait some seconds before it ends.",
      prestop: `Over the kept one, ${after} requests were answered after the rules had changed. A hook that sleeps gives all Nodes the time to learn of it, and needs no change of the program.`,
      waits: `Over the kept one, ${after} requests were answered after the rules had changed. It is as good as a preStop hook, and the program could use the time to tell its clients.`,
    }[chosen.ending];
    return [...all, { ms: Infinity, says: `${total} ${lesson}` }];
  };
  const steps = (recorded, chosen) => {
    const code = { "at-once": "", prestop: `lifecycle: {preStop: {sleep: {seconds: ${waitsOf(recorded)}}}}`, waits: `args: [netexec, --delay-shutdown=${waitsOf(recorded)}]` }[chosen.ending];
    const { ended } = endingOf(recorded, chosen).events;
    return happens(recorded, chosen).map(({ ms, says }, index) => {
      const decides = ms === ended && chosen.ending !== "at-once"; // what is asked then is about the kept connection only
      return index === 0 && code ? { says, code, title: "In the Pod's container" } : { says, decides };
    });
  };

  // A step shows what came of its event, too, as long as nothing else happens.
  const until = (recorded, chosen, step, end) => {
    const [{ ms }, next] = happens(recorded, chosen).slice(step);
    return Math.min(ms < 0 ? ms : Math.max(ms, Math.min(ms + 500, (next?.ms ?? end) - 1)), end);
  };

  const draw = (recorded, chosen, step, layout) => {
    const shape = SHAPES[layout];
    const { events, kept, new: opened } = endingOf(recorded, chosen);
    const end = Math.max(...opened.map(([ms]) => ms));
    const now = until(recorded, chosen, step, end);
    const before = step ? until(recorded, chosen, step - 1, end) : now;
    const is = (event) => (event === "deleted" ? now >= 0 : events[event] <= now);
    return scene(shape, is) + lanes(shape, { events, kept, opened, end, now, before, is });
  };

  const cross = (x, y, size = 6) => `<path class="draining-cross" d="M${x - size} ${y - size}l${2 * size} ${2 * size}m0 ${-2 * size}l${-2 * size} ${2 * size}"/>`;

  const scene = ({ client, rules, pods }, is) => {
    const [from, left, middle, to] = [client.x + client.width, rules.x, rules.x + rules.width / 2, pods.x];
    const state = is("gone") ? "gone" : is("ended") ? "ended" : is("listed") ? "terminating" : is("deleted") ? "being deleted" : "ready";
    const way = (start, y, kind) => `<path class="draining-way ${kind}" d="M${from} ${start}C${(from + left) / 2} ${start} ${(from + left) / 2} ${y} ${left} ${y}H${to}"/>`;
    const row = (name, kind, isThere) =>
      box(isThere ? `draining-rule ${kind}` : "picture-nothing", { x: left + 10, y: ROWS[name] - 14, width: rules.width - 20, height: 28 }, 7) +
      text(isThere ? "picture-number" : "picture-note", middle, ROWS[name] + 4.5, isThere ? `→ ${name}` : `no ${name}`, "middle");
    const pod = (name, kind, y, said) =>
      box(kind, { ...pods, y, height: 62 }, 10) + text("picture-name", pods.x + pods.width / 2, y + 27, name, "middle") + text("picture-note", pods.x + pods.width / 2, y + 47, said, "middle");
    return `${box("picture-node", { ...rules, y: 8, height: 158 }, 11)}${text("picture-note", middle, 28, "Rules of worker1", "middle")}
      ${way(88, KEPT_Y, is("ended") ? "draining-broken" : "draining-kept")}
      ${is("rules") ? "" : way(97, ROWS[LEAVES], "")}${way(106, ROWS[STAYS], "draining-other")}
      ${text("picture-note", left - 5, KEPT_Y - 8, "kept", "end")}${text("picture-note", left - 5, ROWS[STAYS] + 17, "new", "end")}
      ${row(LEAVES, "", !is("rules"))}${row(STAYS, "draining-other", true)}
      ${box("picture-client", { ...client, y: 73, height: 48 }, 24)}${text("picture-client-name", client.x + client.width / 2, 102, "Client", "middle")}
      ${pod(LEAVES, is("ended") ? "picture-nothing" : "picture-pod", 34, state)}${pod(STAYS, "picture-pod draining-other", 110, "ready")}
      ${is("ended") ? cross(to - 8, KEPT_Y) + (is("rules") ? "" : cross(to - 8, ROWS[LEAVES])) : ""}`;
  };

  // Time runs from left to right. Long seconds in which nothing changes are left out.
  const timeline = ({ x, width }, { events, end }) => {
    const early = Math.max(...Object.values(events).filter((ms) => ms < events.ended - 2000), 0) + 700;
    const late = events.ended - 600;
    const isCut = late - early > 1500;
    const knots = isCut ? [[-BEFORE_MS, 0], [early, 0.5], [late, 0.58], [end, 1]] : [[-BEFORE_MS, 0], [end, 1]];
    const at = (ms) => {
      const next = Math.max(1, knots.findIndex(([moment]) => ms <= moment));
      const [[begin, from], [until, to]] = [knots[next - 1], knots[next]];
      return x + width * (from + ((Math.max(begin, Math.min(ms, until)) - begin) / (until - begin)) * (to - from));
    };
    return { at, cut: isCut ? [early, late] : [Infinity, Infinity] };
  };

  const lanes = ({ plot, lanes: { y: top, step, bar, beside } }, seen) => {
    const { events, kept, opened, end, now, before, is } = seen;
    const { at, cut } = timeline(plot, seen);
    const isShown = (ms) => ms <= now && !(ms > cut[0] && ms < cut[1]);
    const fresh = (ms) => (ms > before ? " data-appear" : "");
    const bars = (y, parts) =>
      parts
        .filter(([begin]) => begin <= now)
        .map(([begin, until, words, kind]) => {
          const [x, width] = [at(begin), at(Math.min(until, now)) - at(begin)];
          const label = width > 6.2 * words.length + 12 ? text("draining-words", x + 7, y + bar / 2 + 4.5, words) : "";
          return `<g${fresh(begin)}>${box(kind, { x, y, width: Math.max(width, 1), height: bar }, 4)}${label}</g>`;
        })
        .join("");
    const ticks = (moments, y, height, kind) => {
      const path = (some) => some.map((ms) => `M${at(ms).toFixed(1)} ${y}v${height}`).join("");
      const shown = moments.filter(isShown);
      return `<path class="draining-tick ${kind}" d="${path(shown.filter((ms) => ms <= before))}"/><path data-appear class="draining-tick ${kind}" d="${path(shown.filter((ms) => ms > before))}"/>`;
    };
    const met = (name) => opened.filter(([, who]) => who === name).map(([ms]) => ms);
    const failed = opened.filter((each) => isFailed(each) && isShown(each[0])).map(([ms]) => ms);
    const half = bar / 2 - 1;
    const told = events.signalled ?? events.ended;
    const all = [
      [`EndpointSlice: ${LEAVES}`, (y) => bars(y, [[-BEFORE_MS, events.listed, "ready", "draining-bar"], [events.listed, events.unlisted, "terminating", "draining-bar-ending"]])],
      ["Rules of worker1", (y) => bars(y, [[-BEFORE_MS, events.rules, `${LEAVES}, ${STAYS}`, "draining-bar"], [events.rules, end, `${STAYS} only`, "draining-bar draining-other"]])],
      ["New connections", (y) => ticks(met(LEAVES), y, half, "") + ticks(met(STAYS), y + half + 2, half, "draining-other") + failed.map((ms) => `<g${fresh(ms)}>${cross(at(ms), y + half / 2, 4.5)}</g>`).join("")],
      ["Kept connection", (y) => ticks(kept, y, bar, "") + (is("ended") ? `<g${fresh(events.ended)}>${cross(at(events.ended), y + bar / 2)}</g>` : "")],
      [`Program in ${LEAVES}`, (y) => bars(y, [[-BEFORE_MS, told, "serves", "draining-bar"], [told, events.ended, "told to end, serves on", "draining-bar-ending"]])],
    ];
    const drawn = all
      .map(([name, own], index) => {
        const y = top + index * step;
        return text("picture-note draining-lane", beside ? plot.x - 12 : plot.x, beside ? y + bar / 2 + 4.5 : y - 6, name, beside ? "end" : "start") + own(y);
      })
      .join("");
    const bottom = top + (all.length - 1) * step + bar + 6;
    const every = at(500) - at(0) > 40 ? 500 : 1000;
    const moments = Array.from({ length: Math.floor(end / every) + 1 }, (_, index) => index * every).filter((ms) => ms <= cut[0] || ms > cut[1] + 150);
    const axis = moments.map((ms) => `<path class="draining-axis" d="M${at(ms)} ${top - 4}V${bottom + 4}"/>${text("picture-note", at(ms), bottom + 18, ms / 1000 + (ms === 0 ? " s" : ""), "middle")}`).join("");
    const [from, to] = cut.map(at);
    const gap = cut[0] < now ? `<rect class="draining-gap" x="${from}" y="${top - 4}" width="${to - from}" height="${bottom + 8 - top}"/><text class="picture-note" x="${(from + to) / 2}" y="${bottom + 18}" text-anchor="middle">…</text>` : "";
    const hand = `<g data-move="now" data-at="${at(now)},0" transform="translate(${at(now)},0)"><path class="draining-hand" d="M0 ${top - 8}V${bottom + 4}"/></g>`;
    return axis + hand + drawn + gap;
  };

  define("draining-pod", { sizes: { wide: [680, 408], narrow: [340, 438] }, choices, question, steps, draw });
}
