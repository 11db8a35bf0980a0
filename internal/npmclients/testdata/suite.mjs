// What a client of npm can do with an event store, step by step.
//
//   node suite.mjs FOLDER CLIENT CONNECTION-STRING
//
// FOLDER holds node_modules. CLIENT is "@eventstore/db-client" or
// "@kurrent/kurrentdb-client". Each step prints "ok N - NAME" or "not ok N - NAME"
// with the reason in lines that begin with "#"; the last line is "1..N". No step
// needs what another did.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";

const [folder, client, connectionString] = process.argv.slice(2);
const db = createRequire(`${folder}/`)(client);
const { START, END, FORWARDS, BACKWARDS, NO_STREAM, STREAM_EXISTS, ErrorType } = db;

const patience = 15_000; // ms for a step

// What differs from client to client: the name of the class, and what the expected
// revision of an append is called. Deletions say expectedRevision in both.
const kurrent = client === "@kurrent/kurrentdb-client";
const Client = kurrent ? db.KurrentDBClient : db.EventStoreDBClient;
const expecting = (revision) => (kurrent ? { streamState: revision } : { expectedRevision: revision });
const connect = (text) => Client.connectionString([text]);

// The two clients append with BatchAppend if the server has it, but not if a call
// has credentials of its own. An insecure connection sends none.
const credentials = { username: "admin", password: "changeit" };

const store = connect(connectionString);
const unique = (what) => `${what}-${randomUUID()}`;
const event = (n, type = "Counted") => db.jsonEvent({ type, data: { n } });
const events = (count, type) => Array.from({ length: count }, (_, n) => event(n, type));
const numbers = (resolved) => resolved.map((r) => r.event.data.n);

async function collect(reading) {
  const found = [];
  for await (const resolved of reading) found.push(resolved);
  return found;
}

async function fails(type, promise) {
  const error = await promise.then(
    (value) => assert.fail(`expected the error ${type}, got ${inspect(value)}`),
    (err) => err,
  );
  assert.equal(error.type, type, `expected the error ${type}, got ${error.type}: ${error.message}`);
  return error;
}

const inspect = (value) => JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v));

