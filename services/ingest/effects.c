#include "effects.h"

#include <stdlib.h>

#define TRIM_SHARE 2000 /* of the limit: so many are written before it is enforced */

void effects_begin(struct effects *effects)
{
	effects->pending = (struct counts){.commits = 1};
	effects->printed.len = 0;
	dead_log_undo(&effects->dead_log);
}

bool effects_trim_due(struct effects *effects, int64_t most)
{
	effects->untrimmed += effects->pending.dead_letters;
	if (effects->pending.dead_letters == 0 ||
		effects->untrimmed <= (uint64_t)most / TRIM_SHARE)
		return false;
	effects->untrimmed = 0;
	return true;
}

void effects_commit(struct effects *effects, int64_t now_us)
{
#define ADD(name) effects->total.name += effects->pending.name;
	COUNTS(ADD)
#undef ADD
	dead_log_commit(&effects->dead_log, now_us);
	printed_flush(&effects->printed);
}

void effects_finish(struct effects *effects)
{
	free(effects->printed.at);
}
