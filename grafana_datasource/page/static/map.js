// Who calls whom: services as boxes, calls as lines as thick as there are many, coloured where something is open.

import { h, s } from "./dom.js";
import * as format from "./format.js";
import { layers } from "./layers.js";
import { card } from "./parts.js";
import { href } from "./route.js";

const BOX = { width: 168, height: 46 };
const GAP = { x: 92, y: 20 };
const MOST = 60;
const LONGEST = 15; // of a name in a box, and of what is said below it
const LONGEST_RATE = 26;
const RATE = { unit: "/s", statistic: "rate", metric: "" };
const SHARE = { unit: "1", statistic: "error_ratio", metric: "" };

// `nodes` and `edges` are as /api/v1/graph answers them, the busiest first; nothing where nobody calls anybody.
export function serviceMap(nodes, edges) {
  const joined = new Set(edges.flatMap((edge) => [edge.source, edge.target]));
  const shown = nodes.filter((node) => joined.has(node.id)).slice(0, MOST);
  if (!shown.length) return null;
  const known = new Map(shown.map((node) => [node.id, node]));
  const drawn = edges.filter((edge) => known.has(edge.source) && known.has(edge.target));
  const laid = layers([...known.keys()], drawn);
  const corner = ({ layer, row }) => ({ x: layer * (BOX.width + GAP.x) + 1, y: row * (BOX.height + GAP.y) + 1 });
  const place = (id) => corner(laid.places.get(id));
  const width = laid.layers * (BOX.width + GAP.x) - GAP.x + 2;
  const height = laid.rows * (BOX.height + GAP.y) - GAP.y + 2;
  const left = joined.size - shown.length;
  return card(
    "Who calls whom",
    h("span", { class: "quiet" }, left > 0 ? `the ${MOST} busiest of ${joined.size}` : "calls of late, from left to right"),
    h(
      "div",
      { class: "map", tabindex: 0, role: "region", "aria-label": "Service map" },
      s(
        "svg",
        { viewBox: `0 0 ${width} ${height}`, width, height, class: "map-picture" },
        drawn.map((edge) => line(edge, [place(edge.source), ...laid.by(edge).map(corner), place(edge.target)], known)),
        shown.map((node) => box(node, place(node.id))),
      ),
    ),
  );
}

// A line from box to box, through the corners of the room it has in the layers between.
function line(edge, corners, known) {
  const middle = BOX.height / 2;
  const bends = corners.slice(1).map((to, i) => {
    const [x, bend] = [corners[i].x + BOX.width, to.x > corners[i].x ? GAP.x / 2 : GAP.x]; // who calls back goes round
    return `L${x} ${corners[i].y + middle}C${x + bend} ${corners[i].y + middle} ${to.x - bend} ${to.y + middle} ${to.x} ${to.y + middle}`;
  });
  const says = `${nameOf(known.get(edge.source))} calls ${nameOf(known.get(edge.target))}: ${format.value(edge.mainstat, RATE)}, ${format.value(edge.secondarystat, SHARE)} failed`;
  const kind = edge.secondarystat > 0.05 ? "failing" : "";
  return s(
    "path",
    { class: `call ${kind}`, d: `M${bends.join("").slice(1)}`, "stroke-width": edge.thickness.toFixed(1) },
    s("title", {}, says),
  );
}

function box(node, { x, y }) {
  const severity = node.detail__severity || "usual";
  const isPeer = node.subtitle === "shows no spans";
  const failed = node.secondarystat ? `, ${format.value(node.secondarystat, SHARE)} failed` : "";
  const rate = node.mainstat === null ? "no requests" : `${format.value(node.mainstat, RATE)}${failed}`;
  const says = `${nameOf(node)}: ${rate}${node.detail__severity ? `, ${node.detail__severity}` : ""}${isPeer ? ", shows no spans of its own" : ""}`;
  const parts = [
    s("title", {}, says),
    s("rect", { x, y, width: BOX.width, height: BOX.height, rx: 9 }),
    s("text", { class: "map-name", x: x + 12, y: y + 19 }, format.brief(node.title, LONGEST)),
    s("text", { class: "map-rate", x: x + 12, y: y + 36 }, format.brief(rate, LONGEST_RATE)),
  ];
  if (isPeer) return s("g", { class: "node peer", role: "img", "aria-label": says, "data-key": node.id }, parts);
  return s("a", { class: `node ${severity}`, href: href({ service: node.id }), "data-key": node.id }, parts);
}

function nameOf(node) {
  return format.name(node.title);
}
