// Where the nodes of a graph stand: in layers from callers to whom they call, in an order with few crossings.

const SWEEPS = 6;

// `edges` are { source, target } of known ids. Return Map(id -> { layer, row }), the number of layers and rows, and what
// `by(edge)` gives: the places that an edge over several layers goes through, so that it crosses no node.
export function layers(ids, edges) {
  const forward = withoutCycles(ids, edges);
  const layer = depths(ids, forward);
  const ways = new Map(forward.map((edge) => [keyOf(edge), waypoints(edge, layer)]));
  const found = [];
  for (const [id, at] of layer) (found[at] ??= []).push(id);
  untangle(found, forward.flatMap((edge) => steps(edge, ways.get(keyOf(edge)))));
  const places = new Map();
  const rows = Math.max(...found.map((each) => each.length));
  found.forEach((each, at) => each.forEach((id, i) => places.set(id, { layer: at, row: i + (rows - each.length) / 2 })));
  const by = (edge) => (ways.get(keyOf(edge)) ?? []).map((id) => places.get(id));
  return { places, layers: found.length, rows, by };
}

// Names of places between the ends of an edge, one in each layer; they take room there like nodes.
function waypoints(edge, layer) {
  const found = [];
  for (let at = layer.get(edge.source) + 1; at < layer.get(edge.target); at++) found.push(`${keyOf(edge)}\0${at}`);
  found.forEach((id, i) => layer.set(id, layer.get(edge.source) + 1 + i));
  return found;
}

function steps(edge, way) {
  const stops = [edge.source, ...way, edge.target];
  return stops.slice(1).map((target, i) => ({ source: stops[i], target }));
}

function keyOf(edge) {
  return `${edge.source}\0${edge.target}`;
}

// Drop each edge that leads back to a node on the way to it, and those from a node to itself.
function withoutCycles(ids, edges) {
  const targets = new Map(ids.map((id) => [id, []]));
  for (const { source, target } of edges) if (source !== target) targets.get(source).push(target);
  const called = new Set(edges.map((edge) => edge.target));
  const state = new Map();
  const kept = [];
  for (const root of [...ids.filter((id) => !called.has(id)), ...ids]) walk(root);
  return kept;

  function walk(root) {
    if (state.has(root)) return;
    const path = [[root, 0]];
    state.set(root, "open");
    while (path.length) {
      const top = path.at(-1);
      const target = targets.get(top[0])[top[1]++];
      if (target === undefined) {
        state.set(top[0], "done");
        path.pop();
      } else if (state.get(target) !== "open") {
        kept.push({ source: top[0], target });
        if (state.has(target)) continue;
        state.set(target, "open");
        path.push([target, 0]);
      }
    }
  }
}

// How many edges the longest way to each node has.
function depths(ids, edges) {
  const depth = new Map(ids.map((id) => [id, 0]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const { source, target } of edges) {
      if (depth.get(target) > depth.get(source)) continue;
      depth.set(target, depth.get(source) + 1);
      changed = true;
    }
  }
  return depth;
}

// Put every node near the middle of its neighbours in the layer before, then behind, a few times.
function untangle(found, edges) {
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const [from, to] = sweep % 2 ? ["target", "source"] : ["source", "target"];
    const order = new Map(found.flatMap((each) => each.map((id, i) => [id, i / each.length])));
    for (const each of found) {
      const middle = new Map(each.map((id) => [id, mean(edges.filter((edge) => edge[to] === id).map((edge) => order.get(edge[from]))) ?? order.get(id)]));
      each.sort((a, b) => middle.get(a) - middle.get(b));
    }
  }
}

function mean(numbers) {
  return numbers.length ? numbers.reduce((a, b) => a + b) / numbers.length : undefined;
}
