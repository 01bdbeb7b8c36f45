"""A stand-in written here: the subscriber of the 2023 prototype, which commits each row.

Messages of one reading; the prototype's table."""

import json
import sqlite3
import sys

import paho.mqtt.client as mqtt

SCHEMA = "CREATE TABLE dht (id INTEGER PRIMARY KEY, topic TEXT, temp REAL, humidity REAL)"
INSERT = "INSERT INTO dht (topic, temp, humidity) VALUES (?, ?, ?)"


def main(port, path):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(SCHEMA)

    def on_message(_client, _data, message):
        temperature, humidity = json.loads(message.payload)
        database.execute(INSERT, (message.topic, temperature["v"], humidity["v"]))  # and commits

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paper")
    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe("/data/+/batch", qos=1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    client.loop_forever()


main(int(sys.argv[1]), sys.argv[2])
