#include "streams.h"

#include <string.h>

#include "log.h"

#define KEPT 64
#define IDLE_MS 600000

struct streams_live streams_live(const struct streams *streams)
{
	struct streams_live live = {.n = 0};
	for (const struct stream *s = streams->first; s != NULL; s = s->next) {
		live.n += s->n_live;
		live.bytes += s->live_bytes;
	}
	return live;
}

bool streams_crowded(const struct streams_live *live, unsigned share)
{
	return live->n >= STREAMS_LIVE_MAX / share ||
	       live->bytes >= STREAMS_LIVE_BYTES / share;
}

uint64_t streams_stored(const struct streams *streams)
{
	uint64_t n = 0;
	for (const struct stream *s = streams->first; s != NULL; s = s->next)
		n += stream_stored(s);
	return n;
}

struct stream *streams_find(const struct streams *streams, const struct dp_stream_id *id)
{
	struct stream *s = streams->first;
	while (s != NULL && memcmp(&s->id, id, sizeof(*id)) != 0)
		s = s->next;
	return s;
}

struct stream *streams_add(
	struct streams *streams, const struct dp_stream_id *id, const char *node)
{
	struct stream *stream = stream_create(id, node);
	if (stream == NULL)
		dp_log_out_of_memory("a stream");
	struct stream **at = &streams->first;
	while (*at != NULL)
		at = &(*at)->next;
	*at = stream;
	streams->n++;
	return stream;
}

bool streams_wait(const struct streams *streams)
{
	const struct stream *s = streams->first;
	while (s != NULL && !stream_waits(s))
		s = s->next;
	return s != NULL;
}

void streams_forget_idle(struct streams *streams, int64_t now_ms,
	bool (*in_use)(void *data, const struct stream *stream), void *data)
{
	struct stream **at = &streams->first;
	while (streams->n > KEPT && *at != NULL) {
		struct stream *s = *at;
		if (!stream_empty(s) || s->low_due || s->outbox.low_written ||
			now_ms - s->heard_ms < IDLE_MS || in_use(data, s)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		stream_destroy(s);
		streams->n--;
	}
}

void streams_clear(struct streams *streams)
{
	while (streams->first != NULL) {
		struct stream *next = streams->first->next;
		stream_destroy(streams->first);
		streams->first = next;
	}
	streams->n = 0;
	dating_finish(&streams->dating);
}

void streams_must(int err)
{
	if (err != 0)
		dp_log_out_of_memory("a stream's readings");
}
