// Amounts of coins, exactly.
//
// Owns: the conversion between base units (BigInt) and the three texts an amount has: what a person
// types, what a JSON number says, what the page shows.
// Never: float arithmetic. A JSON number is read through its shortest decimal text, which is exact
// to 8 decimals because the supply is below 2^53 base units.

export const DECIMALS = 8;
export const UNITS_PER_COIN = 100_000_000n;
/** The supply cap in base units; no amount of the chain can be above it. */
export const SUPPLY_MAX = 21_000_000n * UNITS_PER_COIN;

/** Base units of a plain decimal text such as "12.5", or null if it is not one. */
function unitsFromPlain(text) {
  const parts = /^(\d{1,16})(?:\.(\d{1,8}))?$/.exec(text);
  if (!parts) return null;
  const [, whole, fraction = ''] = parts;
  return BigInt(whole) * UNITS_PER_COIN + BigInt(fraction.padEnd(DECIMALS, '0'));
}

/** "1.2e-7" as "0.00000012"; a text without exponent stays as it is. */
function withoutExponent(text) {
  const parts = /^(\d)(?:\.(\d+))?e-(\d{1,2})$/.exec(text);
  if (!parts) return text;
  const [, lead, rest = '', exponent] = parts;
  return `0.${'0'.repeat(Number(exponent) - 1)}${lead}${rest}`;
}

/**
 * Base units of an amount as JSON carries it (a number of coins, or its decimal text).
 * Null when it is no exact, non-negative amount within the supply: the page then shows a dash,
 * never a guess.
 */
export function unitsFromJson(value) {
  if (typeof value !== 'number' && typeof value !== 'string') return null;
  const units = unitsFromPlain(withoutExponent(String(value)));
  return units === null || units > SUPPLY_MAX ? null : units;
}

/**
 * Reads what a person typed. Answers { units } or { error }, the error being a sentence that says
 * what to type instead.
 */
export function parseAmount(typed) {
  const text = typed.trim();
  if (text === '') return { error: 'Enter an amount.' };
  if (/^-/.test(text)) return { error: 'An amount cannot be negative.' };
  if (text.includes(',')) return { error: 'Use a point for decimals and no separators, as in 1250.5.' };
  if (/^\d*\.\d{9,}$/.test(text)) return { error: 'A coin has 8 decimals at most.' };
  const units = unitsFromPlain(text.startsWith('.') ? `0${text}` : text.replace(/\.$/, ''));
  if (units === null) return { error: 'Enter a plain number, as in 12.5.' };
  if (units > SUPPLY_MAX) return { error: 'There will never be more than 21,000,000 coins.' };
  return { units };
}

/** The text of a JSON number: no exponent, no trailing zeros, exact. */
export function jsonFromUnits(units) {
  const fraction = fractionOf(units).replace(/0+$/, '');
  return fraction === '' ? `${units / UNITS_PER_COIN}` : `${units / UNITS_PER_COIN}.${fraction}`;
}

function fractionOf(units) {
  return (units % UNITS_PER_COIN).toString().padStart(DECIMALS, '0');
}

/**
 * An amount for the eye, in two parts, so that a column can align at the point:
 * ["1,234", ".50"]. Two decimals at least, all that matter at most.
 */
export function amountParts(units) {
  const whole = (units / UNITS_PER_COIN).toString().replace(/\B(?=(\d{3})+$)/g, ',');
  const fraction = fractionOf(units);
  return [whole, `.${fraction.slice(0, 2)}${fraction.slice(2).replace(/0+$/, '')}`];
}

/** An amount as one text, "1,234.50"; a dash when it is not known. */
export function amountText(units) {
  return units === null || units === undefined ? '–' : amountParts(units).join('');
}
