// Numbers, units, names and times as people read them; everything in the browser's own time zone.

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const SMALL = [[1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];
const CONTROL = /[\u0000-\u001f\u007f]/g;
const UNSEEN = /[\u0080-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g; // also what turns text around
const LONGEST = 400;

// A name somebody else chose: control characters made visible, and no longer than anybody reads.
export function name(text) {
  const seen = text
    .slice(0, LONGEST + 1)
    .replace(CONTROL, (each) => String.fromCharCode(each === "\u007f" ? 0x2421 : 0x2400 + each.charCodeAt(0)))
    .replace(UNSEEN, "\ufffd");
  return seen.length > LONGEST ? `${seen.slice(0, LONGEST)}…` : seen;
}

// A name in little room: its end tells it from others of the same beginning as often as not, so the middle goes.
export function brief(text, most) {
  const [whole, rest] = [[...name(text)], most - 1];
  if (whole.length <= most) return whole.join("");
  return `${whole.slice(0, Math.floor(rest / 2)).join("")}…${whole.slice(-Math.ceil(rest / 2)).join("")}`;
}

export function value(number, series) {
  if (number === null || number === undefined) return "–";
  if (isShare(series)) return `${digits(number * 100)} %`;
  const unit = unitOf(series);
  if (unit === "s") return seconds(number);
  if (unit.startsWith("By")) return scaled(number, unit.replace("By", "B"), 1);
  return scaled(number, unit.startsWith("/") ? unit : unit && ` ${unit}`, 10);
}

// "37.1 to 61.6 span/s": the unit once, where both ends have the same.
export function range(lower, upper, series) {
  const [from, to] = [lower === 0 ? "0" : value(lower, series), value(upper, series)];
  const word = unitOf(series).length > 2 ? unitOf(series) : ""; // behind a prefix of the other end
  const units = [to.replace(/^[^\s%a-zA-Zµ/]+(e[−+]?\d+)?/, ""), word];
  const shared = units.find((unit) => unit && from.endsWith(unit)) ?? "";
  return `${from.slice(0, from.length - shared.length).trimEnd()} to ${to}`;
}

export function count(number) {
  return number.toLocaleString("en");
}

// So many of something, which is called otherwise where there is one.
export function many(number, several, one = several.slice(0, -1)) {
  return `${count(number)} ${number === 1 ? one : several}`;
}

export function share(number, places = 1) {
  return number === null || number === undefined ? "–" : `${(number * 100).toFixed(places)} %`;
}

export function score(number) {
  if (number === null || number === undefined) return "–";
  return `${number < 0 ? "−" : ""}${Math.abs(number).toFixed(Math.abs(number) < 10 ? 2 : 1)}`;
}

export function duration(ms) {
  const minutes = Math.max(0, Math.round(ms / 60000));
  if (minutes < 1) return `${Math.max(0, Math.round(ms / 1000))} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

export function ago(ms) {
  return ms < 90000 ? "just now" : `${duration(ms)} ago`;
}

// "24 h" for the range named 24h.
export function stretch(range) {
  return range.replace(/(\d+)h/, "$1 h").replace(/(\d+)d/, "$1 days");
}

export function clock(ms, now) {
  const time = new Date(ms).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (new Date(ms).toDateString() === new Date(now).toDateString()) return time;
  return `${new Date(ms).toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" })}, ${time}`;
}

export function moment(ms) {
  return new Date(ms).toLocaleString("en-GB", {
    weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
}

// As fields for a date and a time want it, in local time.
export function field(ms) {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

export function zone() {
  const said = Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" }).formatToParts();
  const offset = said.find((part) => part.type === "timeZoneName")?.value ?? "";
  const place = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!place || place === "UTC") return place || offset || "local time";
  return `${place} (${offset})`;
}

// What a number of one axis is multiplied by and followed by, so that all of its labels are short and alike.
export function axis(series, largest) {
  if (isShare(series)) return { factor: 100, suffix: " %", caption: "" };
  const unit = unitOf(series);
  if (unit === "s") return timeAxis(largest);
  const isBytes = unit.startsWith("By");
  const [factor, prefix] = (largest >= (isBytes ? 1000 : 10000) && PREFIXES.find(([f]) => largest >= f)) || [1, ""];
  const shown = isBytes ? unit.replace("By", "B") : unit;
  const isShort = shown.length <= 2 && !shown.startsWith("/");
  return { factor: 1 / factor, suffix: isShort && shown ? ` ${prefix}${shown}` : prefix, caption: isShort ? "" : shown };
}

export function digits(number) {
  const size = Math.abs(number);
  const isTiny = size !== 0 && size < 0.0001;
  const places = size >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 };
  const text = isTiny ? number.toExponential(1) : number.toLocaleString("en", places);
  return text.replaceAll("-", "−");
}

function timeAxis(largest) {
  if (largest >= 7200) return { factor: 1 / 3600, suffix: " h", caption: "" };
  if (largest >= 240) return { factor: 1 / 60, suffix: " min", caption: "" };
  const [factor, prefix] = SMALL.find(([f]) => largest >= f) ?? SMALL.at(-1);
  return { factor: 1 / factor, suffix: ` ${prefix}s`, caption: "" };
}

function isShare(series) {
  return series.unit === "1" && (series.statistic === "error_ratio" || /(utili[sz]ation|ratio)$/.test(series.metric));
}

function unitOf(series) {
  return new Map([["1", ""], ["Cel", "°C"]]).get(series.unit) ?? name(series.unit).slice(0, 24);
}

function seconds(number) {
  const size = Math.abs(number);
  if (size >= 7200) return `${digits(number / 3600)} h`;
  if (size >= 120) return `${digits(number / 60)} min`;
  if (size === 0) return "0 s";
  const [factor, prefix] = SMALL.find(([f]) => size >= f) ?? SMALL.at(-1);
  return `${digits(number / factor)} ${prefix}s`;
}

function scaled(number, unit, plainBelow) {
  const size = Math.abs(number);
  const found = size >= plainBelow * 1000 ? PREFIXES.find(([f]) => size >= f) : undefined;
  if (!found) return `${digits(number)}${unit.startsWith("B") ? " " : ""}${unit}`;
  const [factor, prefix] = found;
  const isWord = !unit || (unit.trim().length > 2 && !unit.startsWith("B")); // 10.9k and 10.9k item, but 10.9 kB
  return isWord ? `${digits(number / factor)}${prefix}${unit}` : `${digits(number / factor)} ${prefix}${unit.trimStart()}`;
}
