'use strict';
/* The promise interface: what amqplib's users do today. */
const amqp = require('amqplib');
const { URL_OF_BROKER, check, collector, equal, proxy, scenario, sleep, unique, until, within } = require('./harness');

/** Run `body(connection)` on a connection that is closed afterwards, whatever happened. */
async function withConnection(body, url = URL_OF_BROKER, options = {}) {
  const connection = await amqp.connect(url, options);
  const errors = [];
  connection.on('error', (error) => errors.push(error));
  try {
    return await body(connection, errors);
  } finally {
    await connection.close().catch(() => {});
  }
}

/** A channel for which errors are expected: they are kept in `errors`. */
async function channelWithErrors(connection) {
  const channel = await connection.createChannel();
  channel.errors = [];
  channel.on('error', (error) => channel.errors.push(error));
  return channel;
}

/** Check that `action` fails with this code, and with `text` in its message. */
async function refused(connection, code, text, action) {
  const channel = await channelWithErrors(connection);
  const closed = new Promise((resolve) => { channel.on('close', resolve); });
  await Promise.resolve(action(channel)).catch(() => {});
  await within(`${code} ${text}`, closed);
  equal('code', channel.errors[0].code, code);
  check(`${text} in ${channel.errors[0].message}`, channel.errors[0].message.includes(text));
}

const texts = (messages) => messages.map((message) => message.content.toString());
const deathsOf = (message) => message.properties.headers['x-death'];

scenario('negotiation', () => withConnection(async (connection) => {
  const { serverProperties } = connection.connection;
  equal('product', serverProperties.product, 'RabbitMQ');
  for (const name of ['publisher_confirms', 'exchange_exchange_bindings', 'basic.nack', 'consumer_cancel_notify',
    'connection.blocked', 'consumer_priorities', 'authentication_failure_close', 'per_consumer_qos', 'direct_reply_to']) {
    equal(name, serverProperties.capabilities[name], true);
  }
  await within('update-secret', connection.updateSecret(Buffer.from('guest'), 'rotation'));
  check('alive', await connection.createChannel());
}));

scenario('login_refused', async () => {
  const wrong = URL_OF_BROKER.replace('guest:guest', 'guest:wrong');
  const failure = await amqp.connect(wrong).then(() => null, (error) => error);
  check('403 in the handshake', /403 \(ACCESS-REFUSED\).*ACCESS_REFUSED - Login was refused/.test(failure?.message));
  const vhost = await amqp.connect(`${URL_OF_BROKER}nowhere`).then(() => null, (error) => error);
  equal('refused on open', vhost?.message, 'Expected ConnectionOpenOk; got <ConnectionClose channel:0>'); // amqplib hides the 530
});

scenario('work_queue', () => withConnection(async (connection) => {
  const queue = unique('tasks');
  const producer = await connection.createChannel();
  await producer.assertQueue(queue, { durable: true });
  const done = collector('task', 10);
  const [slow, quick] = [await connection.createChannel(), await connection.createChannel()];
  for (const worker of [slow, quick]) await worker.prefetch(1);
  const held = collector('held task', 1);
  await slow.consume(queue, held.push);
  producer.sendToQueue(queue, Buffer.from('0'), { persistent: true });
  await held.all();
  await quick.consume(queue, (message) => { if (message) { quick.ack(message); done.push(message); } });
  for (let n = 1; n <= 9; n += 1) producer.sendToQueue(queue, Buffer.from(String(n)), { persistent: true });
  await until('nine by the quick worker', () => done.values.length === 9);
  equal('one with the slow one', texts(held.values), ['0']);
  await slow.close();
  equal('the slow one closes: redelivered', [(await done.all())[9].content.toString(), done.values[9].fields.redelivered], ['0', true]);
  equal('nothing left', (await producer.deleteQueue(queue)).messageCount, 0);
}));

scenario('publish_subscribe', () => withConnection(async (connection) => {
  const channel = await connection.createChannel();
  const { exchange } = await channel.assertExchange(unique('logs'), 'fanout', { autoDelete: true });
  const subscribers = [];
  for (let n = 0; n < 3; n += 1) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    check('server-named', /^amq\.gen-[\w-]{22}$/.test(queue));
    await channel.bindQueue(queue, exchange, '');
    const inbox = collector('message', 2);
    const { consumerTag } = await channel.consume(queue, inbox.push, { noAck: true });
    check('server-named consumer', /^amq\.ctag-[\w-]{22}$/.test(consumerTag));
    subscribers.push(inbox);
  }
  channel.publish(exchange, '', Buffer.from('one'));
  channel.publish(exchange, 'ignored', Buffer.from('two'));
  for (const inbox of subscribers) equal('a copy each', texts(await inbox.all()), ['one', 'two']);
}));

