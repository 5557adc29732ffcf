'use strict';
/*
 * The Node side of suites/harness.py: scenarios with a deadline, counted checks, one closing line, exit code 0 or 1.
 * Knows no AMQP; needs nothing but Node. A scenario that checks nothing has failed.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const net = require('node:net');
const { setTimeout: sleep } = require('node:timers/promises');

const NAME = 'amqplib';
const URL_OF_BROKER = process.env.AMQP_URL || 'amqp://guest:guest@127.0.0.1:5672/';
const DEADLINE_MS = 30_000;
const WAIT_MS = 10_000;

const runId = crypto.randomBytes(3).toString('hex');
const scenarios = new Map();
let passed = 0;

/** A name for a queue or an exchange that nobody else uses. */
const unique = (base) => `interop.${NAME}.${runId}.${base}`;

/** Register an async function as a scenario. */
function scenario(name, action, deadlineMs = DEADLINE_MS) {
  scenarios.set(name, { action, deadlineMs });
}

/** Count one check; throws if `condition` is falsy. */
function check(what, condition) {
  assert.ok(condition, what);
  passed += 1;
}

/** Count one check; throws if the two differ in value or type. */
function equal(what, actual, expected) {
  assert.deepStrictEqual(actual, expected, `${what}: expected ${shorten(expected)}, got ${shorten(actual)}`);
  passed += 1;
}

function shorten(value) {
  const text = JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? `${each}n` : each)) ?? String(value);
  return text.length > 400 ? `${text.slice(0, 200)} ... ${text.slice(-200)}` : text;
}

/** Reject with `what` if `promise` does not settle in time. */
async function within(what, promise, ms = WAIT_MS) {
  const giveUp = new AbortController();
  const late = sleep(ms, undefined, { signal: giveUp.signal }).then(() => {
    throw new Error(`${what}: not within ${ms / 1000} s`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    giveUp.abort();
    late.catch(() => {});
  }
}

/** Wait until `condition()`, which may be async, is true. */
async function until(what, condition, ms = WAIT_MS) {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`);
    await sleep(20);
  }
}

/** The next `count` values that `push` is called with, as a promise. */
function collector(what, count) {
  const values = [];
  let done;
  const all = new Promise((resolve) => { done = resolve; });
  const push = (value) => {
    values.push(value);
    if (values.length === count) done(values);
  };
  return { push, values, all: () => within(`${count} x ${what}`, all) };
}

/** A TCP relay before the broker: `cut()` breaks all its connections. */
async function proxy() {
  const target = new URL(URL_OF_BROKER);
  const { hostname, port } = target;
  const sockets = new Set();
  const server = net.createServer((client) => {
    const broker = net.connect(Number(port) || 5672, hostname);
    for (const [from, to] of [[client, broker], [broker, client]]) {
      sockets.add(from);
      from.on('error', () => {}).on('close', () => { sockets.delete(from); to.destroy(); });
      from.pipe(to);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  target.port = String(server.address().port);
  const cut = () => sockets.forEach((each) => each.destroy());
  return { url: target.href, cut, close: () => { server.close(); cut(); } };
}

async function runOne(name) {
  const { action, deadlineMs } = scenarios.get(name);
  const before = passed;
  const started = Date.now();
  try {
    await within('the scenario', action(), deadlineMs);
    assert.ok(passed > before, 'the scenario checked nothing');
  } catch (error) {
    const place = /(promises|callbacks)\.js:\d+/.exec(error.stack || '');
    console.log(`FAIL ${name}: ${error.message} [${place ? place[0] : error.name}]`);
    return false;
  }
  console.log(`ok   ${name} (${passed - before} checks, ${((Date.now() - started) / 1000).toFixed(1)} s)`);
  return true;
}

/** Run the scenarios named on the command line, or all; print the closing line and exit. */
async function main() {
  process.on('unhandledRejection', (error) => { throw error; });
  const names = process.argv.length > 2 ? process.argv.slice(2) : [...scenarios.keys()];
  const failed = [];
  for (const name of names) if (!(await runOne(name))) failed.push(name);
  const tail = failed.length ? `, ${failed.length} scenarios FAILED: ${failed.join(', ')}` : '';
  console.log(`${NAME}: ${passed} checks passed${tail}`);
  process.exit(failed.length ? 1 : 0);
}

module.exports = { URL_OF_BROKER, check, collector, equal, main, proxy, scenario, sleep, unique, until, within };
