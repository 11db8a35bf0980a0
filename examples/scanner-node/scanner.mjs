// A Factgate scanner on the stock EventStoreDB client of npm: a package says what it is.
//
// It speaks the event store's side of docs/scanner-protocol.md: it consumes the group
// scanner-README and appends facts to the task's stream. Packages and reports go over
// HTTP.
//
//   FACTGATE_EVENTSTORE='esdb://127.0.0.1:2113?tls=false' FACTGATE_SERVER=http://127.0.0.1:8080 \
//   FACTGATE_SCANNER_KEY=fgscan_... node scanner.mjs
//
// Run as many as you like. Each may be killed at any moment: what it leaves undone is
// delivered to another, which begins the next attempt.
import { createHash, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import db from "@eventstore/db-client";
import yauzl from "yauzl";

const TYPE = "README";
const ME = {
  name: "example-readme",
  version: "1.0.0",
  instance: process.env.FACTGATE_INSTANCE || randomUUID(),
  rulesDigest: createHash("sha256").update("RM001 empty; RM002 no heading").digest("hex"),
  configDigest: "",
};
const MAX_ATTEMPTS = 3;
const MAX_PACKAGE = 200 << 20, MAX_FILE = 10 << 20; // bytes
const GROUP = `scanner-${TYPE}`;
const PATIENCE = 60_000; // ms for a store that is away

const server = (process.env.FACTGATE_SERVER || "http://127.0.0.1:8080").replace(/\/$/, "");
const store = db.EventStoreDBClient.connectionString([process.env.FACTGATE_EVENTSTORE || "esdb://127.0.0.1:2113?tls=false"]);
const log = (...words) => console.error(new Date().toISOString(), ...words);

// --- event ids ---------------------------------------------------------------

// uuid5 is RFC 9562's UUIDv5: the same namespace and name always give the same id, so
// an append that is repeated is recognised.
function uuid5(namespace, name) {
  const id = createHash("sha1").update(Buffer.from(namespace.replaceAll("-", ""), "hex")).update(name).digest().subarray(0, 16);
  id[6] = (id[6] & 0x0f) | 0x50;
  id[8] = (id[8] & 0x3f) | 0x80;
  return id.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
const NIL = "00000000-0000-0000-0000-000000000000";
const SETTINGS = "2c4f8a0a-93a5-5d3e-8a3e-0d6a5c1f7b52";

// --- streams -----------------------------------------------------------------

async function read(stream) {
  const events = [];
  try {
    for await (const { event } of store.readStream(stream)) if (event) events.push(event);
  } catch (e) {
    if (e.type !== db.ErrorType.STREAM_NOT_FOUND) throw e;
  }
  return events;
}

// change loads a stream, has decide say which events follow, and appends them if nobody
// was faster; else it loads and decides again. So it is repeated safely when an answer
// was lost.
async function change(stream, decide) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    try {
      const past = await read(stream);
      const events = decide(past);
      if (events.length > 0) {
        const expectedRevision = past.length ? past.at(-1).revision : db.NO_STREAM;
        await store.appendToStream(stream, events.map((e) => db.jsonEvent(e)), { expectedRevision });
      }
      return;
    } catch (e) {
      if (e instanceof Settled) throw e;
      if (e.type !== db.ErrorType.WRONG_EXPECTED_VERSION) {
        if (Date.now() > until) throw e;
        log("the event store is away:", e.message);
        await sleep(1000);
      }
    }
  }
}

// Settled: there is nothing to say any more. Stale: another attempt has begun.
class Settled extends Error {}

// standing is what a task's stream says of this type.
function standing(past) {
  const s = { open: false, attempt: 0, running: false, wanted: false, declined: false, tries: 0, delivery: "" };
  for (const { type, data: f } of past) {
    if (type === "MainTaskCreated") s.open = true;
    if (type === "MainTaskCancelled") s.open = false;
    if (f.subTaskType !== TYPE) continue;
    if (type === "SubTaskConsidered") s.tries = f.try;
    if (type === "SubTaskDeclined" && s.attempt === 0) s.declined = true;
    if (type === "SubTaskStarted" && f.attempt > s.attempt) {
      Object.assign(s, { attempt: f.attempt, running: true, wanted: false, declined: false, delivery: `${f.scanner.instance}/${f.delivery}` });
    }
    if ((type === "SubTaskCompleted" || type === "SubTaskFailed") && f.attempt === s.attempt) s.running = false;
    if (type === "SubTaskRetryRequested" && !s.running && s.attempt > 0) s.wanted = true;
  }
  s.over = !s.open || s.declined || (s.attempt > 0 && !s.running && !s.wanted);
  return s;
}

