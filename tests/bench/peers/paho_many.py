"""A stand-in written here: paho-mqtt and executemany, up to 10,000 rows a transaction."""

import sys
import time

import paho.mqtt.client as mqtt
from rows import INSERT, Store

MOST = 10_000
LONGEST_S = 0.02


def main(port, path):
    store = Store(path)
    database = store.database
    waiting = []

    def flush():
        database.execute("BEGIN")
        database.executemany(INSERT, waiting)
        database.execute("COMMIT")
        waiting.clear()

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho-many")
    client.on_message = lambda _client, _data, message: waiting.extend(store.rows(message))
    client.on_connect = lambda *_: client.subscribe("/data/+/batch", qos=1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    flushed = time.monotonic()
    while client.loop(LONGEST_S) == mqtt.MQTT_ERR_SUCCESS:
        now = time.monotonic()
        if len(waiting) >= MOST or (waiting and now - flushed >= LONGEST_S):
            flush()
            flushed = now


main(int(sys.argv[1]), sys.argv[2])
