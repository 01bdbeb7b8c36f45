"""What the prototype's node did, written here: a reading every PERIOD_S, QoS 0."""

import os
import time

import paho.mqtt.client as mqtt

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect(os.environ["BROKER"], int(os.environ.get("PORT", "1883")))
client.loop_start()
while True:
    client.publish("/data/orangepi0", "Temp=24.8°C, Humidity=60.6%")
    time.sleep(float(os.environ["PERIOD_S"]))
