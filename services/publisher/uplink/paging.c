#include "paging.h"

#include <string.h>

void paging_take(
	struct paging *paging, struct stream *stream, const struct outbox_page *page)
{
	if (paging->wanted.stream != stream)
		return;
	*paging = (struct paging){.stream = stream, .page = page};
}

void paging_forget(struct paging *paging)
{
	*paging = (struct paging){.stream = NULL};
}

void paging_forget_of(struct paging *paging, const char *node)
{
	if (paging->stream != NULL && strcmp(paging->stream->node, node) == 0)
		paging_forget(paging);
}

bool paging_uses(const struct paging *paging, const struct stream *stream)
{
	return stream == paging->stream || stream == paging->wanted.stream;
}

bool paging_has_more(const struct paging *paging)
{
	return paging->stream != NULL && paging->at < paging->page->n;
}

const struct outbox_reading *paging_next(
	struct paging *paging, const struct delivery *delivery, uint64_t owner)
{
	for (; paging_has_more(paging); paging->at++) {
		const struct outbox_reading *reading = &paging->page->readings[paging->at];
		uint64_t end;
		if (dp_intervals_contains(&paging->stream->stored, reading->seq) &&
			!delivery_in_flight(delivery, owner, reading->seq, &end))
			return reading;
	}
	return NULL;
}

uint64_t paging_first(
	const struct delivery *delivery, uint64_t owner, const struct stream *stream)
{
	const struct dp_intervals *stored = &stream->stored;
	for (size_t i = 0; i < stored->n; i++) {
		uint64_t at = stored->at[i].first, end;
		while (at <= stored->at[i].last &&
			delivery_in_flight(delivery, owner, at, &end))
			at = end;
		if (at <= stored->at[i].last)
			return at;
	}
	return 0;
}
