#include "streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "multirange.h"
#include "number.h"

static int compare_ids(const void *a, const void *b)
{
	return memcmp(((const struct stream *)a)->id.bytes,
		((const struct stream *)b)->id.bytes, DP_STREAM_BYTES);
}

/* Of one stream's messages the first stays first: its node owns a new stream. */
static int compare(const void *a, const void *b)
{
	int order = compare_ids(a, b);
	size_t i = ((const struct stream *)a)->order, j = ((const struct stream *)b)->order;
	return order != 0 ? order : (i > j) - (i < j);
}

static void add(struct streams *streams, const struct incoming *in)
{
	/* Messages of one stream often come in a row. */
	if (streams->n > 0 && memcmp(streams->at[streams->n - 1].id.bytes,
				      in->identity.stream.bytes, DP_STREAM_BYTES) == 0)
		return;
	if (streams->n == streams->size) {
		size_t size = streams->size == 0 ? 64 : streams->size * 2;
		struct stream *at = realloc(streams->at, size * sizeof(*at));
		if (at == NULL)
			dp_log_out_of_memory("streams");
		streams->at = at;
		streams->size = size;
	}
	streams->at[streams->n] = (struct stream){
		.id = in->identity.stream, .node = in->node, .order = streams->n};
	streams->n++;
}

void streams_collect(struct streams *streams, const struct incoming *list)
{
	for (const struct incoming *in = list; in != NULL; in = in->next) {
		if (!in->plain && in->identity_error == 0 && in->refusals < REFUSALS_MAX)
			add(streams, in);
	}
	if (streams->n == 0)
		return;
	qsort(streams->at, streams->n, sizeof(*streams->at), compare);
	size_t n = 1;
	for (size_t i = 1; i < streams->n; i++) {
		if (compare_ids(&streams->at[i], &streams->at[n - 1]) != 0)
			streams->at[n++] = streams->at[i];
	}
	streams->n = n;
}

static struct stream *find(const struct streams *streams, const uint8_t *id)
{
	struct stream key = {.order = 0};
	if (streams->n == 0)
		return NULL;
	memcpy(key.id.bytes, id, DP_STREAM_BYTES);
	return bsearch(&key, streams->at, streams->n, sizeof(key), compare_ids);
}

void streams_note_row(struct streams *streams, const char *hex, const char *node,
	int64_t seen_us, const char *stored)
{
	uint8_t id[DP_STREAM_BYTES];
	struct stream *stream = dp_hex_decode(hex, strlen(hex), id, sizeof(id)) == 0
					? find(streams, id)
					: NULL;
	if (stream == NULL || multirange_read(stored, &stream->set) != 0)
		return;
	snprintf(stream->row.node, sizeof(stream->row.node), "%s", node);
	stream->row.seen = seen_us;
	stream->locked = true;
}

struct stream_row *streams_row(struct streams *streams, const uint8_t *id)
{
	struct stream *stream = find(streams, id);
	if (stream == NULL || !stream->locked)
		return NULL;
	stream->row.set = &stream->set;
	return &stream->row;
}

void streams_note_change(struct streams *streams, const uint8_t *id)
{
	find(streams, id)->changed = true;
}

void streams_clear(struct streams *streams)
{
	for (size_t i = 0; i < streams->n; i++)
		dp_intervals_finish(&streams->at[i].set);
	streams->n = 0;
}

void streams_finish(struct streams *streams)
{
	streams_clear(streams);
	free(streams->at);
	*streams = (struct streams){.n = 0};
}
