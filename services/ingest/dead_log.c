#include "dead_log.h"

#include <stddef.h>

#include "log.h"
#include "number.h"

static const char many[] = "(more topics than are told apart)";

static uint64_t hash(uint64_t key, const char *text)
{
	for (; *text != '\0'; text++)
		key = (key ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return (key ^ 0xff) * UINT64_C(0x100000001b3);
}

/* When the clock was set back, the next line is due at once. */
static bool is_due(const struct dead_line *line, int64_t now_us)
{
	return now_us >= line->said_us + DEAD_LOG_EVERY_US || now_us < line->said_us;
}

/* The topic without characters that end or escape a quoted field. */
static void copy_topic(struct dead_line *line, const char *topic)
{
	size_t len = dp_utf8_cut(topic, sizeof(line->topic) - 1);
	for (size_t i = 0; i < len; i++)
		line->topic[i] = topic[i] == '"' || topic[i] == '\\' ? '?' : topic[i];
	line->topic[len] = '\0';
}

static struct dead_line *find(
	struct dead_log *log, const char *topic, const char *reason, int64_t now_us)
{
	uint64_t key = hash(hash(UINT64_C(0xcbf29ce484222325), topic), reason);
	struct dead_line *room = NULL;
	for (size_t i = 0; i < DEAD_LOG_TOPICS; i++) {
		struct dead_line *line = &log->lines[i];
		if (line->reason != NULL && line->key == key)
			return line;
		bool idle = line->reason == NULL ||
			    (line->new == 0 && line->more == 0 && is_due(line, now_us));
		if (room == NULL && idle)
			room = line;
	}
	if (room == NULL) {
		room = &log->lines[DEAD_LOG_TOPICS];
		topic = many;
		if (room->reason != NULL)
			return room;
	}
	*room = (struct dead_line){.key = key,
		.said_us = now_us - DEAD_LOG_EVERY_US,
		.reason = topic == many ? "several" : reason};
	copy_topic(room, topic);
	return room;
}

void dead_log_add(
	struct dead_log *log, const char *topic, const char *reason, int64_t now_us)
{
	find(log, topic, reason, now_us)->new ++;
	log->any = true;
}

void dead_log_commit(struct dead_log *log, int64_t now_us)
{
	for (size_t i = 0; log->any && i <= DEAD_LOG_TOPICS; i++) {
		struct dead_line *line = &log->lines[i];
		line->more += line->new;
		line->new = 0;
		if (line->more == 0 || !is_due(line, now_us))
			continue;
		dp_log(DP_LOG_WARN,
			"what arrived cannot be read; it was kept as a dead letter, which "
			"make dead-letters shows",
			"topic=\"%s\" reason=\"%s\" letters=%llu", line->topic,
			line->reason, (unsigned long long)line->more);
		line->more = 0;
		line->said_us = now_us;
	}
	log->any = false;
}

void dead_log_undo(struct dead_log *log)
{
	for (size_t i = 0; log->any && i <= DEAD_LOG_TOPICS; i++)
		log->lines[i].new = 0;
	log->any = false;
}
