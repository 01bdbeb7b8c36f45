#include "shown.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

#define AHEAD_US INT64_C(60000000) /* of our clock: the time of a reading is wrong */
#define BRIEF_HEX (2 * SHOWN_BYTES)

/*
 * Of one stream the higher number is newer, whatever was done to the clock. Of two, that is
 * of two samplers or two runs of one, the later time is; unless one has none, or a clock
 * that was ahead has made what is shown.
 */
bool shown_is_newer(const struct shown *a, const struct shown *b, int64_t wall_us)
{
	size_t n = a->stream_bytes < b->stream_bytes ? a->stream_bytes : b->stream_bytes;
	if (n > 0 && memcmp(&a->stream, &b->stream, n) == 0 && b->seq != 0)
		return a->seq > b->seq;
	return a->ts_us == 0 || a->ts_us >= b->ts_us || b->ts_us > wall_us + AHEAD_US;
}

static void add(struct shown_text *text, const char *name, const char *value)
{
	text->properties[text->n++] = (struct dp_property){name, value};
}

void shown_encode(const struct shown *shown, bool brief, struct shown_text *text)
{
	text->n = 0;
	if (shown->seq == 0 || shown->stream_bytes == 0)
		return;
	if (brief || shown->stream_bytes < DP_STREAM_BYTES) {
		dp_hex_encode(shown->stream.bytes, SHOWN_BYTES, text->stream);
		snprintf(text->of, sizeof(text->of), "%.*s-%" PRIu64, (int)BRIEF_HEX,
			text->stream, shown->seq);
		add(text, "of", text->of);
		return;
	}
	dp_hex_encode(shown->stream.bytes, DP_STREAM_BYTES, text->stream);
	snprintf(text->seq, sizeof(text->seq), "%" PRIu64, shown->seq);
	add(text, "stream", text->stream);
	add(text, "first", text->seq);
}

static bool decode_stream(const char *hex, size_t len, size_t bytes, struct shown *shown)
{
	struct dp_stream_id stream;
	if (dp_hex_decode(hex, len, stream.bytes, bytes) != 0)
		return false;
	memcpy(shown->stream.bytes, stream.bytes, bytes);
	shown->stream_bytes = bytes;
	return true;
}

static void decode_brief(const char *value, struct shown *shown)
{
	uint64_t seq;
	if (strlen(value) > BRIEF_HEX && value[BRIEF_HEX] == '-' &&
		dp_parse_u64(value + BRIEF_HEX + 1, &seq) == 0 &&
		decode_stream(value, BRIEF_HEX, SHOWN_BYTES, shown))
		shown->seq = seq;
}

void shown_decode(const struct dp_property *property, struct shown *shown)
{
	const char *value = property->value;
	if (strcmp(property->name, "stream") == 0)
		decode_stream(value, strlen(value), DP_STREAM_BYTES, shown);
	else if (strcmp(property->name, "first") == 0)
		dp_parse_u64(value, &shown->seq);
	else if (strcmp(property->name, "of") == 0)
		decode_brief(value, shown);
}