// --- one delivery ------------------------------------------------------------

class Delivery {
  constructor({ event, retryCount }) {
    this.cause = event;
    this.task = event.streamId.slice("task-".length);
    this.again = retryCount > 0;
    this.name = randomUUID(); // of this handling: tells two owners of one attempt apart
    this.attempt = 0;
  }

  fact(type, key, data) {
    return {
      id: uuid5(this.task, key), type, data: { taskId: this.task, subTaskType: TYPE, ...data },
      metadata: { $correlationId: this.task, $causationId: this.cause.id, actor: `scanner ${TYPE}` },
    };
  }

  // Looks before it begins: a delivery may come twice, and to several.
  async look() {
    const past = await read(this.cause.streamId);
    const s = standing(past);
    const later = past.some((e) => e.revision > this.cause.revision && e.type === "SubTaskRetryRequested" && e.data.subTaskType === TYPE);
    if (s.over || later || (this.cause.type === "SubTaskRetryRequested" && this.cause.data.subTaskType !== TYPE)) throw new Settled("settled before");
    this.before = Math.max(0, ...past.filter((e) => e.revision < this.cause.revision && e.type === "SubTaskStarted" && e.data.subTaskType === TYPE).map((e) => e.data.attempt));
    return s;
  }

  // A try that may not be the first is counted before anybody looks at the package.
  consider() {
    return change(this.cause.streamId, (past) => {
      const s = standing(past);
      if (s.over || s.attempt > 0 || past.some((e) => e.type === "SubTaskConsidered" && e.data.delivery === this.name)) return [];
      return [this.fact("SubTaskConsidered", `SubTaskConsidered/${TYPE}/${s.tries + 1}/${ME.instance}/${this.name}`, { try: s.tries + 1, scanner: ME, delivery: this.name })];
    });
  }

  decline(code, reason, reasonZh) {
    return change(this.cause.streamId, (past) => {
      const s = standing(past);
      if (s.over || s.attempt > 0) return [];
      return [this.fact("SubTaskDeclined", `SubTaskDeclined/${TYPE}`, { code, reason, reasonZh, scanner: ME })];
    });
  }

  // The attempt is recorded before the work: a package that kills us is counted.
  start() {
    return change(this.cause.streamId, (past) => {
      const s = standing(past);
      if (s.over) throw new Settled("settled meanwhile");
      if (s.running && s.delivery === `${ME.instance}/${this.name}`) {
        this.attempt = s.attempt; // our own, whose answer was lost
        return [];
      }
      this.attempt = s.attempt + 1;
      return [this.fact("SubTaskStarted", `SubTaskStarted/${TYPE}/${this.attempt}/${ME.instance}/${this.name}`, { attempt: this.attempt, scanner: ME, delivery: this.name })];
    });
  }

  end(type, data) {
    return change(this.cause.streamId, (past) => {
      const s = standing(past);
      if (s.attempt > this.attempt) throw new Settled(`attempt ${this.attempt} is stale: attempt ${s.attempt} has begun`);
      if (!s.running) return []; // ended so before
      return [this.fact(type, `${type}/${TYPE}/${this.attempt}`, { attempt: this.attempt, ...data })];
    });
  }

  async giveUp(why) {
    if (this.attempt === 0) await this.start();
    await this.end("SubTaskFailed", { kind: "ERROR", parked: true, reason: `the scan could not be finished: ${why}`.slice(0, 500), reasonZh: `扫描无法完成：${why}`.slice(0, 500) });
  }

