// The range of NodePorts as a field of numbers, a hundred in a row, and Services that are given one.
{
  const { text, box } = figures;
  const COLUMNS = 100;
  const LEGEND = { given: "picked by Kubernetes", chosen: "asked for by number", refused: "refused", freed: "free again" };
  const ROWS_NAMED = 500; // ports from one row that has its number beside it to the next
  const CARD_HEIGHT = 58;
  // `cell` is the width and height of a port's place, `card` left, top and width, `above` where a port before the range
  // is, `legend` has where a symbol stands, and in which line above the last.
  const LAYOUTS = {
    wide: {
      size: [640, 446],
      left: 66,
      top: 112,
      above: 22,
      cell: [5.5, 9.5],
      card: [190, 14, 260],
      labels: 13.5,
      mark: 4.6,
      legend: { given: [72, 0], chosen: [252, 0], refused: [428, 0], freed: [526, 0] },
    },
    narrow: {
      size: [360, 510],
      left: 50,
      top: 126,
      above: 38,
      cell: [3, 9.5],
      card: [40, 14, 280],
      labels: 12.8,
      mark: 4.2,
      legend: { given: [58, -21], chosen: [58, 0], refused: [250, -21], freed: [250, 0] },
    },
  };

  const seen = (recorded) => Object.values(recorded)[0];
  const of = (events, kind) => events.find((event) => event.kind === kind);

  // What happens in each step: the events that it adds, and the one that its card shows.
  const scenes = ({ events }) => {
    const given = events.filter(({ kind }) => kind === "left-out");
    const one = (kind) => ({ adds: [of(events, kind)], shows: of(events, kind) });
    return [
      { adds: [], shows: given[0], isAsking: true },
      { adds: [given[0]], shows: given[0] },
      { adds: [given[1]], shows: given[1] },
      { adds: given.slice(2), shows: given.at(-1) },
      ...["lower", "upper", "taken", "outside", "deleted", "again"].map(one),
    ];
  };

  const steps = (recorded) => {
    const { first, split, last, events } = seen(recorded);
    const given = events.filter(({ kind }) => kind === "left-out");
    const [low, high, taken, outside, again] = ["lower", "upper", "taken", "outside", "again"].map((kind) => of(events, kind));
    const manifest = ({ asked }) => (asked ? `nodePort: ${asked}` : "no nodePort");
    return [
      {
        says: `All ${last - first + 1} NodePorts of the cluster, a hundred in a row. The first ${split - first}, up to ${split - 1}, are the lower part; the rest is the upper. A Service ${given[0].service} is made. Its manifest says no nodePort.`,
      },
      { says: `It is given ${given[0].port}.`, title: "In the Service's port, as the API server answers", code: `nodePort: ${given[0].port}` },
      { says: `The next one, ${given[1].service}, is given ${given[1].port}. So it is not the next number. It is any that is free in the upper part.` },
      {
        decides: true,
        says: `${given.length - 2} more are made. No number comes twice. None is from the lower part.`,
        title: "In the order in which they were given",
        code: given.map(({ port }) => port).join(" "),
      },
      {
        says: `Someone chooses: ${low.service} says ${manifest(low)}, and has it. The lower part is for this. As long as the upper part has a number left, nobody is given one from here who has not asked for it.`,
      },
      { says: `${high.service} asks for ${high.asked} in the upper part. Nobody had been given that by chance. So this works, too.` },
      {
        says: `${taken.service} asks for ${taken.asked}. That is the number which ${given[0].service} was given. So the Service is refused, and is not made.`,
        title: "The API server says",
        code: taken.refused,
      },
      { says: `${outside.service} asks for ${outside.asked}, and is refused: that is outside the range.`, title: "The API server says", code: outside.refused },
      { says: `${given[1].service} is deleted. Its number, ${given[1].port}, is free again.` },
      { says: `${again.service} asks for ${again.asked}, and has it.` },
    ];
  };

  const question = (recorded) => {
    const { first, split, last, events } = seen(recorded);
    const ports = events.filter(({ kind }) => kind === "left-out").map(({ port }) => port);
    const low = Math.min(...ports);
    return {
      asks: "A Service of type NodePort says no nodePort. Which number will Kubernetes give it?",
      options: [
        { says: `${first}, the first that is free`, why: `The first Service was given ${ports[0]}, the second ${ports[1]}. Nobody counts up.`, right: ports[0] === first },
        {
          says: `Any from ${first} to ${last}`,
          why: `Nearly. Of ${ports.length} numbers the lowest was ${low}. The first ${split - first} are left to those who choose a number.`,
          right: low < split,
        },
        {
          says: `Any from ${split} to ${last}`,
          why: `It is one of these at random: of ${ports.length}, the first was ${ports[0]}, the second ${ports[1]}, and the lowest ${low}.`,
          right: low >= split && ports[0] !== split,
        },
      ],
    };
  };

  const round = (point) => point.map((each) => each.toFixed(1)).join(",");

  // Where the field of ports is: its right and lower ends, the middle of a port's place, and the outline of some ports.
  const field = ({ first, last }, { left, top, above, cell: [width, height] }) => {
    const place = (port) => [(port - first) % COLUMNS, Math.floor((port - first) / COLUMNS)];
    const right = left + COLUMNS * width;
    const bottom = top + (place(last)[1] + 1) * height;
    const at = (port) => {
      const [column, row] = place(port);
      return port < first ? [right - 14, top - above] : [left + (column + 0.5) * width, top + (row + 0.5) * height];
    };
    const outline = (from, to) => {
      const [[x1, y1], [x2, y2]] = [place(from), place(to)];
      const [start, end] = [left + x1 * width, left + (x2 + 1) * width];
      const y = (row) => top + row * height;
      return y1 === y2
        ? `M${start} ${y(y1)}H${end}V${y(y1 + 1)}H${start}z`
        : `M${start} ${y(y1)}H${right}V${y(y2)}H${end}V${y(y2 + 1)}H${left}V${y(y1 + 1)}H${start}z`;
    };
    return { right, bottom, at, outline };
  };

  const background = ({ first, split, last }, layout) => {
    const { left, top, cell, labels } = LAYOUTS[layout];
    const [width, height] = cell;
    const { right, bottom, outline } = field({ first, last }, LAYOUTS[layout]);
    const band = (y, from, to, says) => `<text x="${left}" y="${y}" class="range-band" style="font-size: ${labels}px"><tspan class="range-name">${from}–${to}</tspan> ${says}</text>`;
    const rows = Array.from({ length: Math.ceil((last - first) / ROWS_NAMED) }, (_, index) => index * ROWS_NAMED);
    return [
      `<path class="range-upper" d="${outline(split, last)}"/>`,
      `<path class="range-lines" d="${[1, 2, 3, 4, 5, 6, 7, 8, 9].map((tens) => `M${left + tens * 10 * width} ${top}V${bottom - height}`).join("")}"/>`,
      `<path class="range-lower" d="${outline(first, split - 1)}"/>`,
      ...rows.map((row) => text("range-row", left - 6, top + (row / COLUMNS + 0.5) * height + 4.5, first + row, "end")),
      band(top - 9, first, split - 1, "for you to choose from"),
      band(bottom + 19, split, last, "Kubernetes picks from here"),
      layout === "wide" ? text("picture-note", right, bottom + 19, "a row: 100 ports", "end") : text("picture-note", left, bottom + 38, "a row: 100 ports"),
    ];
  };

  const SYMBOLS = {
    given: (size) => `<circle class="range-given" r="${size}"/>`,
    chosen: () => '<path class="range-chosen" d="M0-6.5 6.5 0 0 6.5-6.5 0z"/>',
    refused: () => '<path class="range-refused" d="M-6-6 6 6M6-6-6 6"/>',
    freed: (size) => `<circle class="range-freed" r="${size + 1}"/>`,
  };
  const symbolOf = ({ kind, refused, asked }) => (refused ? "refused" : kind === "deleted" ? "freed" : asked ? "chosen" : "given");
  const number = ({ port, asked }) => port ?? asked;

  // What the Service says, and what became of it.
  const card = ({ shows, adds, isAsking }, [left, top, width]) => {
    const { service, asked, port, refused, kind } = shows;
    const isMany = adds.length > 1;
    const name = isMany ? `Services ${adds[0].service} to ${service}` : `Service ${service}${kind === "deleted" ? ", deleted" : ""}`;
    const wants = kind === "deleted" ? `nodePort ${port}` : asked ? `nodePort: ${asked}` : "no nodePort";
    const result = isAsking ? "?" : refused ? "refused" : kind === "deleted" ? "free again" : isMany ? `${adds.length} ports` : port;
    return [
      box("picture-service", { x: left, y: top, width, height: CARD_HEIGHT }, 11),
      text("picture-service-name", left + width / 2, top + 24, name, "middle"),
      text("picture-number", left + width / 2, top + 45, `${wants} → ${result}`, "middle"),
    ];
  };

  // The newest port has its number beside it, towards the middle; above or below that if it would hide another port.
  const flag = (event, [x, y], isLeft, others) => {
    const name = symbolOf(event);
    const left = isLeft ? x - 68 : x + 14;
    const hides = (top) => others.filter(([otherX, otherY]) => otherX > left - 5 && otherX < left + 59 && otherY > top - 5 && otherY < top + 27).length;
    const top = [y - 11, y - 30, y + 8, y - 42, y + 20].reduce((best, each) => (hides(each) < hides(best) ? each : best));
    return `<g data-appear><circle class="range-ring range-ring-${name}" cx="${x}" cy="${y}" r="11"/><rect class="range-flag-${name}" x="${left}" y="${top}" width="54" height="22" rx="11"/>${text(`range-number range-number-${name}`, left + 27, top + 15.7, number(event), "middle")}</g>`;
  };

  const draw = (recorded, chosen, step, layout) => {
    const range = seen(recorded);
    const { size, left, mark, legend, card: place } = LAYOUTS[layout];
    const { right, at } = field(range, LAYOUTS[layout]);
    const all = scenes(range);
    const scene = all[step];
    const dot = (event, point, isHidden) =>
      `<g data-move="${event.service}-${event.kind}" data-at="${round(point)}" transform="translate(${round(point)})"${isHidden ? ' opacity="0"' : ""}>${SYMBOLS[symbolOf(event)](mark)}</g>`;

    // A port belongs to who had it last. Who was refused is seen in that step only.
    const owners = new Map();
    for (const event of all.slice(0, step + 1).flatMap(({ adds }) => adds)) if (!event.refused) owners.set(event.port, event);
    const shown = [...owners.values(), ...scene.adds.filter(({ refused }) => refused)];
    // Those of the next step wait, unseen, at the card: from there they go to their places.
    const waiting = (all[step + 1]?.adds ?? []).filter(({ kind }) => kind !== "deleted");
    const start = [place[0] + place[2] / 2, place[1] + CARD_HEIGHT];

    return [
      ...card(scene, place),
      ...background(range, layout),
      ...shown.map((event) => dot(event, at(number(event)))),
      ...waiting.map((event) => dot(event, start, true)),
      ...(scene.adds.length === 1 ? scene.adds : []).map((event) => flag(event, at(number(event)), at(number(event))[0] > (left + right) / 2, [...owners.keys()].filter((port) => port !== number(event)).map(at))),
      ...Object.entries(legend).map(([name, [x, up]]) => `<g transform="translate(${x} ${size[1] - 16.5 + up})">${SYMBOLS[name](mark)}</g>${text("picture-note", x + 12, size[1] - 12 + up, LEGEND[name])}`),
    ].join("");
  };

  figures.define("nodeport-range", { sizes: { wide: LAYOUTS.wide.size, narrow: LAYOUTS.narrow.size }, question, steps, draw });
}
