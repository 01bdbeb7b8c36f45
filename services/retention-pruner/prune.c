#include "prune.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jump.h"
#include "log.h"
#include "prune_steps.h"
#include "url.h"

#define MIN_FREE_FLOOR 1048576
#define LOG_TRIES 4
#define LOG_PAGES 256 /* of the write-ahead log, a megabyte: then it goes into the file */

/* What a step may do at first, at least and at most: rows, or pages of a vacuum. */
static const struct stride strides[PHASES] = {
	[PHASE_COUNT] = {.amount = 2000, .least = 50, .most = 20000, .us = STRIDE_US},
	[PHASE_LATE] = {.amount = 2000, .least = 50, .most = 20000, .us = STRIDE_US},
	[PHASE_READINGS] = {.amount = 5000, .least = 50, .most = 5000, .us = STRIDE_US},
	[PHASE_ROLLUPS] = {.amount = 5000, .least = 50, .most = 5000, .us = STRIDE_US},
	[PHASE_SIZE] = {.amount = 2000, .least = 50, .most = 5000, .us = STRIDE_US},
	[PHASE_VACUUM] = {.amount = 64, .least = 4, .most = 128, .us = STRIDE_US},
};

const char prune_service[] = "retention-pruner";
const char prune_url_fallback[] = "sqlite:///data/broker.db";
const char prune_url_help[] = "the database: sqlite:///absolute/path/of/file.db";

const char *prune_check_url(const char *value)
{
	return dp_url_is_postgres(value) ? "sqlite:///absolute/path/of/file.db; "
					   "retention-pruner-postgres is for PostgreSQL"
					 : dp_check_store_url(value);
}

const char *prune_check_min_free(int64_t bytes)
{
	return bytes == 0 || bytes >= MIN_FREE_FLOOR ? NULL : "0 or at least 1048576";
}

int prune_open(struct prune **out, const char *store_url)
{
	struct prune *prune = calloc(1, sizeof(*prune));
	if (prune == NULL)
		dp_log_out_of_memory("the pruner's store");
	prune->phase = PHASE_DONE;
	int err = dp_store_open(&prune->store, store_url);
	if (err == 0)
		err = prune_prepare(prune);
	if (err != 0) {
		prune_close(prune);
		return err;
	}
	*out = prune;
	return 0;
}

void prune_close(struct prune *prune)
{
	if (prune == NULL)
		return;
	prune_finalize(prune);
	dp_store_close(&prune->store);
	free(prune);
}

void prune_hurry(struct prune *prune)
{
	(void)prune; /* a step is short */
}

const char *prune_why(const struct prune *prune)
{
	(void)prune;
	return NULL;
}

/* ingest has begun a new file: what was under way is over. */
static int open_again(struct prune *prune)
{
	prune_finalize(prune);
	if (prune->phase != PHASE_DONE) {
		prune->report.outcome = PRUNE_FAILED;
		prune->report.reason = "the database was replaced during the run";
	}
	prune->phase = PHASE_DONE;
	prune->wal_pages = prune->wal_seen = 0;
	prune->held_us = 0;
	int err = dp_store_reopen(&prune->store);
	return err != 0 ? err : prune_prepare(prune);
}

int prune_lease(struct prune *prune, struct dp_lease *lease, int64_t now_us)
{
	int err = prune->store.db != NULL ? dp_lease_renew(&prune->store, lease, now_us)
					  : -ESTALE;
	if (err != -ESTALE)
		return err;
	err = open_again(prune);
	return err != 0 ? err : dp_lease_renew(&prune->store, lease, now_us);
}

int prune_release(struct prune *prune, struct dp_lease *lease)
{
	return prune->store.db != NULL ? dp_lease_release(&prune->store, lease) : 0;
}

void prune_begin(struct prune *prune, const struct prune_run *run)
{
	prune->run = *run;
	prune->report = (struct prune_report){.outcome = PRUNE_DID};
	prune->phase = PHASE_CHECK;
	/* Little to do was no sign that much goes as quickly: begin carefully again. */
	for (int i = 0; i < PHASES; i++)
		prune->strides[i] = strides[i];
	aside_begin(&prune->aside);
	prune->sensor = prune->size_s = 0;
	prune->cut_raw_us = prune->cut_rollup_us = INT64_MIN;
	prune->gain = (struct cut_gain){.begun = false};
	for (int i = 0; i < LEVELS; i++)
		prune->due[i] = prune->kept[i] = 0;
}

