"""What the prototype's broker board did, written here: a row and a commit a reading."""

import os
import re
import sqlite3

import paho.mqtt.client as mqtt

# DATABASE and PORT are for measurements without containers (tests/bench/).
database = sqlite3.connect(os.environ.get("DATABASE", "/data/broker.db"))
database.execute(
    "CREATE TABLE IF NOT EXISTS dht"
    " (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, temp REAL, humidity REAL)"
)


def stored(_client, _userdata, message):
    text = message.payload.decode()
    temp, humidity = re.match(r"Temp=(.*)°C, Humidity=(.*)%", text).groups()
    database.execute(
        "INSERT INTO dht (topic, temp, humidity) VALUES (?, ?, ?)", (message.topic, temp, humidity)
    )
    database.commit()
    print(f"Topic={message.topic}, {text}", flush=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect = lambda client, *_: client.subscribe("/data/#")
client.on_message = stored
client.connect(os.environ["BROKER"], int(os.environ.get("PORT", "1883")))
client.loop_forever()
