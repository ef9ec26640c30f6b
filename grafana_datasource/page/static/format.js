// Numbers, units and times as people read them; everything in the browser's own time zone.

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const SMALL = [[1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

export function isShare(series) {
  return series.unit === "1" && (series.statistic === "error_ratio" || /(utilization|ratio|usage)$/.test(series.metric));
}

export function value(number, series) {
  if (number === null || number === undefined) return "–";
  if (isShare(series)) return `${digits(number * 100)} %`;
  if (series.unit === "s") return seconds(number);
  if (series.unit.startsWith("By")) return scaled(number, series.unit.replace("By", "B"), 1);
  const unit = series.unit === "1" ? "" : series.unit;
  return scaled(number, unit.startsWith("/") ? unit : unit && ` ${unit}`, 10);
}

export function axis(series, largest) {
  if (isShare(series)) return { tickformat: ".3~%", ticksuffix: "" };
  if (series.unit === "s") return { tickformat: "~s", ticksuffix: "s" };
  if (series.unit.startsWith("By")) return { tickformat: "~s", ticksuffix: series.unit.replace("By", "B") };
  const unit = series.unit === "1" ? "" : series.unit;
  const suffix = unit.startsWith("/") ? unit : unit && ` ${unit}`;
  const isShort = suffix.trim().length <= 2;
  return { tickformat: largest >= 1e4 ? "~s" : ",.4~g", ticksuffix: isShort ? suffix : "", caption: isShort ? "" : suffix.trim() };
}

// "37.1 to 61.6 span/s": the unit once, where both ends have the same.
export function range(lower, upper, series) {
  const [from, to] = [value(lower, series), value(upper, series)];
  const unit = to.replace(/^[^\s%a-zA-Zµ/]+(e[−+]?\d+)?/, "");
  return `${unit && from.endsWith(unit) ? from.slice(0, -unit.length).trimEnd() : from} to ${to}`;
}

export function score(number) {
  return `${number < 0 ? "−" : ""}${Math.abs(number).toFixed(Math.abs(number) < 10 ? 2 : 1)}`;
}

export function duration(ms) {
  const minutes = Math.max(0, Math.round(ms / 60000));
  if (minutes < 1) return "under a minute";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

export function clock(ms, now) {
  const time = new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const isToday = new Date(ms).toDateString() === new Date(now).toDateString();
  if (isToday) return time;
  return `${new Date(ms).toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" })}, ${time}`;
}

// The wall-clock text Plotly draws as it is.
export function local(ms) {
  const at = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  return (
    `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  );
}

export function zone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
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
  return `${digits(number / factor)} ${prefix}${unit.trimStart()}`;
}

function digits(number) {
  const size = Math.abs(number);
  const places = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const text = size !== 0 && size < 0.001 ? number.toExponential(1) : number.toLocaleString(undefined, { maximumFractionDigits: places });
  return text.replaceAll("-", "−");
}
