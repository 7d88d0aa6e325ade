// Texts for numbers, times and hashes.
//
// Owns: how a value looks. Pure: the time comes in as a value, nothing is read or kept.

const count = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** The text that stands where a value is not known. */
export const UNKNOWN = '–';

/** A whole number with separators: "12,345". */
export function countText(value) {
  return Number.isFinite(value) ? count.format(value) : UNKNOWN;
}

/** "1 block", "2 blocks". */
export function plural(value, one, many = `${one}s`) {
  return `${countText(value)} ${value === 1 ? one : many}`;
}

/** Three digits, an SI prefix and a unit: 1234567 as "1.23 MH/s". */
function scaled(value, unit) {
  if (!Number.isFinite(value) || value < 0) return UNKNOWN;
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
  let step = 0;
  let rest = value;
  while (rest >= 999.5 && step < prefixes.length - 1) {
    rest /= 1000;
    step += 1;
  }
  return `${three.format(rest)} ${prefixes[step]}${unit}`.trim();
}

/** Hashes per second: "1.23 MH/s". */
export const hashRateText = (rate) => scaled(rate, 'H/s');

/** A number without unit, shortened: "16.8 M". */
export const shortNumber = (value) => scaled(value, '');

/** Bytes: "1.2 kB". */
export const bytesText = (value) => scaled(value, 'B');

/** Both ends of a long text: "00000000…3fa9c1d2". Short texts stay whole. */
export function shorten(text, head = 8, tail = 8) {
  const all = String(text);
  return all.length <= head + tail + 1 ? all : `${all.slice(0, head)}…${all.slice(-tail)}`;
}

/** How long ago `then` was, both in seconds: "12 s ago". A little in the future counts as now. */
export function agoText(then, now) {
  if (!Number.isFinite(then)) return UNKNOWN;
  const seconds = Math.floor(now - then);
  if (seconds < 2) return 'now';
  return `${durationText(seconds)} ago`;
}

/** A length of time in its one or two greatest units: "45 s", "12 min", "3 h", "5 days". */
export function durationText(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return UNKNOWN;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${countText(Math.floor(seconds / 86400))} days`;
}

/** Why a node that is not behind does not say that it is synced. */
const NOT_SYNCED = new Map([
  ['asking', 'Asking the peers'],
  ['unanswered', 'No peer answers'],
  ['withheld', 'A peer has more blocks and does not give them'],
]);

/** Why a node is not synced, or how far: "Catching up: block 120 of 5,000 · 40 blocks/s · 2 min left". */
export function progressText({ sync, height, headers, blocks_per_second: rate, seconds_left: left }) {
  if (NOT_SYNCED.has(sync)) return NOT_SYNCED.get(sync);
  if (!(headers > height)) return 'Catching up';
  if (!(rate > 0)) return `${plural(headers - height, 'block')} behind`;
  const parts = [`Catching up: block ${countText(height)} of ${countText(headers)}`];
  parts.push(`${rate < 10 ? three.format(rate) : countText(rate)} blocks/s`);
  if (Number.isFinite(left)) parts.push(`${durationText(left)} left`);
  return parts.join(' · ');
}

/** Minutes and seconds of a running clock: "1:05". */
export function clockText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** Date and time in the reader's own zone and language; `seconds` since 1970. */
export function dateText(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? UNKNOWN : date.toLocaleString();
}

/** The machine's form for <time datetime>, or '' if the time is nonsense. */
export function isoText(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}
