#include "prune_postgres.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

#define COUNT_US 200000 /* nobody waits for a step, but its transaction should be short */
#define DELETE_US 100000
#define LOOK_US 1000000 /* without a transaction */

/*
 * What a step may do at first, at least and at most: rows; of counting and of looking at
 * readings, seconds of time.
 */
static const struct stride strides[PHASES] = {
	[PHASE_DUE] = {.amount = 86400, .least = 3600, .most = 31536000, .us = LOOK_US},
	[PHASE_LOOK] = {.amount = 86400, .least = 3600, .most = 31536000, .us = LOOK_US},
	[PHASE_COUNT] = {.amount = 3600, .least = 60, .most = 86400, .us = COUNT_US},
	[PHASE_LATE] = {.amount = 10000, .least = 500, .most = 200000, .us = COUNT_US},
	[PHASE_READINGS] = {.amount = 5000, .least = 500, .most = 20000, .us = DELETE_US},
	[PHASE_ROLLUPS] = {.amount = 5000, .least = 500, .most = 20000, .us = DELETE_US},
	[PHASE_SIZE] = {.amount = 5000, .least = 500, .most = 20000, .us = DELETE_US},
};

const char prune_service[] = "retention-pruner-postgres";
const char prune_url_fallback[] = "postgresql://dewpoint@postgres/dewpoint";
const char prune_url_help[] = "the database: postgresql://user:password@host:port/database";

const char *prune_check_url(const char *value)
{
	return dp_postgres_check_url(value);
}

const char *prune_check_min_free(int64_t bytes)
{
	return bytes == 0 ? NULL
			  : "0: PostgreSQL does not say what its volume has free; "
			    "MAX_DB_BYTES limits the database";
}

int prune_open(struct prune **out, const char *store_url)
{
	struct prune *prune = calloc(1, sizeof(*prune));
	if (prune == NULL)
		dp_log_out_of_memory("the pruner's store");
	prune->phase = PHASE_DONE;
	db_open(&prune->db, store_url);
	*out = prune;
	return 0;
}

void prune_close(struct prune *prune)
{
	if (prune == NULL)
		return;
	groups_finish(&prune->groups);
	db_close(prune->db);
	free(prune);
}

void prune_hurry(struct prune *prune)
{
	db_hurry(prune->db);
}

const char *prune_why(const struct prune *prune)
{
	const char *why = db_why(prune->db);
	return *why != '\0' ? why : NULL;
}

/* ---- a run ---- */

static void rewind_targets(struct prune *prune)
{
	prune->target = (struct target){.group = 0};
	prune->day_us = -1;
	prune->look_us = INT64_MIN;
}

void prune_begin(struct prune *prune, const struct prune_run *run)
{
	prune->run = *run;
	prune->report = (struct prune_report){.outcome = PRUNE_DID};
	prune->phase = PHASE_CHECK;
	/* Little to do was no sign that much goes as quickly: begin carefully again. */
	for (int i = 0; i < PHASES; i++)
		stride_begin(&prune->strides[i], &strides[i]);
	prune->cut_raw_us = prune->cut_rollup_us = INT64_MIN;
	prune->repack = prune->repack_owed;
	prune->vacuum = false;
	aside_begin(&prune->aside);
	rewind_targets(prune);
	for (int i = 0; i < LEVELS; i++)
		prune->due[i] = prune->kept[i] = 0;
}

static int step(struct prune *prune, int64_t *rows)
{
	switch (prune->phase) {
	case PHASE_CHECK:
		return look_check(prune);
	case PHASE_DUE:
		return look_due(prune);
	case PHASE_KEPT:
		return look_kept(prune);
	case PHASE_LOOK:
		return look_all(prune);
	case PHASE_MARK:
		return count_mark(prune);
	case PHASE_COUNT:
		return count_some(prune);
	case PHASE_LATE:
		return count_late(prune);
	case PHASE_DAYS:
		return days_drop(prune, rows);
	case PHASE_READINGS:
		return remove_readings(prune, rows);
	case PHASE_ROLLUPS:
		return remove_rollups(prune, rows);
	case PHASE_STREAMS:
		return remove_streams(prune, rows);
	case PHASE_SIZE:
		return space_check(prune, rows);
	case PHASE_END:
		return space_end(prune);
	case PHASE_DONE:
		break;
	}
	return 0;
}

/* What a step has done nothing of is tried again from where it began. */
static int try_step(struct prune *prune, int64_t *rows)
{
	const struct target target = prune->target;
	const int64_t day_us = prune->day_us;
	prune->stepped = prune->phase;
	prune->took_too_long = false;
	int result = step(prune, rows);
	if (result >= 0)
		return result;
	prune->target = target;
	prune->day_us = day_us;
	prune->took_too_long = prune->took_too_long || db_took_too_long(prune->db);
	/* The session is there still: at once with less, until it is the least. */
	bool less = prune->took_too_long && result == -EBUSY &&
		    prune->strides[prune->stepped].amount > 1;
	return less ? 0 : result;
}

int prune_step(struct prune *prune, int64_t *rows, bool *done)
{
	*rows = 0;
	int result = try_step(prune, rows);
	if (result == 1) {
		/* A dry run ends where it has looked; others do not look. */
		prune->phase = prune->phase == PHASE_LOOK ? PHASE_END : prune->phase + 1;
		if (prune->phase == PHASE_LOOK)
			prune->phase = PHASE_MARK;
	}
	if (prune->phase != prune->stepped)
		rewind_targets(prune);
	*done = prune->phase == PHASE_DONE;
	return result < 0 ? result : 0;
}

void prune_took(struct prune *prune, int64_t took_us)
{
	struct stride *stride = &prune->strides[prune->stepped];
	if (prune->took_too_long)
		stride_gave_up(stride);
	else
		stride_took(stride, took_us);
	if (!prune->took_too_long && took_us < prune->limit_us / 8)
		stride_raise(stride);
}

int prune_checkpoint(struct prune *prune)
{
	(void)prune; /* the server does */
	return 0;
}

const struct prune_report *prune_report(const struct prune *prune)
{
	return &prune->report;
}
