#include "leaving.h"

#include "parking.h"

bool leaving_allowed(const struct stream *stream, int64_t now_ms)
{
	return !parking_lasts(stream, now_ms) && !stream_waits(stream);
}

uint64_t leaving_stored(const struct streams *streams, int64_t now_ms)
{
	uint64_t n = 0;
	for (const struct stream *s = streams->first; s != NULL; s = s->next)
		n += leaving_allowed(s, now_ms) ? stream_stored(s) : 0;
	return n;
}
