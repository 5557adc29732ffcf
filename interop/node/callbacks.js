'use strict';
/* The callback interface: work queue, publish-subscribe, routing and errors, the way older services are written. */
const amqp = require('amqplib/callback_api');
const { URL_OF_BROKER, collector, equal, scenario, sleep, unique } = require('./harness');

/** Run `body(connection, finish)`; resolves when finish() is called, rejects on any error of the connection. */
function withConnection(body) {
  return new Promise((resolve, reject) => {
    amqp.connect(URL_OF_BROKER, (error, connection) => {
      if (error) return reject(error);
      connection.on('error', reject);
      const finish = (failure) => connection.close(() => (failure ? reject(failure) : resolve()));
      try {
        body(connection, finish, reject);
      } catch (failure) {
        finish(failure);
      }
    });
  });
}

/** Node's way of "throw if there was an error". */
const must = (reject, next) => (error, value) => (error ? reject(error) : next(value));

scenario('callbacks_work_queue', async () => {
  const queue = unique('callback-tasks');
  const results = collector('result', 12);
  const shares = { quick: 0, slow: 0 };
  let last;
  await withConnection((connection, finish, reject) => {
    const worker = (name, delayMs) => connection.createChannel(must(reject, (channel) => {
      channel.assertQueue(queue, { durable: true, autoDelete: true });
      channel.prefetch(1);
      channel.consume(queue, async (message) => {
        await sleep(delayMs);
        shares[name] += 1;
        channel.ack(message);
        results.push(message.content.toString());
      });
    }));
    worker('quick', 5);
    worker('slow', 150);
    connection.createChannel(must(reject, (channel) => {
      channel.assertQueue(queue, { durable: true, autoDelete: true }, must(reject, () => {
        for (let n = 0; n < 12; n += 1) channel.sendToQueue(queue, Buffer.from(`task ${n}`), { persistent: true });
        last = results.all().then(() => finish(), finish);
      }));
    }));
  });
  await last;
  equal('every task once', results.values.slice().sort(), Array.from({ length: 12 }, (_, n) => `task ${n}`).sort());
  equal('the quick worker does most', shares.quick > shares.slow, true);
});

scenario('callbacks_publish_subscribe', async () => {
  const logs = unique('callback-logs');
  const received = collector('log line', 6);
  await withConnection((connection, finish, reject) => {
    connection.createChannel(must(reject, (channel) => {
      channel.assertExchange(logs, 'fanout', { durable: false, autoDelete: true });
      const subscribe = (name, next) => channel.assertQueue('', { exclusive: true }, must(reject, ({ queue }) => {
        channel.bindQueue(queue, logs, '');
        channel.consume(queue, (m) => received.push(`${name} ${m.content}`), { noAck: true }, must(reject, next));
      }));
      subscribe('one', () => subscribe('two', () => {
        for (const line of ['a', 'b', 'c']) channel.publish(logs, '', Buffer.from(line));
        received.all().then(() => finish(), finish);
      }));
    }));
  });
  equal('both got all', received.values.sort(), ['one a', 'one b', 'one c', 'two a', 'two b', 'two c']);
});

scenario('callbacks_routing', async () => {
  const logs = unique('callback-direct');
  const received = collector('severity', 2);
  await withConnection((connection, finish, reject) => {
    connection.createConfirmChannel(must(reject, (channel) => {
      channel.assertExchange(logs, 'direct', { durable: true, autoDelete: true });
      channel.assertQueue('', { exclusive: true }, must(reject, ({ queue }) => {
        for (const severity of ['warning', 'error']) channel.bindQueue(queue, logs, severity);
        channel.consume(queue, (m) => received.push(m.fields.routingKey), { noAck: true }, must(reject, () => {
          for (const severity of ['debug', 'error', 'info', 'warning']) channel.publish(logs, severity, Buffer.from('x'));
          channel.waitForConfirms(must(reject, () => received.all().then(() => finish(), finish)));
        }));
      }));
    }));
  });
  equal('only what was bound', received.values, ['error', 'warning']);
});

scenario('callbacks_errors', async () => {
  let error;
  let bystander;
  await withConnection((connection, finish, reject) => {
    connection.createChannel(must(reject, (other) => {
      connection.createChannel(must(reject, (channel) => {
        channel.on('error', (failure) => {
          error = failure;
          other.assertQueue('', { exclusive: true }, must(reject, (ok) => { bystander = ok; finish(); }));
        });
        channel.checkQueue(unique('missing'), () => {});
      }));
    }));
  });
  equal('code', error.code, 404);
  equal('text', error.message.includes(`"NOT_FOUND - no queue '${unique('missing')}' in vhost '/'"`), true);
  equal('the other channel lives', bystander.messageCount, 0);
});