  // Returns what becomes of the delivery. "ack" only after its facts are durable.
  async handle() {
    let s = { attempt: 0 };
    try {
      s = await this.look();
      if (s.running && s.attempt - this.before >= MAX_ATTEMPTS) {
        this.attempt = s.attempt;
        await this.giveUp(`${s.attempt - this.before} attempts ended without a result`);
        return "park";
      }
      if (s.attempt === 0 && s.tries >= MAX_ATTEMPTS) {
        await this.giveUp(`${s.tries} times a scanner looked at the package and ended without an answer`);
        return "park";
      }
      if (this.again) await this.consider();
      const began = Date.now();
      const files = (await unzip(await download(this.task), (path) => path.toLowerCase().split("/").at(-1) === "readme.md")).sort((a, b) => (a.path < b.path ? -1 : 1));
      if (files.length === 0 && s.attempt === 0) { // who took part before cannot decline any more
        await this.decline("NO_MATCHING_FILES", "no README.md", "没有 README.md");
        return "ack";
      }
      await this.start();
      const { findings, summary, coverage } = scan(files);
      const report = await upload(this.task, this.attempt, findings); // first the report, then the fact that names it
      const said = { summary, coverage, report, durationMs: Date.now() - began };
      if (summary.error > 0) {
        await this.end("SubTaskFailed", { kind: "CHECK", reason: `${summary.error} errors: RM001`, reasonZh: `${summary.error} 个错误：RM001`, ...said });
      } else if (coverage.eligible > 0 && coverage.seen === 0) {
        await this.end("SubTaskFailed", { kind: "ERROR", reason: `covered nothing: 0 of ${coverage.eligible} files could be read`, reasonZh: `未覆盖任何内容：${coverage.eligible} 个文件中读取了 0 个`, ...said });
      } else {
        await this.end("SubTaskCompleted", { result: summary.warning > 0 ? "PASS_WITH_WARNINGS" : "PASS", ...said });
      }
      return "ack";
    } catch (e) {
      if (e instanceof Settled) return "ack";
      this.why = `${e.name}: ${e.message}`;
      if (this.attempt > 0 && this.attempt - this.before >= MAX_ATTEMPTS) {
        try {
          await this.giveUp(this.why);
          return "park";
        } catch (again) {
          if (again instanceof Settled) return "ack";
        }
      }
      await sleep(500 * 2 ** Math.min(Math.max(this.attempt - (this.before ?? 0), 0), 6));
      return "retry";
    }
  }
}

// --- the check ---------------------------------------------------------------

function scan(files) {
  const findings = [], summary = { error: 0, warning: 0, note: 0 }, coverage = { eligible: 0, seen: 0, degraded: [] };
  for (const { path, content, refused } of files) {
    coverage.eligible++;
    let text;
    try {
      if (refused) throw new Error(refused);
      text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    } catch (e) {
      if (coverage.degraded.length < 1000) coverage.degraded.push({ path, reason: refused || "not UTF-8", reasonZh: refused ? `无法读取：${refused}` : "不是 UTF-8 编码" });
      continue;
    }
    coverage.seen++;
    const add = (rule, severity, en, zh) => {
      summary[severity]++;
      if (findings.length < 9000) findings.push({ rule, severity, path, line: 1, message: { en, zh }, anchor: "file" });
    };
    if (text.trim() === "") add("RM001", "error", "The README is empty; say what this version changes.", "README 为空，请说明本版本的变更。");
    else if (!/^#\s*\S/m.test(text)) add("RM002", "warning", "The README has no heading; begin with the name of the product.", "README 没有标题，请以产品名称开头。");
  }
  return { findings, summary, coverage };
}

// unzip gives the wanted files, each with its content or why it could not be read. One
// folder around everything is left out of paths.
function unzip(zip, wanted) {
  return new Promise((resolve, reject) => {
    yauzl.fromBuffer(zip, { lazyEntries: true, decodeStrings: false, validateEntrySizes: true }, (broken, package_) => {
      if (broken) return reject(broken);
      const all = new Set(), found = [];
      package_.on("error", reject);
      package_.on("end", () => {
        const [root] = all, one = all.size === 1 && root !== "";
        resolve(found.map((f) => ({ ...f, path: one ? f.path.slice(root.length + 1) : f.path })));
      });
      package_.on("entry", (entry) => {
        const path = nameOf(entry).replaceAll("\\", "/");
        const next = () => package_.readEntry();
        if (path.endsWith("/") || path.startsWith("__MACOSX/")) return next();
        all.add(path.includes("/") ? path.slice(0, path.indexOf("/")) : "");
        if (!wanted(path)) return next();
        const done = (file) => { found.push({ path, ...file }); next(); };
        if (entry.uncompressedSize > MAX_FILE) return done({ refused: `larger than ${MAX_FILE >> 20} MiB` });
        package_.openReadStream(entry, (refused, stream) => {
          if (refused) return done({ refused: refused.message });
          const chunks = [];
          stream.on("data", (c) => chunks.push(c)).on("error", (e) => done({ refused: e.message })).on("end", () => done({ content: Buffer.concat(chunks) }));
        });
      });
      package_.readEntry();
    });
  });
}

// nameOf reads a name that is not marked as UTF-8 as Chinese Windows writes it.
function nameOf(entry) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(entry.fileName);
  } catch {
    return new TextDecoder("gb18030").decode(entry.fileName);
  }
}

// --- packages and reports ----------------------------------------------------

