// The address bar names what is shown: every view, filter and stretch of time has an address that can be shared.

const HOUR = 3600000;

export const RANGES = { "1h": [1, 0.5], "6h": [6, 2], "24h": [24, 6], "7d": [168, 24], "14d": [336, 48] };

const NAMED = ["fleet", "services", "incidents", "episodes", "models"];

// What an address shows: a view and its parameters, all texts as they are in the address.
export function current() {
  const params = Object.fromEntries(new URLSearchParams(location.search));
  const own = ["series", "episode", "incident", "service"].find((name) => params[name] && !params.view);
  const view = own ?? (NAMED.includes(params.view) ? params.view : "fleet");
  return { view, params, range: Object.hasOwn(RANGES, params.range ?? "") ? params.range : "24h" };
}

// An address from parameters; empty ones are left out.
export function href(params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value) query.set(name, value);
  return query.size ? `?${query}` : "./";
}

export function changed(place, params) {
  return href({ ...place.params, ...params });
}

// The stretch of time shown, in ms: that of a zoom, or a range until now and a quarter of it ahead.
export function span(place, now) {
  const [from, to] = [Number(place.params.from), Number(place.params.to)];
  if (from > 0 && to > from && to < 8e15) return { now, from, to, isZoomed: true };
  const [back, ahead] = RANGES[place.range];
  return { now, from: now - back * HOUR, to: now + ahead * HOUR, isZoomed: false };
}

export function past(place) {
  return RANGES[place.range][0] * HOUR;
}