// eventually repeats a question until the answer passes.
async function eventually(ask, check) {
  for (;;) {
    const answer = await ask();
    try {
      check(answer);
      return answer;
    } catch (error) {
      if (stopped.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

// inbox turns a subscription into something to wait on.
function inbox(subscription) {
  const arrived = [];
  const waiting = [];
  let failure;
  subscription.on("data", (resolved) => (waiting.length ? waiting.shift().resolve(resolved) : arrived.push(resolved)));
  subscription.on("error", (error) => {
    failure = error;
    for (const w of waiting.splice(0)) w.reject(error);
  });
  const next = () => {
    if (arrived.length) return Promise.resolve(arrived.shift());
    if (failure) return Promise.reject(failure);
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  };
  return {
    next,
    take: async (count) => {
      const taken = [];
      while (taken.length < count) taken.push(await next());
      return taken;
    },
  };
}

// signal resolves when a subscription emits an event of its own.
const signal = (subscription, name) =>
  new Promise((resolve, reject) => {
    subscription.once(name, resolve);
    subscription.once("error", reject);
  });

const later = (a, b) => a.commit > b.commit;

const steps = {
  "append: revisions and positions": async () => {
    const stream = unique("append");
    const first = await store.appendToStream(stream, event(0), expecting(NO_STREAM));
    assert.equal(first.success, true);
    assert.equal(first.nextExpectedRevision, 0n);
    const second = await store.appendToStream(stream, [event(1), event(2)], expecting(0n));
    assert.equal(second.nextExpectedRevision, 2n);
    assert.ok(later(second.position, first.position), `${inspect(second)} is not behind ${inspect(first)}`);
    assert.deepEqual(numbers(await collect(store.readStream(stream))), [0, 1, 2]);
  },

  "append: one call per append": async () => {
    const stream = unique("single");
    const first = await store.appendToStream(stream, [event(0), event(1)], { ...expecting(NO_STREAM), credentials });
    assert.equal(first.nextExpectedRevision, 1n);
    const error = await fails(
      ErrorType.WRONG_EXPECTED_VERSION,
      store.appendToStream(stream, event(2), { ...expecting(0n), credentials }),
    );
    assert.equal(error.actualVersion ?? error.actualState, 1n);
  },

  "append: what was written is read": async () => {
    const stream = unique("content");
    const before = Date.now();
    const json = db.jsonEvent({ type: "Json", data: { text: "文" }, metadata: { by: "me" } });
    const binary = db.binaryEvent({ type: "Binary", data: Buffer.from([0, 1, 255]), metadata: Buffer.from([7]) });
    const appended = await store.appendToStream(stream, [json, binary], expecting(NO_STREAM));
    const [a, b] = (await collect(store.readStream(stream))).map((r) => r.event);
    assert.equal(a.streamId, stream);
    assert.equal(a.id, json.id);
    assert.equal(a.type, "Json");
    assert.equal(a.isJson, true);
    assert.deepEqual(a.data, { text: "文" });
    assert.deepEqual(a.metadata, { by: "me" });
    const created = +new Date(a.created);
    assert.ok(created >= before - 1000 && created <= Date.now() + 1000, `created ${a.created}`);
    assert.equal(b.id, binary.id);
    assert.equal(b.isJson, false);
    assert.deepEqual([...b.data], [0, 1, 255]);
    assert.equal(b.revision, 1n);
    assert.deepEqual(b.position, appended.position);
  },

  "append: wrong expected version": async () => {
    const stream = unique("conflict");
    await store.appendToStream(stream, events(3), expecting(NO_STREAM));
    const append = (expected, to = stream) => fails(ErrorType.WRONG_EXPECTED_VERSION, store.appendToStream(to, event(9), expecting(expected)));
    const facts = (error) => [error.streamName, error.expectedVersion ?? error.expectedState, error.actualVersion ?? error.actualState];
    assert.deepEqual(facts(await append(NO_STREAM)), [stream, NO_STREAM, 2n]);
    assert.deepEqual(facts(await append(1n)), [stream, 1n, 2n]);
    assert.deepEqual(facts(await append(7n)), [stream, 7n, 2n]);
    const none = unique("none");
    assert.deepEqual(facts(await append(0n, none)), [none, 0n, NO_STREAM]);
    assert.deepEqual(facts(await append(STREAM_EXISTS, none)), [none, STREAM_EXISTS, NO_STREAM]);
    assert.equal((await collect(store.readStream(stream))).length, 3);
  },

  "append: repeated with the same ids": async () => {
    const stream = unique("again");
    const batch = events(2);
    const first = await store.appendToStream(stream, batch, expecting(NO_STREAM));
    assert.deepEqual(await store.appendToStream(stream, batch, expecting(NO_STREAM)), first);
    assert.equal((await collect(store.readStream(stream))).length, 2);
  },

  "append: too large": async () => {
    const stream = unique("large");
    const large = db.binaryEvent({ type: "Large", data: Buffer.alloc((1 << 20) + 1) });
    const error = await fails(ErrorType.MAXIMUM_APPEND_SIZE_EXCEEDED, store.appendToStream(stream, large));
    assert.equal(error.maxAppendSize, 1 << 20);
    await fails(ErrorType.STREAM_NOT_FOUND, collect(store.readStream(stream)));
  },

  "read a stream both ways": async () => {
    const stream = unique("read");
    await store.appendToStream(stream, events(5));
    const read = async (options) => numbers(await collect(store.readStream(stream, options)));
    assert.deepEqual(await read({ fromRevision: START, direction: FORWARDS }), [0, 1, 2, 3, 4]);
    assert.deepEqual(await read({ fromRevision: 1n, maxCount: 2 }), [1, 2]);
    assert.deepEqual(await read({ fromRevision: END, direction: BACKWARDS }), [4, 3, 2, 1, 0]);
    assert.deepEqual(await read({ fromRevision: 3n, direction: BACKWARDS, maxCount: 2 }), [3, 2]);
    assert.deepEqual(await read({ fromRevision: 9n }), []);
    const error = await fails(ErrorType.STREAM_NOT_FOUND, collect(store.readStream(unique("none"))));
    assert.match(error.streamName, /^none-/);
  },

  "read $all both ways": async () => {
    const stream = unique("all");
    const { position } = await store.appendToStream(stream, event(0));
    await store.appendToStream(stream, events(3));
    const mine = (resolved) => resolved.filter((r) => r.event.streamId === stream);
    // Forwards includes the position that it starts from, backwards does not.
    const forwards = mine(await collect(store.readAll({ fromPosition: position })));
    assert.deepEqual(numbers(forwards), [0, 0, 1, 2]);
    assert.deepEqual(forwards.map((r) => r.event.revision), [0n, 1n, 2n, 3n]);
    for (let i = 1; i < forwards.length; i++) assert.ok(later(forwards[i].event.position, forwards[i - 1].event.position));
    const last = forwards[3].event.position;
    assert.deepEqual(numbers(mine(await collect(store.readAll({ fromPosition: last, direction: BACKWARDS, maxCount: 3 })))), [1, 0, 0]);
    assert.equal((await collect(store.readAll({ fromPosition: END, direction: BACKWARDS, maxCount: 1 }))).length, 1);
    // The Rust core reads forwards from START, whatever direction it is told.
    if (!kurrent) assert.deepEqual(await collect(store.readAll({ fromPosition: START, direction: BACKWARDS })), []);
  },

  "subscribe to a stream": async () => {
    const stream = unique("follow");
    await store.appendToStream(stream, events(3));
    const subscription = store.subscribeToStream(stream, { fromRevision: 0n });
    const caughtUp = signal(subscription, "caughtUp");
    const box = inbox(subscription);
    assert.deepEqual(numbers(await box.take(2)), [1, 2]); // its start is exclusive
    await caughtUp;
    await store.appendToStream(stream, event(3));
    assert.equal((await box.next()).event.revision, 3n);
    await subscription.unsubscribe();
  },

  "subscribe to a filtered $all": async () => {
    const prefix = unique("filtered");
    const type = unique("Type");
    const checkpoints = [];
    await store.appendToStream(`${prefix}-a`, [event(0), event(1, type)]);
    const byName = store.subscribeToAll({
      fromPosition: START,
      filter: db.streamNameFilter({
        prefixes: [prefix],
        checkpointInterval: 1,
        checkpointReached: (_, position) => checkpoints.push(position),
      }),
    });
    const byType = store.subscribeToAll({ fromPosition: START, filter: db.eventTypeFilter({ regex: `^${type}$` }) });
    const [names, types] = [inbox(byName), inbox(byType)];
    assert.deepEqual(numbers(await names.take(2)), [0, 1]);
    assert.deepEqual(numbers(await types.take(1)), [1]);
    await store.appendToStream(unique("other"), events(100));
    await store.appendToStream(`${prefix}-b`, [event(2, type), event(3)]);
    assert.deepEqual(numbers(await names.take(2)), [2, 3]);
    assert.deepEqual(numbers(await types.take(1)), [2]);
    await eventually(() => checkpoints, (seen) => assert.ok(seen.length > 1, "no checkpoint was reached"));
    for (let i = 1; i < checkpoints.length; i++) assert.ok(later(checkpoints[i], checkpoints[i - 1]), inspect(checkpoints));
    await Promise.all([byName.unsubscribe(), byType.unsubscribe()]);
  },

  "persistent subscription to a stream: ack, retry, skip, park, replay": async () => {
    const [stream, group] = [unique("work"), unique("group")];
    await competing(stream, {
      create: (settings) => store.createPersistentSubscriptionToStream(stream, group, db.persistentSubscriptionToStreamSettingsFromDefaults(settings)),
      subscribe: () => store.subscribeToPersistentSubscriptionToStream(stream, group, { bufferSize: 10 }),
      info: () => store.getPersistentSubscriptionToStreamInfo(stream, group),
      replay: () => store.replayParkedMessagesToStream(stream, group),
    });
  },

  "persistent subscription to $all: ack, retry, skip, park": async () => {
    await competing(...toAll(false));
  },

  "persistent subscription to $all: ack, retry, skip, park, replay": async () => {
    await competing(...toAll(true));
  },

  "persistent subscription to a stream: exists, missing, delete": async () => {
    const [stream, group] = [unique("work"), unique("group")];
    const settings = db.persistentSubscriptionToStreamSettingsFromDefaults();
    await fails(ErrorType.PERSISTENT_SUBSCRIPTION_DOES_NOT_EXIST, inbox(store.subscribeToPersistentSubscriptionToStream(stream, group)).next());
    await fails(ErrorType.PERSISTENT_SUBSCRIPTION_DOES_NOT_EXIST, store.deletePersistentSubscriptionToStream(stream, group));
    await store.createPersistentSubscriptionToStream(stream, group, settings);
    const error = await fails(ErrorType.PERSISTENT_SUBSCRIPTION_EXISTS, store.createPersistentSubscriptionToStream(stream, group, settings));
    assert.deepEqual([error.streamName, error.groupName], [stream, group]);
    const subscription = store.subscribeToPersistentSubscriptionToStream(stream, group);
    const box = inbox(subscription);
    await signal(subscription, "confirmation");
    const dropped = fails(ErrorType.PERSISTENT_SUBSCRIPTION_DROPPED, box.next());
    await store.deletePersistentSubscriptionToStream(stream, group);
    await dropped;
  },

  "persistent subscription to $all: exists, missing, delete": async () => {
    const group = unique("group");
    const settings = db.persistentSubscriptionToAllSettingsFromDefaults();
    await fails(ErrorType.PERSISTENT_SUBSCRIPTION_DOES_NOT_EXIST, inbox(store.subscribeToPersistentSubscriptionToAll(group)).next());
    await fails(ErrorType.PERSISTENT_SUBSCRIPTION_DOES_NOT_EXIST, store.deletePersistentSubscriptionToAll(group));
    await store.createPersistentSubscriptionToAll(group, settings);
    const error = await fails(ErrorType.PERSISTENT_SUBSCRIPTION_EXISTS, store.createPersistentSubscriptionToAll(group, settings));
    assert.equal(error.groupName, group);
    const subscription = store.subscribeToPersistentSubscriptionToAll(group);
    const box = inbox(subscription);
    await signal(subscription, "confirmation");
    const dropped = fails(ErrorType.PERSISTENT_SUBSCRIPTION_DROPPED, box.next());
    await store.deletePersistentSubscriptionToAll(group);
    await dropped;
  },

  "persistent subscription to a stream: update, info, list": async () => {
    const [stream, group] = [unique("work"), unique("group")];
    const settings = (changes) => db.persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: START, ...changes });
    await store.createPersistentSubscriptionToStream(stream, group, settings());
    await store.updatePersistentSubscriptionToStream(stream, group, settings({ maxRetryCount: 3, consumerStrategyName: db.PINNED }));
    const info = await store.getPersistentSubscriptionToStreamInfo(stream, group);
    assert.deepEqual([info.eventSource, info.groupName], [stream, group]);
    assert.equal(info.settings.maxRetryCount, 3);
    assert.equal(info.settings.consumerStrategyName, db.PINNED);
    assert.deepEqual((await store.listPersistentSubscriptionsToStream(stream)).map((i) => i.groupName), [group]);
    assert.ok((await store.listAllPersistentSubscriptions()).some((i) => i.groupName === group && i.eventSource === stream));
    await fails(ErrorType.PERSISTENT_SUBSCRIPTION_DOES_NOT_EXIST, store.updatePersistentSubscriptionToStream(stream, unique("none"), settings()));
  },

  "persistent subscription to $all: info, list": async () => {
    const group = unique("group");
    await store.createPersistentSubscriptionToAll(group, db.persistentSubscriptionToAllSettingsFromDefaults({ startFrom: START, maxRetryCount: 3 }));
    const info = await store.getPersistentSubscriptionToAllInfo(group);
    assert.deepEqual([info.eventSource, info.groupName, info.settings.maxRetryCount], ["$all", group, 3]);
    assert.ok((await store.listPersistentSubscriptionsToAll()).some((i) => i.groupName === group));
    assert.ok((await store.listAllPersistentSubscriptions()).some((i) => i.groupName === group && i.eventSource === "$all"));
  },

  "persistent subscription to $all: update": async () => {
    const group = unique("group");
    const settings = (changes) => db.persistentSubscriptionToAllSettingsFromDefaults({ startFrom: START, ...changes });
    await store.createPersistentSubscriptionToAll(group, settings());
    await store.updatePersistentSubscriptionToAll(group, settings({ maxRetryCount: 3 }));
    assert.equal((await store.getPersistentSubscriptionToAllInfo(group)).settings.maxRetryCount, 3);
  },

  "persistent subscriptions: restart of the subsystem": async () => {
    const group = unique("group");
    await store.createPersistentSubscriptionToAll(group, db.persistentSubscriptionToAllSettingsFromDefaults());
    await store.restartPersistentSubscriptionSubsystem();
    await eventually(
      () => store.listPersistentSubscriptionsToAll().catch((error) => error),
      (list) => assert.ok(Array.isArray(list) && list.some((i) => i.groupName === group), inspect(list)),
    );
  },

  "stream metadata": async () => {
    const stream = unique("metadata");
    await store.appendToStream(stream, events(5));
    assert.equal((await store.getStreamMetadata(stream)).metadata, undefined);
    await store.setStreamMetadata(stream, { maxCount: 2, owner: "me" }, expecting(NO_STREAM));
    const { metadata } = await store.getStreamMetadata(stream);
    assert.deepEqual([metadata.maxCount, metadata.owner], [2, "me"]);
    assert.deepEqual(numbers(await collect(store.readStream(stream))), [3, 4]);
    await store.setStreamMetadata(stream, { truncateBefore: 4 }, expecting(0n));
    assert.deepEqual(numbers(await collect(store.readStream(stream))), [4]);
  },

  "delete a stream": async () => {
    const stream = unique("delete");
    const { position } = await store.appendToStream(stream, events(2));
    await fails(ErrorType.WRONG_EXPECTED_VERSION, store.deleteStream(stream, { expectedRevision: 0n }));
    const deleted = await store.deleteStream(stream, { expectedRevision: 1n });
    assert.ok(later(deleted.position, position), inspect(deleted));
    await fails(ErrorType.STREAM_NOT_FOUND, collect(store.readStream(stream)));
    const again = await store.appendToStream(stream, event(2), expecting(NO_STREAM));
    assert.equal(again.nextExpectedRevision, 2n);
    assert.deepEqual(numbers(await collect(store.readStream(stream))), [2]);
  },

  "tombstone a stream": async () => {
    const stream = unique("tombstone");
    const { position } = await store.appendToStream(stream, events(2));
    await fails(ErrorType.WRONG_EXPECTED_VERSION, store.tombstoneStream(stream, { expectedRevision: 0n }));
    const buried = await store.tombstoneStream(stream, { expectedRevision: 1n });
    assert.ok(later(buried.position, position), inspect(buried));
    const error = await fails(ErrorType.STREAM_DELETED, collect(store.readStream(stream)));
    assert.equal(error.streamName, stream);
    await fails(ErrorType.STREAM_DELETED, store.appendToStream(stream, event(2)));
    await fails(ErrorType.STREAM_DELETED, store.appendToStream(stream, event(2), { credentials }));
    await fails(ErrorType.STREAM_DELETED, store.deleteStream(stream));
  },

  "connect by discovery": async () => {
    const other = connect(connectionString.replace("esdb://", "esdb+discover://"));
    const stream = unique("discovered");
    const appended = await other.appendToStream(stream, event(0), expecting(NO_STREAM));
    assert.equal(appended.nextExpectedRevision, 0n);
    assert.equal((await collect(other.readStream(stream))).length, 1);
    await other.dispose();
  },
};

// toAll is the group on $all for competing. Its replay is a step of its own.
function toAll(withReplay) {
  const [stream, group] = [unique("work"), unique("group")];
  return [
    stream,
    {
      create: (settings) =>
        store.createPersistentSubscriptionToAll(group, db.persistentSubscriptionToAllSettingsFromDefaults(settings), {
          filter: db.streamNameFilter({ prefixes: [stream] }),
        }),
      subscribe: () => store.subscribeToPersistentSubscriptionToAll(group, { bufferSize: 10 }),
      info: () => store.getPersistentSubscriptionToAllInfo(group),
      replay: withReplay && (() => store.replayParkedMessagesToAll(group)),
    },
  ];
}

// competing is the life of a consumer of one group: what it acks and skips is gone,
// also for the next connection; what it retries comes again; what it parks comes
// when it is replayed.
async function competing(stream, group) {
  await group.create({ startFrom: START });
  await store.appendToStream(stream, events(4));
  let consumer = group.subscribe();
  let box = inbox(consumer);
  const [acked, retried, skipped, parked] = await box.take(4);
  assert.deepEqual(numbers([acked, retried, skipped, parked]), [0, 1, 2, 3]);
  assert.equal(retried.retryCount, 0);
  await consumer.ack(acked);
  await consumer.nack(db.SKIP, "not for me", skipped);
  await consumer.nack(db.PARK, "too hard", parked);
  await consumer.nack(db.RETRY, "not now", retried);
  const repeated = await box.next();
  assert.equal(repeated.event.id, retried.event.id);
  assert.equal(repeated.retryCount, 1);
  await consumer.ack(repeated);
  await eventually(group.info, ({ stats }) => assert.equal(Number(stats.parkedMessageCount), 1, "parked messages"));
  if (group.replay) {
    await group.replay();
    const replayed = await box.next();
    assert.equal(replayed.event.id, parked.event.id);
    assert.deepEqual(replayed.event.data, { n: 3 });
    await consumer.ack(replayed);
    await eventually(group.info, ({ stats }) => assert.equal(Number(stats.parkedMessageCount), 0, "parked messages"));
  }
  await eventually(group.info, ({ stats }) => assert.equal(Number(stats.totalInFlightMessages), 0, "messages in flight"));
  await consumer.unsubscribe();
  await eventually(group.info, ({ connections }) => assert.equal(connections.length, 0, "connections"));
  consumer = group.subscribe();
  box = inbox(consumer);
  await store.appendToStream(stream, event(4));
  const next = await box.next();
  assert.deepEqual(numbers([next]), [4], "what was finished came again");
  await consumer.ack(next);
  await consumer.unsubscribe();
}

let stopped;
let n = 0;
for (const [name, step] of Object.entries(steps)) {
  const controller = new AbortController();
  stopped = controller.signal;
  const late = new Promise((_, reject) => {
    setTimeout(() => {
      controller.abort();
      reject(new Error(`nothing came for ${patience} ms`));
    }, patience).unref();
  });
  try {
    await Promise.race([step(), late]);
    console.log(`ok ${++n} - ${name}`);
  } catch (error) {
    console.log(`not ok ${++n} - ${name}`);
    console.log(String(error.stack ?? error).replace(/^/gm, "# "));
  }
}
console.log(`1..${n}`);
process.exit(0);
