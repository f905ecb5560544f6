// The journey of a connection through a NodePort: figures/scenarios/packet_journey.py has followed it.
{
  const { text, box } = figures;
  const [CARD_WIDTH, CARD_HEIGHT] = [204, 86];
  const journeyOf = (recorded, { mode, policy, entry }) =>
    recorded[mode].journeys.find((each) => each.policy === policy && each.entry === entry);
  const addressOf = (end) => end.split(":")[0];

  // A rule in the words of nft or iptables-save, behind its chain. Its comments are for administrators.
  const inWords = ({ chain, rule, verdict }) => {
    const target = verdict.split(" ").at(-1);
    const isSaid = verdict === "accept" || verdict === "continue" || rule.toLowerCase().includes(target.toLowerCase());
    return `${chain}: ${rule.replace(/-m comment --comment "[^"]*" /, "")}${isSaid ? "" : ` → ${verdict}`}`;
  };

  // In iptables each Pod but the last has a rule with a probability. A rule that is passed over leaves no trace; the
  // chain is the same on each Node, so the rule is among those that other connections have met.
  const passedOver = ({ journeys }, { chain, rule }) =>
    rule.includes(" --probability ")
      ? undefined
      : journeys
          .flatMap(({ there }) => there.flatMap(({ steps }) => steps))
          .find((each) => each.chain === chain && each.rule.includes(" --probability "));

  // What happens on the way, each with where the packet is then (a Node, a Pod, or the client) and what stands on it.
  const steps = (recorded, chosen) => {
    const { nodes, pods, port } = recorded[chosen.mode];
    const journey = journeyOf(recorded, chosen);
    const [first] = journey.there;
    const rules = first.steps.filter(({ kind }) => kind === "rule");
    const pod = pods.find(({ name }) => name === journey.pod);
    const found = [];
    const add = (says, at, packet, more = {}) => found.push({ says, at, ...packet, ...more });
    let packet = { from: first.source, to: first.destination };

    add(`A client outside sends the first packet of a connection to ${first.node}, at port ${port}. Of Pods it knows nothing.`, "client", packet);
    const entrance = rules.find(({ rule }) => / th dport vmap | --dport /.test(rule));
    if (first.outcome === "dropped") {
      add(`${first.node} has no Pod of this Service, and with the policy Local it may lead to no other Node's. A rule drops the packet. Nobody tells the client.`, first.node, packet, {
        badge: "dropped", isLost: true, title: "The rule that drops it", code: inWords(rules.at(-1)),
      });
      const [, again] = journey.asked;
      if (again) add(`The client waits. After ${Math.round(again)} second it sends the same packet again, which is dropped, too.`, first.node, packet, { badge: "dropped again", isLost: true });
      add(`Nothing came. This client gave up after ${journey.seconds[0]} seconds. From another network it could not tell this from a Node that is switched off; in the Node's own network that is No route to host, after some seconds.`, "client", packet, { badge: "no answer", isLost: true });
      return found;
    }

    add(`No program of ${first.node} listens at the port. A rule of the kernel takes the packet, and leads it to the Service's own rules.`, first.node, packet, {
      title: "The rule for the port", code: inWords(entrance),
    });
    const mark = rules.find(({ rule, hook }) => hook === "prerouting" && /0x0*4000/.test(rule));
    if (mark) add("The policy is Cluster. So the packet gets a mark, unseen from outside: its source has to be changed later on.", first.node, packet, { title: "The rule that marks it", code: inWords(mark) });

    for (const { kind, before, after } of first.steps) {
      if (kind === "dnat") {
        const deciding = rules.filter(({ rule }) => / --probability | dnat | DNAT /.test(rule) || rule.includes(`-> ${after}"`));
        const isRandom = chosen.policy === "Cluster";
        const isWhichPod = isRandom && pods.some(({ node }) => node === chosen.entry); // what is asked, see `question`
        const passed = isRandom && passedOver(recorded[chosen.mode], deciding[0]);
        packet = { ...packet, to: after };
        const picked = isRandom ? `One of the two Pods is picked, at random. Of several connections this is one that was led to ${pod.node}.${passed ? " There was an even chance that a rule of the other Pod had taken it: it comes first." : ""}` : `With the policy Local only the Pods of ${first.node} count, and it has one.`;
        add(`${picked} The packet's destination becomes the address of this Pod. That is DNAT.`, first.node, packet, { decides: isWhichPod, changed: "to", was: before, badge: "DNAT", title: "What changes the destination", code: [...(passed ? [`(passed over) ${inWords(passed)}`] : []), ...deciding.map(inWords)].join("\n") });
      } else if (kind === "snat") {
        packet = { ...packet, from: after };
        add(`On the way out the source becomes an address of ${first.node}, at a port that is free. That is SNAT. So the answer will come back here.`, first.node, packet, { changed: "from", was: before, badge: "SNAT", title: "What changes the source", code: inWords(rules.findLast(({ hook }) => hook === "postrouting")) });
      }
    }
    for (const { node } of journey.there.slice(1)) add(`${first.node} passes it on. ${node}, the Node of the Pod, changes neither address.`, node, packet);
    const seen = nodes.find(({ address }) => address === addressOf(journey.saw));
    add(`The Pod gets the packet. Whom does it see as its client? ${seen ? `${addressOf(journey.saw)}, which is ${seen.name}.` : `${addressOf(journey.saw)}, the client itself: nothing has changed the source.`}`, journey.pod, packet, { decides: true });

    packet = { from: journey.back[0].source, to: journey.back[0].destination, isAnswer: true };
    add(`The Pod answers whom it sees: ${seen ? seen.name : "the client"}.`, journey.pod, packet);
    const last = journey.back.at(-1);
    for (const { kind, before, after } of last.steps) {
      if (kind === "dnat") {
        packet = { ...packet, to: after };
        add(`The answer is back at ${last.node}. There the kernel remembers the connection: it takes the SNAT back, so that the answer goes to the client.`, last.node, packet, { changed: "to", was: before, badge: "SNAT taken back", title: "By no rule", code: "conntrack, the kernel's table of connections" });
      } else if (kind === "snat") {
        packet = { ...packet, from: after };
        add(`It takes the DNAT back as well${seen ? "" : ", by what it remembers of the connection"}: the answer comes from the address that the client has asked.`, last.node, packet, { changed: "from", was: before, badge: "DNAT taken back", title: "By no rule", code: "conntrack, the kernel's table of connections" });
      }
    }
    add(`The client has its answer, and does not notice any of this. The connection stood after ${(1000 * journey.seconds[0]).toFixed(1)} ms. Its further packets go the same way, to the same Pod.`, "client", packet);
    return found;
  };

  const question = (recorded, { policy, entry }) => {
    if (policy === "Cluster" && entry === "control-plane")
      return {
        asks: "control-plane runs none of the two Pods. A client outside asks it at the NodePort. What happens?",
        options: [
          { says: "Nobody answers", why: "Each Node leads to all Pods of the Service, wherever they run. So control-plane answers, too." },
          { says: "A Pod answers, and sees the client's address", why: "A Pod did answer. But the source had been changed: the Pod saw control-plane." },
          { says: "A Pod answers, and sees control-plane's address", right: true, why: "control-plane changed the destination, to reach the Pod, and the source, so that the answer comes back." },
        ],
      };
    if (policy === "Cluster")
      return {
        asks: "worker1 has one of the two Pods itself. A client outside asks worker1. Which Pod answers?",
        options: [
          { says: "The one on worker1, since it is nearer", why: "Unless the Service has a trafficDistribution, nearness does not count. Of several connections this is one that was led to the other Node." },
          { says: "Any of the two", right: true, why: "Picked at random. Of several connections this is one that was led to the other Node." },
          { says: "The one that has less to do", why: "Nobody looks at load. The Pod is picked at random." },
        ],
      };
    if (entry === "control-plane")
      return {
        asks: "control-plane runs none of the two Pods, and the policy is Local. A client outside asks control-plane. What does it see?",
        options: [
          { says: "An answer of a Pod on another Node", why: "So it is with the policy Cluster. With Local a Node leads to its own Pods only." },
          { says: "A refusal", why: "That would be quick, and clear. But the packet is dropped, and nobody tells the client." },
          { says: "Nothing: it waits until it gives up", right: true, why: "The packet is dropped, and so is each repetition." },
        ],
      };
    return {
      asks: "The policy is Local, and worker1 has a Pod. A client outside asks worker1. Whom does the Pod see as its client?",
      options: [
        { says: "worker1", why: "So it is with the policy Cluster. With Local the source stays as it is." },
        { says: "The client itself", right: true, why: "The answer has to pass worker1 anyway, where the Pod is. So there is no need to change the source, and the Pod sees who really asks." },
      ],
    };
  };

  // Where things are.
  const places = {
    wide: {
      node: (index) => ({ x: 14 + 236 * index, y: 130, width: 220, height: 270 }),
      card: (node) => [node.x + 8, node.y + 26],
      pod: (node) => ({ x: node.x + 35, y: node.y + 146, width: 150, height: 58 }),
      cardOfPod: (node) => [node.x + 8, node.y + 34],
      names: (node) => [node.x + node.width / 2, node.y + 232, node.x + node.width / 2, node.y + 254, "middle"],
      port: (node) => [node.x + node.width / 2, node.y],
      client: { x: 190, y: 22, width: 126, height: 46 },
      cardOfClient: [334, 6],
      cluster: [4, 106, 712, 302],
      way: ({ client, from, to }) => [
        `M${client.x + client.width / 2} ${client.y + client.height}V84Q${client.x + client.width / 2} 98 ${client.x + client.width / 2 + (from.x + 110 < 253 ? -14 : 14)} 98H${from.x + 110 + (from.x + 110 < 253 ? 14 : -14)}Q${from.x + 110} 98 ${from.x + 110} 112V${from.y + 69}`,
        to && `M${from.x + 110} ${from.y + 69}H${to.x + 110}V${to.y + 146}`,
      ],
    },
    narrow: {
      node: (index) => ({ x: 22, y: 108 + 130 * index, width: 314, height: 122 }),
      card: (node) => [node.x + 6, node.y + 6],
      pod: (node) => ({ x: node.x + 214, y: node.y + 20, width: 96, height: 58 }),
      cardOfPod: (node) => [node.x + 22, node.y + 4],
      names: (node) => [node.x + 12, node.y + 112, node.x + 140, node.y + 112, "start"],
      port: (node) => [node.x + 278, node.y + 104],
      client: { x: 4, y: 26, width: 112, height: 44 },
      cardOfClient: [130, 6],
      cluster: [0, 100, 340, 398],
      way: ({ client, from, to }) => [
        `M11 ${client.y + client.height}V${from.y + 55}H${from.x + 20}`,
        to && (to === from ? `M${from.x + 200} ${from.y + 55}H${from.x + 214}` : `M11 ${from.y + 55}V${to.y + 55}H${to.x + 214}`),
      ],
    },
  };


  const card = ({ from, to, changed, was, badge, isAnswer, isLost }, [x, y]) => {
    const tops = { from: 42, to: changed === "from" ? 78 : 62, was: changed === "from" ? 59 : 79 };
    const row = (label, end, top) =>
      `${changed === label ? `<rect class="packet-changed" x="44" y="${top - 14}" width="152" height="19" rx="5"/>` : ""}` +
      text("packet-label", 12, top, label) +
      text(`packet-end${changed === label ? " packet-new" : ""}`, 50, top, end);
    const width = badge ? 7.6 * badge.length + 18 : 0;
    return `<g data-move="packet" data-at="${x},${y}" transform="translate(${x} ${y})" class="packet${isAnswer ? " packet-answer" : ""}${isLost ? " packet-lost" : ""}">
      <rect class="packet-card" width="${CARD_WIDTH}" height="${CARD_HEIGHT}" rx="9"/>
      ${text("packet-label", 12, 19, isAnswer ? "answer" : "packet")}
      ${badge ? `<g data-appear>${box("packet-badge", { x: CARD_WIDTH - 8 - width, y: 6, width, height: 18 }, 9)}${text("packet-badge-name", CARD_WIDTH - 8 - width / 2, 19, badge, "middle")}</g>` : ""}
      ${row("from", from, tops.from)}
      ${row("to", to, tops.to)}
      ${was ? text("packet-was", 50, tops.was, was) : ""}
    </g>`;
  };

  const draw = (recorded, chosen, number, layout) => {
    const here = places[layout];
    const { nodes, pods, port, client } = recorded[chosen.mode];
    const journey = journeyOf(recorded, chosen);
    const all = steps(recorded, chosen);
    const step = all[number];
    const nodeOf = (name) => here.node(nodes.findIndex((each) => each.name === name));
    const hasBeen = (...names) => all.slice(0, number + 1).some(({ at }) => names.includes(at));

    const target = pods.find(({ name }) => name === journey.pod);
    const ways = here.way({ client: here.client, from: nodeOf(chosen.entry), to: target && nodeOf(target.node) });
    const drawnNodes = nodes.map(({ name, address }) => {
      const node = nodeOf(name);
      const pod = pods.find((each) => each.node === name);
      const inside = here.pod(node);
      const [middle, line] = [inside.x + inside.width / 2, inside.y + 24];
      const [nameX, nameY, addressX, addressY, anchor] = here.names(node);
      const [portX, portY] = here.port(node);
      const isReached = pod && pod.name === journey.pod && hasBeen(pod.name);
      return `${pod
        ? `${box(`picture-pod${isReached ? " packet-reached" : ""}`, inside, 10)}${text("picture-name", middle, line, "Pod", "middle")}${text("packet-address", middle, line + 20, addressOf(pod.address), "middle")}`
        : `${box("picture-nothing", inside, 10)}${text("picture-note", middle, line + 10, "no Pod", "middle")}`}
        ${text("packet-name", nameX, nameY, name, anchor)}
        ${text("packet-address", addressX, addressY, address, anchor)}
        ${box(`packet-port${name === chosen.entry ? " packet-asked" : ""}`, { x: portX - 30, y: portY - 13, width: 60, height: 26 }, 13)}
        ${text(`packet-port-number${name === chosen.entry ? " packet-asked" : ""}`, portX, portY + 5, port, "middle")}`;
    });
    const { x, y, width, height } = here.client;
    const isPod = pods.some(({ name }) => name === step.at);
    const at = step.at === "client" ? here.cardOfClient : isPod ? here.cardOfPod(nodeOf(target.node)) : here.card(nodeOf(step.at));
    const [clusterX, clusterY, clusterWidth, clusterHeight] = here.cluster;
    return `${box("picture-cluster", { x: clusterX, y: clusterY, width: clusterWidth, height: clusterHeight }, 14)}
      ${nodes.map(({ name }) => box("picture-node", nodeOf(name), 11)).join("")}
      <path class="picture-way${hasBeen(chosen.entry) ? "" : "-quiet"}" d="${ways[0]}"/>
      ${target && hasBeen(target.name, ...(target.node === chosen.entry ? [] : [target.node])) ? `<path class="picture-way" d="${ways[1]}"/>` : ""}
      ${drawnNodes.join("")}
      <rect class="picture-client" x="${x}" y="${y}" width="${width}" height="${height}" rx="${height / 2}"/>
      ${text("picture-client-name", x + width / 2, y + 20, "Client", "middle")}
      ${text("packet-client-address", x + width / 2, y + 37, client, "middle")}
      ${card(step, at)}`;
  };

  figures.define("packet-journey", {
    sizes: { wide: [720, 412], narrow: [340, 502] },
    choices: (recorded) => [
      { id: "policy", label: "externalTrafficPolicy", options: ["Cluster", "Local"].map((value) => ({ value, label: value })) },
      { id: "mode", label: "kube-proxy's mode", options: Object.keys(recorded).map((value) => ({ value, label: value })) },
      { id: "entry", label: "The Node that is asked", options: [{ value: "control-plane", label: "control-plane, no Pod" }, { value: "worker1", label: "worker1, with a Pod" }] },
    ],
    question,
    steps,
    draw,
    still: (recorded, chosen) => steps(recorded, chosen).findLastIndex(({ badge, isAnswer }) => badge && !isAnswer),
  });
}
