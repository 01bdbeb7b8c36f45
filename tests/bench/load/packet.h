/*
 * The few MQTT 5 packets that the load generator speaks, to and from memory. Written out
 * here and not libmosquitto's, so that making load takes little of the machine that is
 * measured. Pure, but for packet_fill().
 */
#ifndef BENCH_PACKET_H
#define BENCH_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_HEAD 1024 /**< bytes that any function here writes at most */

enum packet_type {
	PACKET_CONNACK = 2,
	PACKET_PUBLISH = 3,
	PACKET_PUBACK = 4,
	PACKET_SUBACK = 9,
};

/** What of a batch stands before its payload. */
struct packet_batch {
	const char *topic, *response_topic;
	const char *stream; /**< hexadecimal */
	uint64_t first, low, number;
	uint64_t wait_ms; /**< 0: the answer is wanted at once */
	uint32_t count;
	uint16_t id;
};

/** @return bytes written; as below */
size_t packet_connect(uint8_t *buf, const char *client_id);

/** With QoS 1. */
size_t packet_subscribe(uint8_t *buf, const char *filter);

size_t packet_puback(uint8_t *buf, uint16_t id);

/** A PUBLISH with QoS 1, up to its payload. */
size_t packet_batch(uint8_t *buf, const struct packet_batch *batch, size_t payload_len);

/** A packet that arrived; points into its reader. */
struct packet {
	enum packet_type type;
	uint16_t id;  /**< of PUBACK, SUBACK and a PUBLISH with QoS 1; otherwise 0 */
	uint8_t code; /**< of CONNACK and SUBACK */
	const char *payload;
	size_t len;
};

/** Bytes that arrived. Zeroed: empty. */
struct reader {
	uint8_t *buf;
	size_t size, begin, end;
};

/** Receive what is there. @return bytes; 0 the end; negative errno */
long packet_fill(struct reader *reader, int fd);

/** @return 1 a packet; 0 none that is whole; -EBADMSG */
int packet_next(struct reader *reader, struct packet *packet);

void packet_finish(struct reader *reader);

#endif
