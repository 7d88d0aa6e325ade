import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPayment, nodeError, paymentJson } from '../../static/forms.js';

const KEY = 'f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9';
const known = { network: 'dev', address: 'fard1me', funds: 1_000_000_000n };
const good = { recipient: KEY, amount: '2.5', fee: '', memo: '' };

function fields(change, what = known) {
  return Object.keys(checkPayment({ ...good, ...change }, what).errors);
}

test('a good form is a payment in base units', () => {
  const { payment } = checkPayment({ ...good, fee: '0.1', memo: 'tea' }, known);
  assert.deepEqual(payment, { recipient: KEY, amount: 250_000_000n, fee: 10_000_000n, memo: 'tea' });
});

test('each bad field is named', () => {
  const cases = [
    [{ recipient: '' }, ['recipient']], [{ amount: '0' }, ['amount']], [{ amount: '' }, ['amount']], [{ fee: 'x' }, ['fee']],
    [{ memo: 'a\tb' }, ['memo']], [{ memo: '\u0085' }, ['memo']], [{ memo: 'é'.repeat(33) }, ['memo']], [{ memo: 'é'.repeat(32) }, []],
    [{ recipient: 'x', amount: '-1', fee: '-1' }, ['recipient', 'amount', 'fee']],
  ];
  for (const [change, expected] of cases) assert.deepEqual(fields(change), expected, JSON.stringify(change));
});

test('amount and fee together must be covered by the funds', () => {
  assert.deepEqual(fields({ amount: '10' }), []);
  assert.deepEqual(fields({ amount: '10', fee: '0.00000001' }), ['amount']);
  assert.deepEqual(fields({ amount: '11' }, { ...known, funds: null }), []);
});

test('paying oneself is noticed', () => {
  assert.deepEqual(fields({}, { ...known, address: KEY.toUpperCase() }), ['recipient']);
});

test('the JSON of a payment carries its amounts digit by digit', () => {
  const payment = { recipient: KEY, amount: 1n, fee: 0n, memo: '' };
  assert.equal(paymentJson(payment, 'r'), `{"recipient":"${KEY}","amount":0.00000001,"request_id":"r"}`);
  const quoted = paymentJson({ ...payment, fee: 2_099_999_999_999_999n, memo: '"}\\' }, 'r');
  assert.match(quoted, /"fee":20999999\.99999999,/);
  assert.equal(JSON.parse(quoted).memo, '"}\\');
});

test('a node is host and port', () => {
  for (const text of ['localhost:5001', '192.168.1.20:5000', '[::1]:5000', ' my-node.example:65535 ']) assert.equal(nodeError(text), null, text);
  for (const text of ['', 'localhost', 'http://localhost:5001', 'localhost:0', 'localhost:65536', 'a b:1', 'a/b:1', 'a:b:1', '::1:5000']) {
    assert.equal(typeof nodeError(text), 'string', text);
  }
});
