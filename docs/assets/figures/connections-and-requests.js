// Requests of one client as dots that go to Pods, and the connections by which they go as threads.
{
  const { define, escape, box } = figures;
  const SHAPES = {
    wide: {
      client: { x: 150, y: 10, width: 380, height: 66 },
      service: { x: 20, y: 166, width: 640, height: 70 },
      pods: { x: [22, 242, 462], y: 318, width: 196, height: 74 },
      threads: [172, 508],
      columns: 10,
      label: [20, 112],
    },
    narrow: {
      client: { x: 4, y: 6, width: 332, height: 66 },
      service: { x: 4, y: 160, width: 332, height: 64 },
      pods: { x: [4, 119, 234], y: 296, width: 102, height: 112 },
      threads: [116, 318],
      columns: 5,
      label: [6, 106],
    },
  };
  const DOT = 17; // pixels from one to the next
  const WAITING_DOT = 15;
  const WAYS = {
    new: { label: "new each time", option: "--http1.1 -H 'Connection: close'", service: "web" },
    kept: { label: "kept", option: "--http1.1", service: "web" },
    http2: { label: "HTTP/2", option: "--http2 --parallel", service: "web" },
    affinity: { label: "affinity", option: "--http1.1 -H 'Connection: close'", service: "sticky" },
  };

  const wayOf = (recorded, { way }) => Object.values(recorded)[0].ways[way];
  const podsOf = (recorded) => Object.values(recorded)[0].pods;
  const answersOf = (recorded, chosen) =>
    podsOf(recorded).map((pod) => wayOf(recorded, chosen).requests.filter((each) => each.pod === pod).length);
  const listed = (texts) => [texts.slice(0, -1).join(", "), texts.at(-1)].filter(Boolean).join(" and ");

  // How many requests have been sent when a step is over; of HTTP/2 all go at once.
  const sentBy = ({ way }) => (way === "http2" ? [0, 0, 20, 20] : [0, 1, 2, 10, 20, 20]);

  const choices = () => [
    { id: "way", label: "The client's connections", options: Object.entries(WAYS).map(([value, { label }]) => ({ value, label })) },
  ];

  const question = (recorded, chosen) => {
    const met = answersOf(recorded, chosen).filter(Boolean).length;
    const asks = {
      new: "A client sends 20 requests to a Service with three Pods, each by a new connection. Which Pods get them?",
      kept: "A client sends 20 requests, one after another, by one connection that it keeps open. Which of the three Pods get them?",
      http2: "A client sends 20 requests at the same time, by one connection of HTTP/2. Which of the three Pods get them?",
      affinity: "The Service says sessionAffinity: ClientIP. A client sends 20 requests, each by a new connection. Which of the three Pods get them?",
    }[chosen.way];
    const one = {
      new: "That would be so if all went by one connection. Each connection is picked for anew.",
      kept: "A Pod is picked when the connection is opened. What goes by it later goes the same way.",
      http2: "Many requests at once are still one connection. A Pod was picked for it when it was opened.",
      affinity: "The first connection was picked for. From then on this client's address leads to the same Pod.",
    }[chosen.way];
    const several = {
      new: "A Pod is picked for each connection, at random. So the Pods get about as many, but neither in turn nor exactly.",
      kept: "The rules pick for connections. They do not look into one, and do not see where a request begins.",
      http2: "Streams of HTTP/2 lie within the connection, where rules do not look. Only a proxy that reads HTTP/2, or the client itself by more connections, could share them out.",
      affinity: "Without affinity it would be so. With it, the Node remembers to which Pod it has led this client.",
    }[chosen.way];
    const { requests } = wayOf(recorded, chosen);
    const isTwice = requests.some(({ pod }, index) => pod === requests[index - 1]?.pod);
    const turns = {
      new: `Nobody keeps count. The same Pod may come twice in a row${isTwice ? ", as it did here" : ""}.`,
      kept: "Nobody takes turns, and here nobody picks a second time at all.",
      http2: "Nobody takes turns, and here nobody picks a second time at all.",
      affinity: "Nobody takes turns, and here only the first connection was picked for.",
    }[chosen.way];
    return {
      asks,
      options: [
        { says: "One Pod gets all of them", why: one, right: met === 1 },
        { says: "The Pods take turns: 7, 7 and 6", why: turns },
        { says: "Several Pods, by chance", why: several, right: met > 1 },
      ],
    };
  };

  const steps = (recorded, chosen) => {
    const { requests } = wayOf(recorded, chosen);
    const { option, service } = WAYS[chosen.way];
    const [first, second] = requests;
    const all = answersOf(recorded, chosen).map((count, index) => `${podsOf(recorded)[index]} answered ${count}`);
    const took = Math.round(requests.reduce((sum, each) => sum + each.milliseconds, 0));
    const begin = {
      says: {
        new: "A client wants 20 answers of the Service web. It opens a new connection for each. Three Pods are behind the Service.",
        kept: "A client wants 20 answers of the Service web. It opens one connection, and keeps it open. Three Pods are behind the Service.",
        http2: "A client wants 20 answers of the Service web. It speaks HTTP/2, which carries many requests at once. Three Pods are behind the Service.",
        affinity: "The Service sticky has the same three Pods, and says sessionAffinity: ClientIP. A client opens a new connection for each of 20 requests.",
      }[chosen.way],
      title: "In a Pod; by https, since curl agrees on HTTP/2 by TLS, and --insecure, since the certificate is our own",
      code: `curl --insecure ${option} 'https://${service}/hostname?[1-20]'`,
    };
    if (chosen.way === "http2")
      return [
        begin,
        { says: `The client opens one connection, from its port ${first.port}. The rules of its Node pick a Pod for this connection: ${first.pod}. No request has been sent yet.` },
        { says: `All 20 requests go out at once. Each is a stream of its own, but all streams lie within the one connection. The rules see packets of a connection that belongs to ${first.pod}.` },
        { says: `20 requests, 1 connection: ${first.pod} answered all. The other Pods have nothing to do, and a fourth Pod would have nothing either. gRPC goes by HTTP/2, and fares the same.` },
      ];
    const [one, two, more, end] = {
      new: [
        `Request 1. The client opens a connection, from its port ${first.port}. The rules of its Node pick a Pod for this connection, at random: ${first.pod}. With the answer the connection is closed.`,
        `Request 2 goes by another connection, from port ${second.port}. A Pod is picked anew: ${second.pod}.`,
        "by a new connection each, and each of them is picked for.",
        `20 requests, 20 connections: ${listed(all)}. Neither in turn nor exactly even, for each pick is by chance.`,
      ],
      kept: [
        `Request 1. The client opens a connection, from its port ${first.port}. The rules of its Node pick a Pod for this connection, at random: ${first.pod}. It stays open.`,
        `Request 2 goes by the same connection. That belongs to ${second.pod} already, so nothing is picked.`,
        "by the same connection. The rules never see where one request ends and the next begins.",
        `20 requests, 1 connection: ${first.pod} answered all, in ${took} ms. The other Pods have nothing to do, and a fourth Pod would have nothing either.`,
      ],
      affinity: [
        `Request 1. The client opens a connection, from its port ${first.port}. The rules of its Node pick a Pod: ${first.pod}. They remember it for this client's address.`,
        `Request 2 goes by another connection, from port ${second.port}. The address is known, so it goes to ${second.pod} again.`,
        "by a new connection each. None is picked for: the address decides.",
        `20 requests, 20 connections: ${first.pod} answered all. At this Node and port, whoever has the same address meets the same Pod, until it opens no connection for three hours, unless you say otherwise.`,
      ],
    }[chosen.way];
    return [begin, { says: one }, { says: two }, { says: `Requests 3 to 10 go ${more}` }, { says: "Requests 11 to 20 do likewise." }, { says: end }];
  };

  const draw = (recorded, chosen, step, layout) => {
    const shape = SHAPES[layout];
    const { client, service, pods, threads } = shape;
    const { requests } = wayOf(recorded, chosen);
    const sent = sentBy(chosen);
    const done = sent[step];
    const before = sent[Math.max(0, step - 1)];
    const isOne = requests.every((each) => each.port === requests[0].port);
    const names = podsOf(recorded);
    const isLast = step === sent.length - 1;

    // Where the connection of a request leaves the client, and where it comes to its Pod.
    const leaves = (index) => (isOne ? (threads[0] + threads[1]) / 2 : threads[0] + ((threads[1] - threads[0]) * index) / 19);
    const comes = (index) => {
      const left = pods.x[names.indexOf(requests[index].pod)];
      return isOne ? left + pods.width / 2 : left + 10 + ((pods.width - 20) * index) / 19;
    };
    const bottom = { client: client.y + client.height, service: service.y + service.height };
    const thread = (index, kind) => {
      const [from, to] = [leaves(index), comes(index)];
      const third = service.height / 2;
      return `<path class="requests-thread ${isOne ? "requests-kept" : kind}" d="M${from} ${bottom.client}V${service.y}C${from} ${service.y + third} ${to} ${bottom.service - third} ${to} ${bottom.service}V${pods.y}"/>`;
    };
    const isOpen = (index) => isOne || (index >= before && index < done && !isLast);
    const opened = isOne ? (step > 0 ? [0] : []) : [...requests.keys()].slice(0, done);

    const waiting = (index) => [client.x + client.width - 10 * WAITING_DOT + (index % 10) * WAITING_DOT, client.y + 25 + Math.floor(index / 10) * DOT];
    const arrived = (index) => {
      const nth = requests.slice(0, index).filter((each) => each.pod === requests[index].pod).length;
      const left = pods.x[names.indexOf(requests[index].pod)] + (pods.width - (shape.columns - 1) * DOT) / 2;
      return [left + (nth % shape.columns) * DOT, pods.y + 43 + Math.floor(nth / shape.columns) * DOT];
    };
    const dot = (_, index) => {
      const at = (index < done ? arrived : waiting)(index);
      const [from, to] = [leaves(index), comes(index)];
      const via = `${from},${bottom.client} ${from},${service.y} ${to},${bottom.service} ${to},${pods.y}`;
      // One after another, or as good as together.
      const after = Math.max(0, index - before) * (chosen.way === "http2" ? 0.02 : 0.12);
      return `<g data-move="${index}" data-at="${at}" data-via="${via}" data-after="${after}" transform="translate(${at})"><circle class="requests-dot" r="5.5"/></g>`;
    };
    const port = (index) => {
      const [x, y] = [leaves(index), (bottom.client + service.y) / 2];
      return `<rect class="requests-tag" x="${x - 44}" y="${y - 12}" width="88" height="24" rx="12"/><text class="picture-number" x="${x}" y="${y + 4.5}" text-anchor="middle">port ${requests[index].port}</text>`;
    };
    const tagged = isOne ? step > 0 && 0 : done > 0 && done < 3 && done - 1;

    const pod = (name, index) => {
      const [count, had] = [done, before].map((sent) => requests.slice(0, sent).filter((each) => each.pod === name).length);
      const x = pods.x[index];
      const isIdle = isLast && !count;
      return `${box(isIdle ? "picture-nothing" : "picture-pod", { ...pods, x }, 10)}
        <text class="picture-name" x="${x + 12}" y="${pods.y + 23}">${escape(name)}</text>
        <text${count > had ? " data-appear" : ""} class="picture-number" x="${x + pods.width - 12}" y="${pods.y + 23}" text-anchor="end">${count}</text>
        ${isIdle ? `<text class="picture-note" x="${x + pods.width / 2}" y="${pods.y + 52}" text-anchor="middle">nothing</text>` : ""}`;
    };
    const connections = opened.length;
    const [labelX, labelY] = shape.label;
    return `${box("picture-client", client, 12)}
      <text class="picture-client-name" x="${client.x + 16}" y="${client.y + 29}">Client</text>
      <text class="requests-client-note" x="${client.x + 16}" y="${client.y + 48}">${step === 0 ? "20 to send" : `${done} sent, ${connections} ${connections === 1 ? "connection" : "connections"}`}</text>
      <text class="picture-service-name" x="${labelX}" y="${labelY}">Service</text>
      <text class="picture-service-name" x="${labelX}" y="${labelY + 18}">${WAYS[chosen.way].service}</text>
      ${box("picture-service", service, 11)}
      ${opened.map((index) => thread(index, isOpen(index) ? "requests-open" : "requests-closed")).join("")}
      ${names.map(pod).join("")}
      ${tagged === false ? "" : port(tagged)}
      ${requests.map(dot).join("")}`;
  };

  define("connections-and-requests", {
    sizes: { wide: [680, 402], narrow: [340, 416] },
    choices,
    question,
    steps,
    draw,
  });
}
