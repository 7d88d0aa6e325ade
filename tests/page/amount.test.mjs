import assert from 'node:assert/strict';
import { test } from 'node:test';
import { amountText, jsonFromUnits, parseAmount, SUPPLY_MAX, unitsFromJson } from '../../static/amount.js';

test('what a person types becomes exact base units', () => {
  const cases = [
    ['1', 100_000_000n], ['12.5', 1_250_000_000n], ['0.00000001', 1n], ['.5', 50_000_000n], ['7.', 700_000_000n],
    ['  3 ', 300_000_000n], ['007', 700_000_000n], ['21000000', SUPPLY_MAX], ['20999999.99999999', SUPPLY_MAX - 1n], ['0', 0n],
  ];
  for (const [typed, units] of cases) assert.deepEqual(parseAmount(typed), { units }, typed);
});

test('what is no amount is refused with a sentence that helps', () => {
  const cases = [
    ['', /Enter an amount/], ['-1', /negative/], ['1,5', /point/], ['1,000.00', /point/], ['0.123456789', /8 decimals/],
    ['1e3', /plain number/], ['abc', /plain number/], ['.', /plain number/], ['1.2.3', /plain number/], ['NaN', /plain number/],
    ['Infinity', /plain number/], ['٣', /plain number/], ['0x10', /plain number/], ['21000000.00000001', /never be more/],
    ['9007199254740993', /never be more/], ['99999999999999999999', /plain number/],
  ];
  for (const [typed, error] of cases) assert.match(parseAmount(typed).error ?? 'accepted', error, typed);
});

test('ten coins less ten times 0.7 are three', () => {
  let funds = unitsFromJson(10);
  for (let time = 0; time < 10; time += 1) funds -= unitsFromJson(0.7);
  assert.equal(amountText(funds), '3.00');
});

test('a JSON number is read exactly, also where JavaScript writes an exponent', () => {
  const cases = [
    ['1e-8', 1n], ['0.00000001', 1n], ['1.2e-7', 12n], ['0.1', 10_000_000n], ['20999999.99999999', SUPPLY_MAX - 1n],
    ['21000000', SUPPLY_MAX], ['0', 0n], ['12.50', 1_250_000_000n],
  ];
  for (const [json, units] of cases) assert.equal(unitsFromJson(JSON.parse(json)), units, json);
});

test('a JSON value that is no amount shows as a dash, never as a guess', () => {
  for (const value of [-1, NaN, Infinity, null, undefined, {}, 0.123456789, 1e21, 1e-9, 21000001, 'x', '-0.5']) {
    assert.equal(unitsFromJson(value), null, String(value));
  }
  assert.equal(amountText(null), '–');
});

test('every amount survives the way to JSON and back', () => {
  let seed = 12345n;
  const next = () => (seed = (seed * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n));
  for (let round = 0; round < 20_000; round += 1) {
    const units = (next() >> 11n) % (SUPPLY_MAX + 1n);
    const json = jsonFromUnits(units);
    assert.match(json, /^\d+(\.\d{0,7}[1-9])?$/);
    assert.equal(unitsFromJson(JSON.parse(json)), units);
  }
});

test('shown amounts have two decimals at least and all that matter', () => {
  const cases = [[0n, '0.00'], [1n, '0.00000001'], [150_000_000n, '1.50'], [123_456_789_012_345n, '1,234,567.89012345'], [SUPPLY_MAX, '21,000,000.00']];
  for (const [units, text] of cases) assert.equal(amountText(units), text);
});
