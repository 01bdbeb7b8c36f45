// A stand-in written here: mqtt.js and better-sqlite3, up to 10,000 rows a transaction.
"use strict";

const Database = require("/peers/node_modules/better-sqlite3");
const mqtt = require("/peers/node_modules/mqtt");

const MOST = 10000;
const LONGEST_MS = 20;

const [port, path] = process.argv.slice(2);
const database = new Database(path);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec(
  "CREATE TABLE dht (id INTEGER PRIMARY KEY, topic TEXT, ts REAL, temp REAL, humidity REAL)"
);
const insert = database.prepare(
  "INSERT INTO dht (topic, ts, temp, humidity) VALUES (?, ?, ?, ?)"
);
const store = database.transaction((rows) => {
  for (const row of rows) insert.run(row);
});

let waiting = [];
let timer = null;

function flush() {
  clearTimeout(timer);
  timer = null;
  store(waiting);
  waiting = [];
}

// One row a reading: a record with a base name begins one.
function take(topic, payload) {
  let row;
  for (const record of JSON.parse(payload)) {
    if (record.bn !== undefined) {
      row = [topic, record.bt, null, null];
      waiting.push(row);
    }
    row[record.n === "temperature" ? 2 : 3] = record.v;
  }
  if (waiting.length >= MOST) flush();
  else if (timer === null) timer = setTimeout(flush, LONGEST_MS);
}

const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { clientId: "mqttjs" });
client.on("message", take);
client.on("connect", () =>
  client.subscribe("/data/+/batch", { qos: 1 }, () => console.log("ready"))
);
