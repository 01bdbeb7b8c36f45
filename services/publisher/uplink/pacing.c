#include "pacing.h"

#include "../tick.h"

#define SHARE 10	  /* messages at most in the time that an answer may take */
#define APART_MAX_MS 2000 /* as much is lost when a node loses its power */

void pacing_init(struct pacing *pacing, int64_t answer_ms, int64_t every_ms)
{
	*pacing = (struct pacing){.every_ms = every_ms, .apart_ms = answer_ms / SHARE};
	if (pacing->apart_ms > APART_MAX_MS)
		pacing->apart_ms = APART_MAX_MS;
	pacing_reset(pacing);
}

int64_t pacing_due(const struct pacing *pacing, int64_t arrived_ms)
{
	int64_t due_ms = tick_after(arrived_ms, pacing->every_ms);
	int64_t next_ms = pacing->last_ms + pacing->apart_ms;
	return due_ms > next_ms ? due_ms : next_ms;
}

void pacing_sent(struct pacing *pacing, int64_t now_ms)
{
	pacing->last_ms = now_ms;
}

void pacing_reset(struct pacing *pacing)
{
	pacing->last_ms = INT64_MIN / 2;
}
