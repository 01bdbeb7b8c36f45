"""A stand-in written here: the subscriber of the 2023 prototype, which commits each row."""

import sys

import paho.mqtt.client as mqtt
from rows import INSERT, open_database, rows


def main(port, path):
    database = open_database(path)

    def on_message(_client, _data, message):
        for row in rows(message):
            database.execute(INSERT, row)  # and commits

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paper")
    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe("/data/+/batch", qos=1)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.connect("127.0.0.1", port)
    client.loop_forever()


main(int(sys.argv[1]), sys.argv[2])
