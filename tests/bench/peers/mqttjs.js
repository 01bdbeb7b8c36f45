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
database.exec(`
CREATE TABLE sensor (id INTEGER PRIMARY KEY, topic TEXT, name TEXT, UNIQUE (topic, name));
CREATE TABLE reading (
  sensor INTEGER NOT NULL, ts INTEGER NOT NULL, id INTEGER NOT NULL, clock INTEGER NOT NULL,
  temperature REAL, humidity REAL,
  v2 REAL, v3 REAL, v4 REAL, v5 REAL, v6 REAL, v7 REAL,
  PRIMARY KEY (sensor, ts, id)
) WITHOUT ROWID;
`);
const addSensor = database.prepare("INSERT INTO sensor (topic, name) VALUES (?, ?)");
const insert = database.prepare(
  "INSERT INTO reading (sensor, ts, id, clock, temperature, humidity) VALUES (?, ?, ?, 0, ?, ?)"
);
const sensors = new Map();
let id = 0;

function sensorOf(topic, name) {
  const key = topic + name;
  let sensor = sensors.get(key);
  if (sensor === undefined) {
    sensor = Number(addSensor.run(topic, name).lastInsertRowid);
    sensors.set(key, sensor);
  }
  return sensor;
}

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
      id += 1;
      row = [sensorOf(topic, record.bn), Math.trunc(record.bt * 1e6), id, null, null];
      waiting.push(row);
    }
    row[record.n === "temperature" ? 3 : 4] = record.v;
  }
  if (waiting.length >= MOST) flush();
  else if (timer === null) timer = setTimeout(flush, LONGEST_MS);
}

const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { clientId: "mqttjs" });
client.on("message", take);
client.on("connect", () =>
  client.subscribe("/data/+/batch", { qos: 1 }, () => console.log("ready"))
);
