// Places on axes, and where their labels stand.

const MINUTE = 60000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [1, 2, 5, 10, 15, 30].map((n) => n * MINUTE).concat([1, 2, 3, 6, 12].map((n) => n * HOUR), [1, 2, 7].map((n) => n * DAY));

export function linear(from, to, low, high) {
  const ratio = to > from ? (high - low) / (to - from) : 0;
  return (value) => low + (value - from) * ratio;
}

// Round numbers that cover [low, high], about `wanted` of them.
export function numberTicks(low, high, wanted) {
  if (!(high > low)) return [low];
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((each) => each >= rough);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
  return ticks;
}

// Whole minutes, hours or days of the local clock, at most `most` of them.
export function timeTicks(from, to, most) {
  const step = STEPS.find((each) => (to - from) / each <= most) ?? 7 * DAY;
  const midnight = new Date(from).setHours(0, 0, 0, 0);
  const ticks = [];
  if (step >= DAY) {
    for (const day = new Date(midnight); day <= to; day.setDate(day.getDate() + step / DAY)) if (day >= from) ticks.push(+day);
    return { ticks, step };
  }
  for (let time = midnight + Math.ceil((from - midnight) / step) * step; time <= to; time += step) ticks.push(time);
  return { ticks, step };
}

// What stands below a tick: the hour, and the day where it changes.
export function timeLabel(time, step, before) {
  const at = new Date(time);
  const day = at.toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short" });
  if (step >= DAY) return [day, ""];
  const hour = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const isNewDay = before === undefined || new Date(before).toDateString() !== at.toDateString();
  return [hour, isNewDay ? day : ""];
}
