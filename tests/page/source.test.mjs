// Properties of the page's source: what keeps hostile text harmless, and what keeps it small.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const folder = new URL('../../static/', import.meta.url);
const files = readdirSync(folder).filter((name) => /\.(html|css|js|svg)$/.test(name));
const texts = new Map(files.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]));
const scripts = files.filter((name) => name.endsWith('.js'));
const SIZE_MAX = 120 * 1024;

test('the page is smaller than its budget', () => {
  const size = [...texts.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  assert.ok(size < SIZE_MAX, `${size} bytes`);
});

test('no script makes markup or code from text', () => {
  const banned = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|setAttribute\('(style|on)/;
  for (const name of scripts) assert.doesNotMatch(texts.get(name), banned, name);
});

test('the document has no inline script, style or handler, and nothing from elsewhere', () => {
  const html = texts.get('index.html');
  assert.doesNotMatch(html, /\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)|<iframe/i);
  for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g)) assert.match(address, /^[/#]/);
});

test('only api.js fetches, only live.js streams', () => {
  for (const name of scripts) {
    if (name !== 'api.js') assert.doesNotMatch(texts.get(name), /\bfetch\(|XMLHttpRequest|sendBeacon/, name);
    if (name !== 'live.js') assert.doesNotMatch(texts.get(name), /new EventSource|new WebSocket/, name);
  }
});

test('every id a script asks for is in the document, once', () => {
  const ids = [...texts.get('index.html').matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);
  assert.equal(new Set(ids).size, ids.length);
  for (const name of scripts.filter((one) => one !== 'forms.js')) {
    for (const [, id] of texts.get(name).matchAll(/(?:byId|onClick|clearNote|note)\('([a-z]+-?[a-z-]*)'/g)) assert.ok(ids.includes(id), `${name}: ${id}`);
  }
});

test('every imported name is exported', () => {
  for (const name of scripts) {
    for (const [, names, from] of texts.get(name).matchAll(/import \{([^}]+)\} from '\.\/([^']+)'/g)) {
      for (const wanted of names.split(',').map((one) => one.trim()).filter(Boolean)) {
        assert.match(texts.get(from), new RegExp(`export (async )?(function|const|class) ${wanted}\\b`), `${name}: ${wanted}`);
      }
    }
  }
});
