#include "isolate.h"

#include <errno.h>
#include <stdio.h>

#include "postgres.h"
#include "step.h"

void isolate_ids(const struct aside *aside, char text[ISOLATE_TEXT_MAX])
{
	int len = 0;
	for (size_t i = 0; i < aside->n; i++)
		len += snprintf(text + len, (size_t)(ISOLATE_TEXT_MAX - len), "%c%lld",
			i > 0 ? ',' : '{', (long long)aside->ids[i]);
	snprintf(text + len, (size_t)(ISOLATE_TEXT_MAX - len), len > 0 ? "}" : "{}");
}

/* What the step has failed with is the session's last word still. */
static int set_aside(struct postgres_store *store, int64_t id)
{
	char why[256], topic[128], name[128];
	snprintf(why, sizeof(why), "%s", db_why(store->db));
	int err = step_run(
		store, "SELECT topic, name FROM sensor WHERE id = $1", 1, &id, NULL);
	if (err != 0)
		return err;
	bool found = db_rows(store->db) > 0;
	dp_postgres_line(topic, sizeof(topic), found ? db_text(store->db, 0, 0) : "?");
	dp_postgres_line(name, sizeof(name), found ? db_text(store->db, 0, 1) : "?");
	if (!aside_add(&store->job->aside, id, topic, name, why))
		return -EIO;
	store->job->report.reason = store->job->aside.reason;
	return 0;
}

int isolate_find(struct postgres_store *store, isolate_try try, int err)
{
	struct range at = {0, 0};
	int found = step_ask(store, "SELECT max(id) FROM sensor", 0, NULL, NULL, &at.last);
	if (found < 0)
		return found;
	/* It fails without any sensor, or there are too many. */
	if (store->job->aside.n == ASIDE_MAX || try(store, (struct range){1, 0}) != 0)
		return err;
	while (at.first < at.last) {
		const struct range half = {at.first, at.first + (at.last - at.first) / 2};
		int tried = try(store, half);
		if (tried != 0 && !isolate_may(tried))
			return tried;
		if (tried != 0)
			at.last = half.last;
		else
			at.first = half.last + 1;
	}
	/* Meanwhile it may have become possible. */
	int tried = try(store, at);
	if (tried == 0)
		return err;
	return isolate_may(tried) ? set_aside(store, at.first) : tried;
}
