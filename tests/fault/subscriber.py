"""A subscriber as people write it: QoS 1, a session that lasts, each message committed before
it is acknowledged. Run as: subscriber.py PORT FILE
"""

import sqlite3
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def main(port, path):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS reading (value INTEGER)")
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id="subscriber", protocol=mqtt.MQTTv5
    )
    client.on_connect = lambda client, *_: client.subscribe("data/#", qos=1)
    client.on_message = lambda _client, _data, message: database.execute(
        "INSERT INTO reading VALUES (?)", (int(message.payload),)
    )
    client.reconnect_delay_set(1, 1)
    lasting = Properties(PacketTypes.CONNECT)
    lasting.SessionExpiryInterval = 86400
    client.connect_async("127.0.0.1", port, clean_start=False, properties=lasting)
    client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
