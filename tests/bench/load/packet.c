#include "packet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "identity.h"

#define READ_BYTES 65536

/* Of MQTT 5's properties. */
enum {
	CONTENT_TYPE = 3,
	RESPONSE_TOPIC = 8,
	CORRELATION = 9,
	RECEIVE_MAXIMUM = 33,
	USER = 38
};

static size_t put_u16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return 2;
}

static size_t put_length(uint8_t *at, size_t value)
{
	size_t n = 0;
	do {
		at[n] = (uint8_t)(value % 128 | (value >= 128 ? 128 : 0));
		value /= 128;
		n++;
	} while (value > 0);
	return n;
}

static size_t put_text(uint8_t *at, const char *text)
{
	size_t len = strlen(text);
	put_u16(at, len);
	memcpy(at + 2, text, len);
	return len + 2;
}

static size_t put_user(uint8_t *at, const char *name, const char *value)
{
	size_t len = 0;
	at[len++] = USER;
	len += put_text(at + len, name);
	return len + put_text(at + len, value);
}

static size_t put_number(uint8_t *at, const char *name, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return put_user(at, name, text);
}

/* The body is in memory; its type and length go before it. */
static size_t put_packet(
	uint8_t *buf, uint8_t first, const uint8_t *body, size_t len, size_t more)
{
	size_t head = 0;
	buf[head++] = first;
	head += put_length(buf + head, len + more);
	memcpy(buf + head, body, len);
	return head + len;
}

size_t packet_connect(uint8_t *buf, const char *client_id)
{
	/* Version 5, a clean start, no keep-alive; as many messages at once as may be. */
	static const uint8_t head[] = {
		0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 3, RECEIVE_MAXIMUM, 0xff, 0xff};
	uint8_t body[PACKET_HEAD];
	size_t len = sizeof(head);
	memcpy(body, head, len);
	len += put_text(body + len, client_id);
	return put_packet(buf, 0x10, body, len, 0);
}

size_t packet_subscribe(uint8_t *buf, const char *filter)
{
	uint8_t body[PACKET_HEAD] = {0, 1, 0};
	size_t len = 3;
	len += put_text(body + len, filter);
	body[len++] = 1;
	return put_packet(buf, 0x82, body, len, 0);
}

size_t packet_puback(uint8_t *buf, uint16_t id)
{
	buf[0] = 0x40;
	buf[1] = 2;
	return 2 + put_u16(buf + 2, id);
}

size_t packet_batch(uint8_t *buf, const struct packet_batch *batch, size_t payload_len)
{
	uint8_t properties[PACKET_HEAD], body[PACKET_HEAD];
	char number[24];
	size_t n = 0, len = 0;
	properties[n++] = CONTENT_TYPE;
	n += put_text(properties + n, DP_CONTENT_TYPE);
	properties[n++] = RESPONSE_TOPIC;
	n += put_text(properties + n, batch->response_topic);
	properties[n++] = CORRELATION;
	snprintf(number, sizeof(number), "%" PRIu64, batch->number);
	n += put_text(properties + n, number);
	n += put_user(properties + n, "v", DP_CONTRACT_VERSION);
	n += put_user(properties + n, "stream", batch->stream);
	n += put_number(properties + n, "first", batch->first);
	n += put_number(properties + n, "count", batch->count);
	n += put_number(properties + n, "low", batch->low);
	if (batch->wait_ms != 0)
		n += put_number(properties + n, "wait", batch->wait_ms);

	len += put_text(body + len, batch->topic);
	len += put_u16(body + len, batch->id);
	len += put_length(body + len, n);
	memcpy(body + len, properties, n);
	return put_packet(buf, 0x32, body, len + n, payload_len);
}

/* ---- arriving ---- */

long packet_fill(struct reader *reader, int fd)
{
	if (reader->begin > 0) {
		memmove(reader->buf, reader->buf + reader->begin,
			reader->end - reader->begin);
		reader->end -= reader->begin;
		reader->begin = 0;
	}
	/* A packet longer than what is kept is waited for: room for all of it. */
	if (reader->size - reader->end < READ_BYTES / 16) {
		size_t size = reader->size == 0 ? 4096 : 2 * reader->size;
		uint8_t *buf = realloc(reader->buf, size);
		if (buf == NULL)
			return -ENOMEM;
		reader->buf = buf;
		reader->size = size;
	}
	long n = recv(fd, reader->buf + reader->end, reader->size - reader->end, 0);
	if (n < 0)
		return -errno;
	reader->end += (size_t)n;
	return n;
}

static int take_length(const uint8_t **at, const uint8_t *end, size_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 28; shift += 7) {
		if (*at == end)
			return 0;
		uint8_t byte = *(*at)++;
		*value |= (size_t)(byte & 127) << shift;
		if (byte < 128)
			return 1;
	}
	return -EBADMSG;
}

static size_t u16_at(const uint8_t *at)
{
	return (size_t)at[0] << 8 | at[1];
}

static int take_publish(
	struct packet *packet, uint8_t flags, const uint8_t *at, const uint8_t *end)
{
	size_t properties;
	if (end - at < 2 || (size_t)(end - at) < 2 + u16_at(at))
		return -EBADMSG;
	at += 2 + u16_at(at);
	if ((flags & 6) != 0) {
		if (end - at < 2)
			return -EBADMSG;
		packet->id = (uint16_t)u16_at(at);
		at += 2;
	}
	if (take_length(&at, end, &properties) != 1 || (size_t)(end - at) < properties)
		return -EBADMSG;
	packet->payload = (const char *)at + properties;
	packet->len = (size_t)(end - at) - properties;
	return 1;
}

int packet_next(struct reader *reader, struct packet *packet)
{
	const uint8_t *at = reader->buf + reader->begin, *end = reader->buf + reader->end;
	size_t len;
	if (reader->begin == reader->end)
		return 0;
	uint8_t first = *at++;
	int found = take_length(&at, end, &len);
	if (found != 1 || (size_t)(end - at) < len)
		return found == 1 ? 0 : found;
	*packet = (struct packet){.type = (enum packet_type)(first >> 4)};
	reader->begin = (size_t)(at + len - reader->buf);
	if (packet->type == PACKET_PUBLISH)
		return take_publish(packet, first & 15, at, at + len);
	if (len < 2)
		return -EBADMSG;
	packet->code = packet->type == PACKET_CONNACK ? at[1] : at[len - 1];
	packet->id = (uint16_t)u16_at(at);
	return 1;
}

void packet_finish(struct reader *reader)
{
	free(reader->buf);
}