scenario('topic', () => withConnection(async (connection) => {
  const channel = await connection.createChannel();
  const { exchange } = await channel.assertExchange(unique('topic'), 'topic', { autoDelete: true });
  const expected = { '*.orange.*': ['quick.orange.rabbit', 'lazy.orange.elephant'], 'lazy.#': ['lazy.orange.elephant', 'lazy', 'lazy.brown.old.fox'],
    '#': ['quick.orange.rabbit', 'lazy.orange.elephant', 'orange', 'lazy', 'lazy.brown.old.fox', ''] };
  const queues = new Map();
  for (const pattern of Object.keys(expected)) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, exchange, pattern);
    queues.set(pattern, queue);
  }
  for (const key of expected['#']) channel.publish(exchange, key, Buffer.from(key));
  for (const [pattern, keys] of Object.entries(expected)) {
    const got = [];
    for (let m = await channel.get(queues.get(pattern), { noAck: true }); m; m = await channel.get(queues.get(pattern), { noAck: true })) got.push(m.fields.routingKey);
    equal(pattern, got, keys);
  }
}));

scenario('headers_and_e2e', () => withConnection(async (connection) => {
  const channel = await connection.createChannel();
  await channel.assertExchange(unique('in'), 'headers', { autoDelete: true });
  await channel.assertExchange(unique('out'), 'fanout', { autoDelete: true });
  await channel.bindExchange(unique('out'), unique('in'), '', { 'x-match': 'any', kind: 'order', urgent: true });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, unique('out'), '');
  const inbox = collector('message', 2);
  await channel.consume(queue, inbox.push, { noAck: true });
  for (const [text, headers] of [['1', { kind: 'order' }], ['2', { kind: 'invoice' }], ['3', { kind: 'invoice', urgent: true }]]) {
    channel.publish(unique('in'), '', Buffer.from(text), { headers });
  }
  equal('either header', texts(await inbox.all()), ['1', '3']);
  await channel.unbindExchange(unique('out'), unique('in'), '', { 'x-match': 'any', kind: 'order', urgent: true });
  await refused(connection, 404, `NOT_FOUND - no exchange '${unique('in')}' in vhost '/'`, (ch) => ch.checkExchange(unique('in')));
}));

scenario('direct_reply_to', () => withConnection(async (connection) => {
  const queue = unique('rpc');
  const server = await connection.createChannel();
  await server.assertQueue(queue, { durable: false, autoDelete: true, exclusive: true });
  await server.prefetch(1);
  await server.consume(queue, (message) => {
    const n = Number(message.content.toString());
    server.sendToQueue(message.properties.replyTo, Buffer.from(String(n * n)), { correlationId: message.properties.correlationId });
    server.ack(message);
  });
  const client = await connection.createChannel();
  const replies = collector('reply', 5);
  await client.consume('amq.rabbitmq.reply-to', replies.push, { noAck: true });
  for (let n = 1; n <= 5; n += 1) client.sendToQueue(queue, Buffer.from(String(n)), { replyTo: 'amq.rabbitmq.reply-to', correlationId: `c${n}` });
  equal('squares', (await replies.all()).map((m) => [m.properties.correlationId, m.content.toString()]),
    [['c1', '1'], ['c2', '4'], ['c3', '9'], ['c4', '16'], ['c5', '25']]);
  await refused(connection, 406, 'PRECONDITION_FAILED - fast reply consumer does not exist',
    (ch) => ch.sendToQueue(queue, Buffer.from('6'), { replyTo: 'amq.rabbitmq.reply-to' }));
}));

scenario('confirm_channel', () => withConnection(async (connection) => {
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (let n = 0; n < 500; n += 1) channel.sendToQueue(queue, Buffer.from(String(n)), { persistent: true });
  await within('waitForConfirms', channel.waitForConfirms());
  equal('all there', (await channel.checkQueue(queue)).messageCount, 500);
  const full = (await channel.assertQueue('', { exclusive: true, maxLength: 2, arguments: { 'x-overflow': 'reject-publish' } })).queue;
  const outcomes = await Promise.all([1, 2, 3, 4].map((n) => within('a confirm', new Promise((resolve) => {
    channel.sendToQueue(full, Buffer.from(String(n)), {}, (error) => resolve(error ? 'nack' : 'ack'));
  }))));
  equal('a full queue nacks', outcomes, ['ack', 'ack', 'nack', 'nack']);
}));