async function download(task) {
  const answer = await fetch(`${server}/api/tasks/${task}/package`, { signal: AbortSignal.timeout(120_000) });
  if (!answer.ok) throw new Error(`the package could not be fetched: ${answer.status}`);
  const size = Number(answer.headers.get("content-length"));
  if (size > MAX_PACKAGE) throw new Error("the package is larger than any upload");
  return Buffer.from(await answer.arrayBuffer());
}

async function upload(task, attempt, findings) {
  const header = { format: 1, taskId: task, subTaskType: TYPE, attempt, scanner: `${ME.name}/${ME.version}` };
  const until = Date.now() + PATIENCE;
  for (;;) {
    try {
      const answer = await fetch(`${server}/api/scanners/${TYPE}/tasks/${task}/reports`, {
        method: "POST", body: [header, ...findings].map((line) => JSON.stringify(line)).join("\n"), signal: AbortSignal.timeout(120_000),
        headers: { Authorization: `Bearer ${process.env.FACTGATE_SCANNER_KEY}`, "X-Factgate-Instance": ME.instance, "X-Factgate-Scanner": `${ME.name}/${ME.version}` },
      });
      const said = await answer.json();
      if (answer.ok) return { key: said.key, sha256: said.sha256 };
      throw new Error(`the report was refused: ${said.refused?.message} (${said.refused?.code})`);
    } catch (e) {
      if (Date.now() > until || e.message.startsWith("the report was refused")) throw e;
      await sleep(1000);
    }
  }
}

// --- presence ----------------------------------------------------------------

// enlist puts the type on the roster: from now on its silence counts.
async function enlist() {
  const roster = "scanners-roster";
  await change(roster, (past) => {
    const newest = past.filter((e) => e.data.type === TYPE).at(-1);
    if (newest?.type === "ScannerEnlisted") return [];
    const revision = past.length ? past.at(-1).revision + 1n : 0n;
    const id = uuid5(uuid5(SETTINGS, roster), `ScannerEnlisted/${TYPE}/${ME.instance}/${revision}`);
    return [{ id, type: "ScannerEnlisted", data: { type: TYPE, instance: ME.instance, version: ME.version }, metadata: { actor: `scanner ${TYPE}` } }];
  });
}

const begun = process.hrtime.bigint();
let beats = 0;

// present is best effort: nothing depends on it.
async function present(fact, stream, suffix = "") {
  const { instance, version, rulesDigest, configDigest } = ME;
  const event = db.jsonEvent({ id: uuid5(NIL, `${fact}/${TYPE}/${instance}/${begun}${suffix}`), type: fact, data: { type: TYPE, instance, version, rulesDigest, configDigest }, metadata: {} });
  await store.appendToStream(stream, [event]).catch((e) => log("presence:", e.message));
}

// --- the group ---------------------------------------------------------------

async function consume() {
  const settings = db.persistentSubscriptionToAllSettingsFromDefaults({
    startFrom: db.START, messageTimeout: 660_000, maxRetryCount: 1_000_000,
    checkPointAfter: 1000, checkPointLowerBound: 1, checkPointUpperBound: 500, readBatchSize: 100,
  });
  const filter = db.eventTypeFilter({ prefixes: ["MainTaskCreated", "SubTaskRetryRequested"] });
  await store.createPersistentSubscriptionToAll(GROUP, settings, { filter }).catch((e) => {
    if (e.type !== db.ErrorType.PERSISTENT_SUBSCRIPTION_EXISTS) throw e;
  });
  await enlist();
  subscription = store.subscribeToPersistentSubscriptionToAll(GROUP, { bufferSize: 2 });
  if (beats === 0) await present("ScannerOnline", `scanner-${TYPE}`);
  log("scanner", TYPE, "is ready as", ME.instance);
  for await (const resolved of subscription) {
    if (!resolved.event) {
      await subscription.ack(resolved); // a link to what is gone
      continue;
    }
    const d = new Delivery(resolved);
    const how = await d.handle();
    log(d.task, how, d.why ?? "");
    await (how === "ack" ? subscription.ack(resolved) : subscription.nack(how, d.why ?? "given up", resolved));
    if (stopping) break;
  }
}

let subscription, stopping = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, async () => { // what is at work goes to another, by the next attempt
    stopping = true;
    await present("ScannerOffline", `scanner-${TYPE}`);
    process.exit(0);
  });
}
setInterval(() => present("ScannerHeartbeat", `heartbeat-${TYPE}`, `/${++beats}`), 30_000).unref();

for (let pause = 100; !stopping; pause = Math.min(pause * 2, 5000)) {
  try {
    await consume();
  } catch (e) {
    log("lost the event store, trying again:", e.message);
  }
  await subscription?.unsubscribe().catch(() => {});
  await sleep(pause);
}