/* What the run comes to, and that there was one. */
static int end_run(struct prune *prune)
{
	struct prune_report *report = &prune->report;
	struct state state = {.next_id = 0};
	int64_t used;
	int err = dp_store_begin(&prune->store);
	if (err != 0)
		return err;
	const int64_t when[] = {prune->run.now_us, prune->run.boot_us};
	if (report->outcome == PRUNE_DID) {
		char boot[JUMP_BOOT_MAX];
		jump_boot(boot, prune->run.boot_id, prune->run.synchronised);
		sqlite3_bind_text(
			prune_bind(prune, SET_RUN, 2, when), 3, boot, -1, SQLITE_TRANSIENT);
		err = prune_run(prune, SET_RUN);
	}
	if (err == 0)
		err = prune_state(prune, &state);
	if (err == 0)
		err = space_sizes(prune, &used, &report->bytes_after);
	if (err == 0)
		err = prune_row(prune, OLDEST, 0, NULL, 1, &report->oldest_us);
	if (report->reason == NULL && prune->run.policies->ambiguous)
		report->reason = policies_ambiguous;
	report->rows_after = state.next_id - 1 - state.removed;
	if (err >= 0 && report->outcome == PRUNE_DID)
		err = prune_tell_planner(prune, report->rows_after);
	err = prune_end(prune, err < 0 ? err : 0);
	return err != 0 ? err : 1;
}

static int step(struct prune *prune, int64_t *rows)
{
	switch (prune->phase) {
	case PHASE_CHECK:
		return guard_check(prune);
	case PHASE_DUE:
		return guard_due(prune);
	case PHASE_KEPT:
		return guard_kept(prune);
	case PHASE_LOOK:
		return guard_look(prune);
	case PHASE_MARK:
		return rollup_mark(prune);
	case PHASE_COUNT:
		return rollup_count(prune);
	case PHASE_LATE:
		return rollup_late(prune);
	case PHASE_READINGS:
		return prune_readings(prune, rows);
	case PHASE_ROLLUPS:
		return prune_rollups(prune, rows);
	case PHASE_STREAMS:
		return prune_streams(prune, rows);
	case PHASE_SIZE:
		return space_check(prune, rows);
	case PHASE_VACUUM:
		return space_vacuum(prune);
	case PHASE_END:
		return end_run(prune);
	case PHASE_DONE:
		break;
	}
	return 0;
}

/* What ingest has not met. It sets the file aside when it renews its lease next. */
static void tell_ingest(struct prune *prune)
{
	int err = dp_store_suspect(&prune->store);
	dp_log(DP_LOG_ERROR,
		err == 0 ? "the database is damaged; ingest will set it aside"
			 : "the database is damaged, and ingest could not be told",
		"file=%s error=\"%s\"", prune->store.path,
		err == 0 ? sqlite3_errmsg(prune->store.db) : strerror(-err));
}

int prune_step(struct prune *prune, int64_t *rows, bool *done)
{
	prune->stepped = prune->phase;
	*rows = 0;
	int result = step(prune, rows);
	if (result == -EUCLEAN)
		tell_ingest(prune);
	if (result == -EBADMSG)
		result = prune_set_aside(prune, -EIO);
	if (result == 1) {
		/* A dry run ends where it has looked. */
		prune->phase = prune->phase == PHASE_LOOK ? PHASE_END : prune->phase + 1;
		prune->sensor = prune->size_s = 0;
	}
	/* A run that looks is no part of the others' way. */
	if (prune->phase == PHASE_LOOK && !prune->run.dry_run)
		prune->phase = PHASE_MARK;
	*done = prune->phase == PHASE_DONE;
	return result < 0 ? result : 0;
}

void prune_took(struct prune *prune, int64_t took_us)
{
	stride_took(&prune->strides[prune->stepped], took_us);
}

int prune_checkpoint(struct prune *prune)
{
	int logged = 0, written = 0, before = -1, code = SQLITE_OK;
	if (prune->wal_pages < prune->wal_seen)
		prune->wal_seen = 0;
	if (prune->store.db == NULL || prune->wal_pages < prune->wal_seen + LOG_PAGES)
		return 0;
	/*
	 * The log begins anew when all of it is in the file. What somebody has added
	 * meanwhile is little and goes quickly; only asking again tells.
	 */
	for (int i = 0; i < LOG_TRIES && code == SQLITE_OK && logged != before; i++) {
		before = logged;
		code = sqlite3_wal_checkpoint_v2(prune->store.db, NULL,
			SQLITE_CHECKPOINT_PASSIVE, &logged, &written);
	}
	bool all = written == logged && logged == before;
	prune->wal_seen = all ? prune->wal_pages : 0;
	/* Somebody else is at it. */
	return code == SQLITE_BUSY ? 0 : dp_sqlite_error(code);
}

const struct prune_report *prune_report(const struct prune *prune)
{
	return &prune->report;
}