scenario('returned_messages', () => withConnection(async (connection) => {
  const channel = await connection.createConfirmChannel();
  const order = [];
  channel.on('return', (message) => order.push(['return', message.fields.replyCode, message.fields.replyText,
    message.fields.exchange, message.fields.routingKey, message.content.toString(), message.properties.messageId]));
  await within('the confirm', new Promise((resolve) => {
    channel.publish('amq.topic', 'nobody.listens', Buffer.from('back'), { mandatory: true, messageId: 'm7' }, (error) => {
      order.push(error ? 'nack' : 'ack');
      resolve();
    });
  }));
  equal('return, then ack', order, [['return', 312, 'NO_ROUTE', 'amq.topic', 'nobody.listens', 'back', 'm7'], 'ack']);
}));

scenario('dead_letters', () => withConnection(async (connection) => {
  const channel = await connection.createChannel();
  await channel.assertExchange(unique('dlx'), 'direct', { autoDelete: true });
  const morgue = (await channel.assertQueue('', { exclusive: true })).queue;
  await channel.bindQueue(morgue, unique('dlx'), 'dead');
  const options = { exclusive: true, deadLetterExchange: unique('dlx'), deadLetterRoutingKey: 'dead' };
  const rejecting = (await channel.assertQueue('', options)).queue;
  const expiring = (await channel.assertQueue('', { ...options, messageTtl: 50 })).queue;
  const short = (await channel.assertQueue('', { ...options, maxLength: 1 })).queue;
  const inbox = collector('dead letter', 3);
  await channel.consume(morgue, inbox.push, { noAck: true });
  await channel.consume(rejecting, (message) => channel.nack(message, false, false));
  channel.sendToQueue(rejecting, Buffer.from('nacked'), { headers: { keep: 'me' } });
  await until('the nacked one', () => inbox.values.length === 1);
  channel.sendToQueue(expiring, Buffer.from('late'), { expiration: 60000 });
  await until('the late one', () => inbox.values.length === 2);
  channel.sendToQueue(short, Buffer.from('pushed out'));
  channel.sendToQueue(short, Buffer.from('stays'));
  const letters = await inbox.all();
  equal('bodies', texts(letters), ['nacked', 'late', 'pushed out']);
  equal('deaths', letters.map((m) => deathsOf(m).map((d) => [d.reason, d.queue, d.count, d.exchange, d['routing-keys']])),
    [[['rejected', rejecting, 1, '', [rejecting]]], [['expired', expiring, 1, '', [expiring]]], [['maxlen', short, 1, '', [short]]]]);
  equal('expiration', [letters[1].properties.expiration, deathsOf(letters[1])[0]['original-expiration']], [undefined, '60000']);
  equal('headers', [letters[0].properties.headers.keep, letters[0].properties.headers['x-first-death-reason']], ['me', 'rejected']);
}));

scenario('nack_and_requeue', () => withConnection(async (connection) => {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (const text of ['a', 'b', 'c']) channel.sendToQueue(queue, Buffer.from(text));
  const first = [await channel.get(queue), await channel.get(queue), await channel.get(queue)];
  equal('in order', texts(first), ['a', 'b', 'c']);
  equal('and then nothing', await channel.get(queue), false);
  channel.nack(first[1]);
  const again = await channel.get(queue);
  equal('b again', [again.content.toString(), again.fields.redelivered], ['b', true]);
  channel.nackAll(true);
  const all = [await channel.get(queue), await channel.get(queue), await channel.get(queue)];
  equal('original order', texts(all), ['a', 'b', 'c']);
  channel.ack(all[1], true);
  await channel.recover();
  equal('recovered', (await channel.get(queue)).content.toString(), 'c');
  channel.ackAll();
  equal('done', (await channel.deleteQueue(queue)).messageCount, 0);
}));

scenario('priorities_and_single_active', () => withConnection(async (connection) => {
  const channel = await connection.createChannel();
  const ranked = (await channel.assertQueue('', { exclusive: true, maxPriority: 10 })).queue;
  for (const priority of [1, 9, 5, 9]) channel.sendToQueue(ranked, Buffer.from(String(priority)), { priority });
  const got = [];
  for (let n = 0; n < 4; n += 1) got.push(await channel.get(ranked, { noAck: true }));
  equal('highest first', texts(got), ['9', '9', '5', '1']);
  const single = (await channel.assertQueue('', { exclusive: true, arguments: { 'x-single-active-consumer': true } })).queue;
  const [one, two] = [collector('message', 2), collector('message', 2)];
  const other = await connection.createChannel();
  await other.consume(single, one.push);
  await channel.consume(single, two.push);
  for (const text of ['x', 'y']) channel.sendToQueue(single, Buffer.from(text));
  equal('only the first', texts(await one.all()), ['x', 'y']);
  equal('not the second', two.values.length, 0);
  await other.close();
  equal('then the second', texts(await two.all()), ['x', 'y']);
}));

