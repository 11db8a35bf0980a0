// Emmett's side of bench-readmodel: its consumer and its asynchronous projector with
// one of two projections. It reads wishes from standard input, a line each, and
// answers each with a line.
//
//   migrate               make Emmett's tables
//   rebuild HOW BATCH ID  project the whole log, and say "begun" with the first event;
//                         HOW is pongo, its own projection of documents, or sql, an
//                         upsert; ID names the processor, whose checkpoint is not
//                         there yet
import { createInterface } from 'node:readline';
import { rawSql, sql } from '@event-driven-io/dumbo';
import {
  getPostgreSQLEventStore,
  pongoSingleStreamProjection,
  postgreSQLEventStoreConsumer,
  postgreSQLRawBatchSQLProjection,
} from '@event-driven-io/emmett-postgresql';

const connectionString = process.argv[2];

const canHandle = [
  'ZipUploaded', 'MainTaskCreated', 'SubTaskDeclined', 'SubTaskStarted', 'SubTaskCompleted', 'SubTaskFailed',
  'SubTaskRetryRequested', 'WindowClosed', 'MainTaskConverged',
];

// begin is called with each event and says when the first one is there.
let begun = false;
const begin = () => {
  if (!begun) {
    begun = true;
    console.log('begun');
  }
};

// evolve folds a fact into a task's document.
const evolve = (task, { type, data }) => {
  begin();
  switch (type) {
    case 'ZipUploaded':
      return { ...task, project: data.project, version: data.version, fileName: data.fileName, size: data.size, sha256: data.sha256, uploadedBy: data.uploadedBy };
    case 'MainTaskCreated':
      return { ...task, window: data.window };
    case 'SubTaskDeclined':
      return { ...task, declined: { ...task.declined, [data.subTaskType]: { code: data.code, reason: data.reason } } };
    case 'SubTaskStarted':
      return { ...task, subTasks: { ...task.subTasks, [data.subTaskType]: { state: 'RUNNING', attempt: data.attempt, scanner: data.scanner } } };
    case 'SubTaskCompleted':
    case 'SubTaskFailed':
      return {
        ...task,
        warnings: task.warnings + (data.summary?.warning ?? 0),
        subTasks: {
          ...task.subTasks,
          [data.subTaskType]: { ...task.subTasks[data.subTaskType], state: type === 'SubTaskFailed' ? 'FAILED' : 'COMPLETED', result: data.result, reason: data.reason, coverage: data.coverage },
        },
      };
    case 'WindowClosed':
      return { ...task, cause: data.cause, closedAt: data.closedAt };
    case 'MainTaskConverged':
      return { ...task, status: data.status, verdict: data };
    default:
      return task;
  }
};

const pongo = pongoSingleStreamProjection({
  collectionName: 'tasks',
  canHandle,
  initialState: () => ({ warnings: 0, subTasks: {}, declined: {} }),
  evolve,
});

// byHand writes columns of tasks; what these events do not say of a task stays. The
// projector of this version calls it with one event at a time.
const byHand = postgreSQLRawBatchSQLProjection({
  name: 'tasks_by_hand',
  canHandle,
  evolve: (events) => {
    begin();
    const rows = new Map();
    for (const { type, data, metadata } of events) {
      const id = metadata.streamName.slice('task-'.length);
      const row = rows.get(id) ?? { task_id: id, warnings: 0 };
      rows.set(id, row);
      row.position = Number(metadata.globalPosition);
      if (type === 'ZipUploaded') {
        Object.assign(row, { project: data.project, version: data.version, file_name: data.fileName, size: data.size, sha256: data.sha256, uploaded_by: data.uploadedBy });
      } else if (type === 'WindowClosed') {
        row.closed_cause = data.cause;
      } else if (type === 'MainTaskConverged') {
        Object.assign(row, { status: data.status, verdict: data });
      }
      row.warnings += data.summary?.warning ?? 0;
    }
    return [sql(`INSERT INTO tasks_by_hand
      SELECT * FROM jsonb_to_recordset(%L::jsonb) AS x(task_id uuid, status text, project text, version text, file_name text, size bigint, sha256 text,
        uploaded_by text, closed_cause text, verdict json, warnings bigint, position bigint)
      ON CONFLICT (task_id) DO UPDATE SET status = coalesce(excluded.status, tasks_by_hand.status),
        closed_cause = coalesce(excluded.closed_cause, tasks_by_hand.closed_cause), verdict = coalesce(excluded.verdict, tasks_by_hand.verdict),
        warnings = tasks_by_hand.warnings + excluded.warnings, position = excluded.position`, JSON.stringify([...rows.values()]))];
  },
  init: () => rawSql(`CREATE TABLE IF NOT EXISTS tasks_by_hand (task_id uuid PRIMARY KEY, status text, project text, version text, file_name text, size bigint,
    sha256 text, uploaded_by text, closed_cause text, verdict json, warnings bigint NOT NULL, position bigint NOT NULL)`),
});

const wishes = {
  migrate: async () => {
    const store = getPostgreSQLEventStore(connectionString);
    await store.schema.migrate();
    await store.close();
  },
  rebuild: async (how, batchSize, processorId) => {
    const consumer = postgreSQLEventStoreConsumer({
      connectionString,
      stopWhen: { noMessagesLeft: true },
      pulling: { batchSize: Number(batchSize), pullingFrequencyInMs: 0 },
    });
    begun = false;
    consumer.projector({ processorId, projection: { pongo, sql: byHand }[how] });
    await consumer.start();
    await consumer.close();
  },
};

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [wish, ...words] = line.split(' ');
  await wishes[wish](...words);
  console.log('done');
}
