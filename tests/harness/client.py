"""An MQTT 5 client that keeps what it receives (paho-mqtt 2)."""

import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from harness.broker import HOST
from harness.wait import eventually


def publish_properties(content_type=None, response=None, correlation=None, user=()):
    """Properties of a PUBLISH; user is a list of (name, value)."""
    properties = Properties(PacketTypes.PUBLISH)
    if content_type is not None:
        properties.ContentType = content_type
    if response is not None:
        properties.ResponseTopic = response
    if correlation is not None:
        properties.CorrelationData = correlation
    if user:
        properties.UserProperty = list(user)
    return properties


class Client:
    """Connects in the constructor; messages() are those received so far.

    With a `pair` of certificate and key it shows them.
    """

    def __init__(self, broker, client_id="", user=None, password=None, pair=None):
        self._lock = threading.Lock()
        self._messages = []
        self._subscribed = {}
        self._filters = []
        self._handlers = {}
        self._mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5
        )
        if user:
            self._mqtt.username_pw_set(user, password)
        if broker.certificates:
            own = {"certfile": str(pair.cert), "keyfile": str(pair.key)} if pair else {}
            self._mqtt.tls_set(ca_certs=str(broker.certificates.ca), **own)
        self._mqtt.on_connect = self._on_connect
        self._mqtt.on_message = self._on_message
        self._mqtt.on_subscribe = self._on_subscribe
        self._mqtt.reconnect_delay_set(1, 1)
        self._mqtt.connect(getattr(broker, "host", HOST), broker.port, keepalive=60)
        self._mqtt.loop_start()
        eventually(self._mqtt.is_connected, "the test's MQTT client is connected")

    def _on_connect(self, client, _data, _flags, _code, _properties):
        # The broker may have been killed and have forgotten what we want.
        for topic_filter, options in self._filters:
            client.subscribe(topic_filter, options=options)

    def _on_message(self, _client, _data, message):
        for topic_filter, handler in self._handlers.items():
            if mqtt.topic_matches_sub(topic_filter, message.topic):
                handler(message)
        with self._lock:
            self._messages.append(message)

    def _on_subscribe(self, _client, _data, mid, codes, _properties):
        with self._lock:
            self._subscribed[mid] = codes[0].value

    def subscribe(self, topic_filter, qos=1):
        """Subscribe and wait for the broker's answer: a QoS, or from 0x80 on a refusal."""
        options = SubscribeOptions(qos=qos)
        _, mid = self._mqtt.subscribe(topic_filter, options=options)
        eventually(lambda: mid in self._subscribed, f"subscribed to {topic_filter}")
        self._filters.append((topic_filter, options))
        return self._subscribed[mid]

    def unsubscribe(self, topic_filter):
        """Without waiting for the broker's answer."""
        self._mqtt.unsubscribe(topic_filter)

    def listen(self, topic_filter, handler):
        """Subscribe, and call handler(message) for each message, on the client's own thread."""
        self._handlers[topic_filter] = handler
        self.subscribe(topic_filter)

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        """Publish and wait until the broker has it."""
        self.post(topic, payload, qos, retain, properties).wait_for_publish(30)

    def post(self, topic, payload, qos=1, retain=False, properties=None):
        """Publish without waiting."""
        return self._mqtt.publish(topic, payload, qos, retain, properties)

    def messages(self, topic=None):
        """What has arrived, on one topic or on all."""
        with self._lock:
            return [m for m in self._messages if topic is None or m.topic == topic]

    def wait_message(self, topic, accept=lambda message: True):
        """The first message on a topic that accept() takes."""

        def arrived():
            return [m for m in self.messages(topic) if accept(m)]

        return eventually(arrived, f"a message on {topic}")[0]

    def close(self):
        """Harmless when it is closed."""
        if self._mqtt is None:
            return
        self._mqtt.disconnect()
        self._mqtt.loop_stop()
        self._mqtt = None  # it keeps two descriptors for as long as it is there
