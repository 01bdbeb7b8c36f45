#include "encoding.h"

#include <inttypes.h>
#include <stdlib.h>

#include "log.h"

#define PAUSE_FIRST_MS 600000
#define PAUSE_LIMIT_MS 14400000

void encoding_init(struct encoding *encoding, bool wanted, size_t most)
{
	*encoding = (struct encoding){.wanted = wanted, .size = most};
	if (!wanted)
		return;
	encoding->deflated = malloc(most);
	if (encoding->deflated == NULL || dp_deflater_init(&encoding->deflater) != 0)
		dp_log_out_of_memory("deflating");
}

void encoding_finish(struct encoding *encoding)
{
	dp_deflater_finish(&encoding->deflater);
	free(encoding->deflated);
}

bool encoding_on(const struct encoding *encoding)
{
	return encoding->wanted && encoding->taken;
}

bool encoding_offers(const struct encoding *encoding, int64_t now_ms)
{
	return encoding->wanted && !encoding->taken && now_ms >= encoding->offer_ms;
}

struct payload encoding_payload(
	struct encoding *encoding, const char *at, size_t len, bool deflate, int64_t now_ms)
{
	struct payload payload = {.at = at, .len = len};
	if (encoding_offers(encoding, now_ms))
		payload.offer = DP_ENCODING_DEFLATE;
	if (!deflate)
		return payload;
	size_t less = len - 1 < encoding->size ? len - 1 : encoding->size;
	size_t n = dp_deflate(&encoding->deflater, at, len, encoding->deflated, less);
	if (n > 0)
		payload = (struct payload){.at = encoding->deflated,
			.len = n,
			.encoding = DP_ENCODING_DEFLATE};
	return payload;
}

void encoding_taken(struct encoding *encoding, int64_t now_ms)
{
	/* In a pause it is an answer to what was offered before. */
	if (!encoding_offers(encoding, now_ms))
		return;
	encoding->taken = true;
	encoding->taken_ms = now_ms;
	dp_log(DP_LOG_INFO, "the centre takes deflated batches", NULL);
}

void encoding_postponed(struct encoding *encoding, int64_t now_ms)
{
	if (!encoding->taken)
		return; /* another one of the same volley */
	/* One that has worked for longer than it had been paused counts as the first. */
	bool first = now_ms - encoding->taken_ms >= encoding->pause_ms;
	encoding->pause_ms = first ? PAUSE_FIRST_MS : 2 * encoding->pause_ms;
	if (encoding->pause_ms > PAUSE_LIMIT_MS)
		encoding->pause_ms = PAUSE_LIMIT_MS;
	encoding->taken = false;
	encoding->offer_ms = now_ms + encoding->pause_ms;
	dp_log(DP_LOG_WARN,
		"the centre postpones a deflated batch; they are sent as they are, and "
		"offered again later",
		"again_s=%" PRId64, encoding->pause_ms / 1000);
}