scenario('consumer_cancelled', () => withConnection(async (connection) => {
  const channel = await connection.createChannel();
  await channel.assertQueue(unique('doomed'));
  const cancelled = new Promise((resolve) => {
    channel.consume(unique('doomed'), (message) => { if (message === null) resolve(true); });
  });
  await (await connection.createChannel()).deleteQueue(unique('doomed'));
  equal('null message', await within('basic.cancel', cancelled), true);
  check('the channel lives', await channel.assertQueue('', { exclusive: true }));
}));

scenario('property_round_trip', () => withConnection(async (connection) => {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue(unique('имя-名前-🐇'), { exclusive: true });
  const headers = { text: 'grüße', yes: true, no: false, double: 0.1, int: -5, big: 2 ** 40, nothing: null, list: [1, 'b', [2.5]], table: { deep: { deeper: 1 } },
    bytes: Buffer.from([0, 255]), stamp: { '!': 'timestamp', value: 1700000000 }, float: { '!': 'float', value: 1.5 }, byte: { '!': 'byte', value: -3 } };
  const options = { contentType: 'text/plain', contentEncoding: 'utf-8', persistent: true, priority: 3, correlationId: 'c', replyTo: 'r', expiration: '60000',
    messageId: 'm', timestamp: 1700000000, type: 't', appId: 'a', userId: 'guest', headers };
  channel.sendToQueue(queue, Buffer.from('body'), options);
  const { properties } = await channel.get(queue, { noAck: true });
  equal('headers', { ...properties.headers }, { ...headers, float: 1.5, byte: -3 });
  const { persistent, headers: _, ...rest } = options;
  for (const [name, value] of Object.entries(rest)) equal(name, properties[name], value);
  equal('persistent', properties.deliveryMode, persistent ? 2 : 1);
}));

scenario('large_messages', async () => {
  for (const frameMax of [8192, 131072]) {
    await withConnection(async (connection) => {
      const channel = await connection.createConfirmChannel();
      const { queue } = await channel.assertQueue('', { exclusive: true });
      const bodies = [0, frameMax - 8, frameMax - 7, 1 << 20].map((size) => Buffer.alloc(size, `${size}.`));
      for (const body of bodies) channel.sendToQueue(queue, body);
      await channel.waitForConfirms();
      for (const body of bodies) equal(`${body.length} bytes`, body.equals((await channel.get(queue, { noAck: true })).content), true);
    }, `${URL_OF_BROKER}?frameMax=${frameMax}`);
  }
});

scenario('short_heartbeat', () => withConnection(async (connection, errors) => {
  await sleep(3500);
  equal('no error', errors, []);
  check('alive', await connection.createChannel());
}, `${URL_OF_BROKER}?heartbeat=1`));

scenario('channel_errors', () => withConnection(async (connection, errors) => {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue(unique('typed'), { exclusive: true, messageTtl: 1000 });
  await refused(connection, 406, `inequivalent arg 'x-message-ttl' for queue '${queue}' in vhost '/': received '5' but current is '1000'`,
    (ch) => ch.assertQueue(queue, { exclusive: true, messageTtl: 5 }));
  await refused(connection, 404, "NOT_FOUND - no exchange 'nowhere' in vhost '/'", (ch) => ch.publish('nowhere', '', Buffer.alloc(0)));
  await refused(connection, 406, 'PRECONDITION_FAILED - unknown delivery tag 99', (ch) => ch.ack({ fields: { deliveryTag: 99 } }));
  await refused(connection, 403, 'ACCESS_REFUSED - exchange name \'amq.own\' contains reserved prefix \'amq.*\'', (ch) => ch.assertExchange('amq.own', 'direct'));
  equal('the connection is well', [errors.length, (await channel.checkQueue(queue)).messageCount], [0, 0]);
}));

scenario('recovery', async () => {
  const relay = await proxy();
  const queue = unique('recovered');
  const inbox = collector('message', 2);
  let setups = 0;
  let channel;
  const connection = await amqp.connect(relay.url, { recovery: { initialDelay: 50, async setup(model) {
    channel = await model.createChannel();
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-expires': 60000 } });
    await channel.consume(queue, inbox.push, { noAck: true });
    setups += 1;
  } } });
  try {
    connection.on('error', () => {});
    channel.sendToQueue(queue, Buffer.from('before'));
    await until('the first message', () => inbox.values.length === 1);
    relay.cut();
    await until('set up again', () => setups === 2);
    channel.sendToQueue(queue, Buffer.from('after'));
    equal('before and after the cut', texts(await inbox.all()), ['before', 'after']);
    await channel.deleteQueue(queue);
  } finally {
    await connection.close().catch(() => {});
    relay.close();
  }
});
