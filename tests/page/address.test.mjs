import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeBech32m, prefixOf, recipientError } from '../../static/address.js';

const DEV = 'fard1lycg5qvjtrp3qjf5f7zl382j9x6nrjz9sdhenvyxq8c3808qxmus9rdvq2';
const OWN = 'farc1eauhvvy2lyqq88xvf08kh50t7ceye8cp4aznnn76rhy0s6ke9uzs3x2szh';
const KEY = 'f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9';

test('the published BIP-350 texts decode', () => {
  const valid = [
    'A1LQFN3A', 'a1lqfn3a', 'an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6',
    'abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx', 'split1checkupstagehandshakeupstreamerranterredcaperredlc445v', '?1v759aa',
    '11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8',
  ];
  for (const text of valid) assert.ok(decodeBech32m(text), text);
});

test('the published BIP-350 mistakes are refused', () => {
  const invalid = [
    ' 1xj0phk', '\u007f1g6xzxy', '\u00801vctc34', 'qyrz8wqd2c9m', '1qyrz8wqd2c9m', 'y1b0jsk6g', 'lt1igcx5c0', 'in1muywd',
    'mm1crxm3i', 'au1s5cgom', 'M1VUXWEZ', '16plkw9', '1p2gdwpf', 'A1lqfn3a',
    'an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4',
  ];
  for (const text of invalid) assert.equal(decodeBech32m(text), null, text);
});

test('an address or a public key in hex is accepted', () => {
  for (const text of [DEV, DEV.toUpperCase(), ` ${DEV} `, KEY, KEY.toUpperCase()]) assert.equal(recipientError(text, 'dev'), null, text);
  assert.equal(recipientError(DEV, null), null);
});

test('a chain of any other name is a custom one', () => {
  const cases = [['main', 'far'], ['dev', 'fard'], ['class-a', 'farc'], ['constructor', 'farc'], [undefined, null]];
  for (const [network, prefix] of cases) assert.equal(prefixOf(network), prefix, network);
  assert.equal(recipientError(OWN, 'class-a'), null);
  assert.match(recipientError(DEV, 'class-a'), /another network: here they start with farc1/);
});

test('a recipient that cannot be right is refused with the reason', () => {
  const cases = [
    ['', 'dev', /Enter the address/], ['hello', 'dev', /starts with fard1/], [KEY.slice(1), 'dev', /64 hex digits/],
    [`${DEV.slice(0, 9)} ${DEV.slice(9)}`, 'dev', /spaces/], [DEV, 'main', /another network/], [DEV.slice(0, -1), 'dev', /checksum/],
  ];
  for (const [text, network, error] of cases) assert.match(recipientError(text, network) ?? 'accepted', error, text);
});

test('every single mistyped character is noticed', () => {
  for (let at = 5; at < DEV.length; at += 1) {
    for (const letter of 'qpzry9x8gf2tvdw0s3jn54khce6mua7l') {
      if (letter === DEV[at]) continue;
      assert.match(recipientError(DEV.slice(0, at) + letter + DEV.slice(at + 1), 'dev'), /checksum/);
    }
  }
});
