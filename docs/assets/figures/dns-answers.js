// A Pod asks DNS for a name, and connects by what it is answered: the one address of a Service, or those of Pods.
{
  const { escape } = figures;
  // Each place is [left, top, width, height].
  const LAYOUTS = {
    wide: {
      size: [640, 408],
      client: [24, 26, 170, 62],
      dns: [386, 16, 230, 116],
      clusterIp: [175, 176, 290, 62],
      none: [386, 146, 230, 54],
      pods: [24, 228, 432].map((left) => [left, 290, 184, 102]),
      letters: 14,
    },
    narrow: {
      size: [360, 424],
      client: [6, 22, 122, 62],
      dns: [158, 10, 196, 118],
      clusterIp: [40, 186, 280, 62],
      none: [196, 142, 158, 54],
      pods: [6, 125, 244].map((left) => [left, 304, 110, 104]),
      letters: 13,
    },
  };
  const WORDS = ["no", "one", "two", "three", "four", "five", "six"];

  const seen = (recorded) => Object.values(recorded)[0];
  const asked = (recorded, { name }) => seen(recorded).questions.find((each) => each.name === name);
  const isAddress = ({ type }) => type === "A";
  const plural = (count, word) => `${WORDS[count]} ${word}${count === 1 ? "" : word.endsWith("s") ? "es" : "s"}`;
  const capital = (text) => text[0].toUpperCase() + text.slice(1);
  const listed = (names, word) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} ${word} ${names.at(-1)}` : names[0]);
  // The Service that a name is of, or beneath, as db-0.db is beneath db.
  const serviceOf = (data, name) => data.services.find((each) => each.name === name.split(".").at(-1));
  const isHeadless = ({ address }) => address === "None";
  const port = (record) => Number(record.data.split(" ")[2]);

  const choices = (recorded) => [
    {
      id: "name",
      label: "The client asks DNS for",
      options: seen(recorded).questions.map(({ name, type }) => ({ value: name, label: isAddress({ type }) ? name : `${type} ${name.split(".").at(-1)}` })),
    },
  ];

  // The scenes of a question: what is where, in each step.
  const scenes = (data, { name, records, connections }) => {
    const ask = ["start", "asks", "answered"];
    if (!connections.length) return [...ask, "end"];
    return isHeadless(serviceOf(data, name)) ? [...ask, "pod", "all"] : [...ask, "virtual", "pod", "all"];
  };
  const counted = (data, { connections }) => data.pods.map(({ name }) => ({ name, count: connections.filter(({ by }) => by === name).length }));

  const about = (data, name) => {
    const own = serviceOf(data, name);
    const ready = data.pods.filter((pod) => pod.ready).length;
    const pods = `Behind it are ${plural(data.pods.length, "Pod")}, and ${WORDS[ready]} of them ${ready === 1 ? "is" : "are"} ready.`;
    if (name === own.name)
      return !isHeadless(own)
        ? `${name} is a Service with a ClusterIP. ${pods}`
        : `${name} is a headless Service${own.publishNotReadyAddresses ? " with publishNotReadyAddresses: true" : ""}. ${pods}`;
    const pod = data.pods.find((each) => name === `${each.name}.${own.name}`);
    if (pod) return `${name} is the name of a Pod of a StatefulSet, before that of its headless Service. The Pod is ${pod.ready ? "ready" : "not ready"}.`;
    return `${own.name} is a ${isHeadless(own) ? "headless Service" : "Service with a ClusterIP"}. Its port http says port: ${own.port} and targetPort: ${own.targetPort}.`;
  };

  const question = (recorded, chosen) => {
    const data = seen(recorded);
    const { name, type, records } = asked(recorded, chosen);
    if (!isAddress({ type })) {
      const own = serviceOf(data, name);
      const told = new Set(records.map(port));
      const why = `DNS says ${[...told].join(" and ")}. ${isHeadless(own) ? "The client will be connected with a Pod itself, and nobody changes the port on the way." : "At the Service's address that is the port, and the rules lead to the Pods' own."}`;
      return {
        asks: `${about(data, name)} A client that does not know the port asks for the SRV record. Which port does it say?`,
        options: [own.port, own.targetPort].map((each) => ({ says: `${each}`, why, right: told.size === 1 && told.has(each) })),
      };
    }
    const count = records.length;
    const why = !count
      ? "The Service db does not publish Pods that are not ready, so this name is not found."
      : !isHeadless(serviceOf(data, name))
        ? "It is the Service's own address. However many Pods there are, the client sees none of their addresses."
        : name.includes(".")
          ? "The name stands for this one Pod, and leads to its own address."
          : count === data.pods.length
            ? "These are the addresses of all Pods, ready or not: the Service says publishNotReadyAddresses."
            : "These are the addresses of the Pods that are ready.";
    return {
      asks: `${about(data, name)} How many addresses does DNS answer?`,
      options: (name.includes(".") ? [0, 1] : [1, 2, 3]).map((each) => ({
        says: each ? capital(plural(each, "address")) : "None: there is no such name",
        why: `DNS answers ${count ? plural(count, "address") : "that there is no such name"}. ${why}`,
        right: each === count,
      })),
    };
  };

  const steps = (recorded, chosen) => {
    const data = seen(recorded);
    const it = asked(recorded, chosen);
    const { name, type, status, records, connections, failure, port: at } = it;
    const service = serviceOf(data, name);
    const told = data.pods.filter((pod) => records.some((each) => each.data === pod.address)).map((pod) => pod.name);
    const met = counted(data, it).filter(({ count }) => count);
    const first = connections[0];
    const words = {
      start: () => ({ says: about(data, name) }),
      asks: () => ({
        says: `The client asks the cluster's DNS, ${data.server}, for the ${isAddress({ type }) ? "addresses" : "SRV records"} of ${name}.`,
        title: "In a Pod of the same namespace",
        code: `dig +search ${isAddress({ type }) ? "" : `${type} `}${name}`,
      }),
      answered: () => {
        if (!records.length) return { decides: true, says: `DNS answers ${status}: there is no such name.` };
        const whose = isHeadless(service) ? `${told.length === 1 ? "that" : "those"} of ${listed(told, "and")}` : "the ClusterIP of the Service";
        return {
          decides: true,
          says: isAddress({ type })
            ? `DNS answers ${plural(records.length, "address")}: ${whose}. The client may keep the answer for ${records[0].ttl} seconds.`
            : `DNS answers ${plural(records.length, "record")}, each with priority, weight, port and name.`,
          title: "Name, seconds to live, type, data; names are without their end, .NAMESPACE.svc.cluster.local",
          code: records.map((each) => `${name}  ${each.ttl}  ${each.type}  ${each.data}`).join("\n"),
        };
      },
      virtual: () => ({ says: `The client connects to ${first.to}. No machine has that address. But each Node has rules of kube-proxy's for it.` }),
      pod: () => {
        if (!isHeadless(service)) return { says: `The rules of the client's Node pick a ready Pod. This time it is ${first.by}, and they lead there to port ${service.targetPort}.` };
        if (records.length === 1) return { says: `The client connects to ${first.to}, so to ${first.by} itself.` };
        return {
          says: `The client itself takes one of the addresses, and connects to ${first.to}. That is ${first.by}. Nobody stands between: there is no ClusterIP, and there are no rules. So the client has to know the Pod's own port, ${at}.`,
        };
      },
      all: () => {
        const unready = met.filter((each) => !data.pods.find((pod) => pod.name === each.name).ready).map((each) => each.name);
        const who = isHeadless(service) ? (records.length > 1 ? `Each time the client asked DNS, and chose. It is glibc, by which curl looks names up, that prefers an address of its own network: that of a Pod on its own Node, ${data.client.node}. Nobody shares connections out here.` : "The name leads to no other Pod.") : "The client asked the same address each time; the rules chose.";
        return {
          says: `${capital(plural(connections.length, "connection"))}, one after another: ${listed(met.map((each) => `${each.name} answered ${each.count}`), "and")}. ${who}${unready.length ? ` Even ${unready} was chosen, which is not ready.` : ""}`,
        };
      },
      end: () => {
        if (failure) return { says: `So there is no address to connect to. A connection by this name fails: ${failure}.` };
        const ends = records
          .map((each) => each.data.split(" "))
          .map(([, , number, host]) => `${it.additional.find((each) => each.name === host).address}:${number}`);
        return {
          says: `In the same message DNS sends along the address of ${ends.length === 1 ? "that name" : "each name"}. So a client that knows SRV records can connect to ${listed(ends, "or")} without another question. Most clients do not ask for SRV records.`,
          title: "The additional section: name and address",
          code: it.additional.map((each) => `${each.name}  ${each.address}`).join("\n"),
        };
      },
    };
    return scenes(data, it).map((scene) => words[scene]());
  };

  const draw = (recorded, chosen, step, layout) => {
    const data = seen(recorded);
    const it = asked(recorded, chosen);
    const { name, type, records, connections } = it;
    const { client, dns, clusterIp, none, pods, letters } = LAYOUTS[layout];
    const all = scenes(data, it);
    const scene = all[step];
    const reached = (each) => all.includes(each) && all.indexOf(each) <= step;
    const service = serviceOf(data, name);
    const first = connections[0];
    const told = reached("answered") ? records.map((each) => each.data) : [];

    const middle = ([left, , width]) => left + width / 2;
    const top = (place) => [middle(place), place[1]];
    const bottom = (place) => [middle(place), place[1] + place[3]];
    const podOf = (pod) => pods[data.pods.findIndex((each) => each.name === pod)];
    const box = (kind, [x, y, width, height], round = 11) => figures.box(kind, { x, y, width, height }, round);
    const line = (place, y, kind, said) => `<text class="${kind}" x="${middle(place)}" y="${place[1] + y}" text-anchor="middle" style="font-size: ${letters}px">${escape(said)}</text>`;
    const title = (place, y, kind, said) => figures.text(kind, middle(place), place[1] + y, said, "middle");
    const appears = (parts) => `<g data-appear>${parts.join("")}</g>`;
    const way = (kind, [x1, y1], [x2, y2]) => {
      const length = Math.hypot(x2 - x1, y2 - y1);
      const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
      const [x, y] = [x2 - 8 * dx, y2 - 8 * dy];
      return `<path class="picture-way${kind}" d="M${x1} ${y1}L${x} ${y}"/><path class="picture-tip${kind}" d="M${x2} ${y2}L${x - 5 * dy} ${y + 5 * dx} ${x + 5 * dy} ${y - 5 * dx}z"/>`;
    };

    const y = client[1] + 31;
    const there = [[client[0] + client[2], y - 9], [dns[0], y - 9]];
    const back = [[dns[0], y + 9], [client[0] + client[2], y + 9]];
    const from = bottom(client);
    const entry = [Math.max(clusterIp[0] + 45, from[0]), clusterIp[1]];
    const parts = [];

    // The client and DNS.
    if (reached("asks")) parts.push(way("-quiet", ...there));
    if (reached("answered")) parts.push(way("-quiet", ...back));
    parts.push(box("picture-client", client, 31), title(client, 27, "picture-client-name", "Client"), line(client, 47, "picture-client-number", data.client.address));
    parts.push(box("picture-service", dns), title(dns, 25, "picture-service-name", "DNS"));
    if (reached("asks")) parts.push(appears([line(dns, 46, "picture-note", `${name} ${type}?`)]));
    if (reached("answered")) parts.push(appears((records.length ? told : ["no such name"]).map((each, index) => line(dns, 69 + 19 * index, "picture-number dns-answer", each))));

    // The Service.
    if (isHeadless(service)) {
      parts.push(box("picture-nothing", none), title(none, 22, "picture-name", `${layout === "wide" ? "Service " : ""}${service.name}`), line(none, 41, "picture-note", "no address, no rules"));
    } else {
      const isTold = told.includes(service.address);
      parts.push(box(isTold ? "picture-service" : "picture-node", clusterIp, 30), title(clusterIp, 26, isTold ? "picture-service-name" : "picture-name", `Service ${service.name}`));
      parts.push(line(clusterIp, 47, `picture-number${isTold ? " dns-answer" : ""}`, `${service.address}:${service.port}`));
    }

    // The Pods, and the ways to them.
    if (reached("virtual")) parts.push(way("", from, entry));
    const tally = counted(data, it);
    const met = !reached("pod") ? [] : reached("all") ? tally.filter(({ count }) => count).map((each) => each.name) : [first.by];
    for (const pod of met) parts.push(way("", isHeadless(service) ? from : bottom(clusterIp), top(podOf(pod))));
    for (const [index, pod] of data.pods.entries()) {
      const place = pods[index];
      const isTold = told.includes(pod.address);
      const kind = isTold || met.includes(pod.name) ? "picture-pod" : pod.ready ? "picture-node" : "picture-nothing";
      parts.push(box(`${kind}${pod.ready ? "" : " dns-not-ready"}`, place, 10), title(place, 25, "picture-name", pod.name));
      parts.push(line(place, 46, `picture-number${isTold ? " dns-answer" : ""}`, pod.address), line(place, 66, "picture-note", pod.ready ? "ready" : "not ready"));
      const { count } = tally[index];
      if (reached("all")) parts.push(appears([line(place, 89, count ? "picture-service-name" : "picture-note", `${layout === "wide" ? "answered " : ""}${count} of ${connections.length}`)]));
    }

    // The question or the connection on its way.
    const at = { start: there[0], asks: there[1], answered: back[1], virtual: entry, pod: met.length && top(podOf(met[0])) }[scene];
    const via = { virtual: from, pod: isHeadless(service) ? from : bottom(clusterIp) }[scene];
    if (at) parts.push(`<g data-move="packet" data-at="${at}"${via ? ` data-via="${via}"` : ""} transform="translate(${at})"><circle class="picture-port dns-packet" r="7"/></g>`);
    return parts.join("");
  };

  figures.define("dns-answers", { sizes: { wide: LAYOUTS.wide.size, narrow: LAYOUTS.narrow.size }, choices, question, steps, draw });
}
