// One turn of node-sql-parser: FILE TIMES.
import { readFileSync } from "node:fs";
import parsers from "node-sql-parser";

const text = readFileSync(process.argv[2], "utf8");
const parser = new parsers.Parser();
const begun = process.hrtime.bigint();
for (let i = 0; i < Number(process.argv[3]); i++) {
  parser.astify(text, { database: "PostgreSQL" });
}
const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
console.log(JSON.stringify({ units: (Buffer.byteLength(text) / 1e6) * Number(process.argv[3]), seconds, peak }));
