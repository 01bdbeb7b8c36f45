#include "mqtt_message.h"

#include <stdlib.h>

#include <mqtt_protocol.h>

static void read_properties(struct dp_mqtt_received *r, const mosquitto_property *list)
{
	struct dp_bus_message *message = &r->message;
	uint16_t len = 0;
	mosquitto_property_read_string(
		list, MQTT_PROP_CONTENT_TYPE, &r->content_type, false);
	mosquitto_property_read_string(
		list, MQTT_PROP_RESPONSE_TOPIC, &r->response_topic, false);
	mosquitto_property_read_binary(
		list, MQTT_PROP_CORRELATION_DATA, &r->correlation, &len, false);
	mosquitto_property_read_int32(
		list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &message->expiry_s, false);
	const mosquitto_property *at = list;
	bool skip = false;
	size_t n = 0;
	while (n < DP_MQTT_MAX_PROPERTIES &&
		(at = mosquitto_property_read_string_pair(at, MQTT_PROP_USER_PROPERTY,
			 &r->names[n], &r->values[n], skip)) != NULL) {
		r->properties[n] = (struct dp_property){r->names[n], r->values[n]};
		n++;
		skip = true;
	}
	message->content_type = r->content_type;
	message->response_topic = r->response_topic;
	message->correlation = r->correlation;
	message->correlation_len = len;
	message->properties = r->properties;
	message->n_properties = n;
}

void dp_mqtt_receive(struct dp_mqtt_received *received, const struct mosquitto_message *in,
	const mosquitto_property *properties)
{
	*received = (struct dp_mqtt_received){
		.message =
			{
				.topic = in->topic,
				.payload = in->payload != NULL ? in->payload : "",
				.len = (size_t)in->payloadlen,
				.qos = in->qos,
				.retain = in->retain,
			},
	};
	read_properties(received, properties);
}

void dp_mqtt_received_free(struct dp_mqtt_received *received)
{
	free(received->content_type);
	free(received->response_topic);
	free(received->correlation);
	for (size_t i = 0; i < received->message.n_properties; i++) {
		free(received->names[i]);
		free(received->values[i]);
	}
}

int dp_mqtt_properties(const struct dp_bus_message *message, uint16_t alias,
	mosquitto_property **properties)
{
	int code = 0;
	if (alias != 0)
		code = mosquitto_property_add_int16(
			properties, MQTT_PROP_TOPIC_ALIAS, alias);
	if (code == 0 && message->content_type != NULL)
		code = mosquitto_property_add_string(
			properties, MQTT_PROP_CONTENT_TYPE, message->content_type);
	if (code == 0 && message->response_topic != NULL)
		code = mosquitto_property_add_string(
			properties, MQTT_PROP_RESPONSE_TOPIC, message->response_topic);
	if (code == 0 && message->correlation_len > 0)
		code = mosquitto_property_add_binary(properties, MQTT_PROP_CORRELATION_DATA,
			message->correlation, (uint16_t)message->correlation_len);
	if (code == 0 && message->expiry_s > 0)
		code = mosquitto_property_add_int32(
			properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, message->expiry_s);
	for (size_t i = 0; i < message->n_properties && code == 0; i++)
		code = mosquitto_property_add_string_pair(properties,
			MQTT_PROP_USER_PROPERTY, message->properties[i].name,
			message->properties[i].value);
	return code;
}
