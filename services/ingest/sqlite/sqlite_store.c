#include "sqlite_store.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../insert.h"
#include "judge.h"
#include "log.h"
#include "readings.h"
#include "statements.h"
#include "store_lease.h"
#include "stream.h"
#include "verify.h"

#define SOUND_US INT64_C(3600000000) /* so long a file that was found sound is so */

struct sqlite_store {
	struct sink_options options;
	struct dp_store file;
	bool suspect; /* to be used only once all of it was looked through */
	/* The file that was found sound last, and when. */
	uint64_t sound_device, sound_inode;
	int64_t sound_us;
	bool looked;	     /* the last call has looked through a file */
	atomic_bool looking; /* sqlite_store_is_looking() */
	atomic_bool hurried; /* sqlite_store_hurry() */
	struct statements statements;
	struct readings readings;
	struct sqlite_stream stream;
	struct effects effects;
	char why[256]; /* what SQLite said when a transaction failed with -EIO, -EDOM; or
			  empty */
};

/* ---- opening ---- */

static int prepare_all(struct sqlite_store *store)
{
	int err = verify_tables(store->file.db, store->file.path);
	if (err == 0)
		err = rows_register(store->file.db, &store->readings.rows);
	return err != 0 ? err : statements_prepare(&store->statements, store->file.db);
}

static void finalize_all(struct sqlite_store *store)
{
	statements_finalize(&store->statements);
	readings_forget(&store->readings);
}

/* Set what is at the path aside and begin anew, unless somebody else has. */
static int replace(struct sqlite_store *store, int64_t now_us)
{
	finalize_all(store);
	int err = dp_store_replace(&store->file, now_us);
	store->suspect = err != 0 && dp_store_is_there(&store->file);
	return err != 0 ? err : prepare_all(store);
}

static void note_sound(struct sqlite_store *store, int64_t now_us)
{
	store->sound_device = store->file.device;
	store->sound_inode = store->file.inode;
	store->sound_us = now_us;
	dp_store_found_sound(&store->file);
}

/* Who meets damage where this check finds none would have it looked through again and
 * again, with nothing stored meanwhile. */
static bool was_sound(const struct sqlite_store *store, int64_t now_us)
{
	bool was = store->sound_us != 0 && store->sound_device == store->file.device &&
		   store->sound_inode == store->file.inode && now_us >= store->sound_us &&
		   now_us - store->sound_us < SOUND_US;
	if (was)
		dp_log(DP_LOG_WARN,
			"the database is taken for damaged again, within an hour of being "
			"found sound; it is not looked through once more",
			"file=%s", store->file.path);
	return was;
}

/* It takes a minute a gigabyte on a card. */
static int look_through(struct sqlite_store *store, int64_t now_us)
{
	struct stat status = {.st_size = 0};
	(void)stat(store->file.path, &status); /* else its size is not known */
	dp_log(DP_LOG_WARN,
		"the database was taken for damaged and is looked through; nothing is "
		"stored meanwhile",
		"file=%s bytes=%lld", store->file.path, (long long)status.st_size);
	store->looked = true;
	atomic_store(&store->looking, true);
	int err = verify_all(store->file.db, store->file.path, &store->hurried);
	atomic_store(&store->looking, false);
	if (err == 0)
		note_sound(store, now_us);
	return err;
}

/* Open what is at the path. It is suspect when setting it aside has failed or the pruner
 * says so; meanwhile somebody may have written a good copy over it. */
static int open_checked(struct sqlite_store *store, int64_t now_us)
{
	int err = dp_store_reopen(&store->file);
	if (err == 0)
		err = prepare_all(store);
	return err == 0 && store->suspect ? look_through(store, now_us) : err;
}

/* @param damaged  the file has just been found damaged */
static int open_again(struct sqlite_store *store, bool damaged, int64_t now_us)
{
	finalize_all(store);
	int err = damaged ? -EUCLEAN : open_checked(store, now_us);
	if (err == -EUCLEAN)
		err = replace(store, now_us);
	if (err == 0) {
		store->suspect = false;
		return 0;
	}
	/* Not half open: the next attempt opens it anew. */
	finalize_all(store);
	dp_store_close(&store->file);
	return err;
}

int sqlite_store_open(
	struct sqlite_store **out, const struct sink_options *options, int64_t now_us)
{
	struct sqlite_store *store = calloc(1, sizeof(*store));
	if (store == NULL)
		dp_log_out_of_memory("the store");
	store->options = *options;
	store->readings.statements = store->stream.statements = &store->statements;
	int err = dp_store_open(&store->file, options->url);
	if (err == 0)
		err = prepare_all(store);
	if (err == -EUCLEAN)
		err = open_again(store, true, now_us);
	if (err != 0) {
		sqlite_store_close(store);
		return err;
	}
	*out = store;
	return 0;
}

void sqlite_store_hurry(struct sqlite_store *store)
{
	atomic_store(&store->hurried, true);
}

bool sqlite_store_is_looking(const struct sqlite_store *store)
{
	return atomic_load(&store->looking);
}

void sqlite_store_close(struct sqlite_store *store)
{
	if (store == NULL)
		return;
	finalize_all(store);
	sqlite_stream_finish(&store->stream);
	effects_finish(&store->effects);
	dp_store_close(&store->file);
	free(store);
}

/* ---- what becomes of a message: see context.h ---- */

static int find_stream(struct context *c, struct stream_row **out)
{
	struct sqlite_store *store = c->store;
	return sqlite_stream_find(&store->stream, c, out);
}

static int add_lost(struct context *c, const struct dp_interval *gap)
{
	struct sqlite_store *store = c->store;
	return sqlite_stream_add_lost(&store->stream, gap, c->now_us);
}

static int save_stream(struct context *c)
{
	(void)c; /* sqlite_stream_end() writes it, once for all its messages */
	return 0;
}

static int add_dead_letter(struct context *c, const struct dead_letter *letter)
{
	struct sqlite_store *store = c->store;
	sqlite3_stmt *statement = store->statements.at[ADD_DEAD];
	sqlite3_bind_int64(statement, 1, c->in->received_us);
	sqlite3_bind_text(
		statement, 2, c->in->topic, (int)letter->topic_len, SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, letter->reason, -1, SQLITE_STATIC);
	if (letter->stream == NULL)
		sqlite3_bind_null(statement, 4);
	else
		sqlite3_bind_blob(statement, 4, letter->stream->bytes, DP_STREAM_BYTES,
			SQLITE_STATIC);
	if (letter->seq == 0)
		sqlite3_bind_null(statement, 5);
	else
		sqlite3_bind_int64(statement, 5, (int64_t)letter->seq);
	sqlite3_bind_int64(statement, 6, (int64_t)letter->len);
	sqlite3_bind_blob(statement, 7, letter->text, (int)letter->kept, SQLITE_STATIC);
	return dp_sqlite_run(statement);
}

static int find_place(struct context *c, const char *topic,
	const struct dp_reading *reading, struct place *place)
{
	struct sqlite_store *store = c->store;
	return readings_find_place(&store->readings, topic, reading, place);
}

static int add_rows(struct context *c, const struct dp_reading *reading,
	const struct place *place, unsigned mark)
{
	struct sqlite_store *store = c->store;
	return readings_add(&store->readings, reading, place, mark);
}

static const struct store_ops ops = {
	.find_stream = find_stream,
	.add_lost = add_lost,
	.save_stream = save_stream,
	.add_dead_letter = add_dead_letter,
	.find_place = find_place,
	.add_rows = add_rows,
};

/* ---- a transaction ---- */

/*
 * Whether the lease is still ours, asked within the transaction. A replica that was frozen
 * for longer than its lease finds another number and stores no plain message.
 */
static int check_fence(struct sqlite_store *store, struct dp_lease *fence)
{
	sqlite3_stmt *statement = store->statements.at[FIND_LEASE];
	sqlite3_bind_text(statement, 1, fence->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, fence->holder, -1, SQLITE_STATIC);
	int code = sqlite3_step(statement);
	fence->held = fence->held && code == SQLITE_ROW &&
		      sqlite3_column_int64(statement, 0) == fence->number;
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

static int write_all(struct sqlite_store *store, const struct incoming *list,
	struct dp_lease *fence, struct results *results, int64_t now_us)
{
	const struct context c =
		context_of(&ops, store, &store->options, &store->effects, results, now_us);
	int err = readings_begin(&store->readings);
	if (err == 0 && incoming_has_plain(list))
		err = check_fence(store, fence);
	if (err == 0)
		err = insert_messages(&c, list, fence);
	if (err == 0)
		err = sqlite_stream_end(&store->stream);
	if (err == 0)
		err = readings_end(&store->readings);
	if (err == 0 && effects_trim_due(&store->effects, store->options.dead_letters_max))
		err = statements_run(
			&store->statements, TRIM_DEAD, 1, &store->options.dead_letters_max);
	return err;
}

/* After an error that opening the file again may mend. @return whether it is open again and
 * to be tried once more; else *result is the error */
static bool mend(struct sqlite_store *store, int err, int64_t now_us, int *result)
{
	if (err == -ESTALE)
		dp_log(DP_LOG_WARN,
			"the database or its lock file was replaced, using what is "
			"there now",
			"file=%s", store->file.path);
	*result = err;
	if (err != -ESTALE && err != -EUCLEAN && store->file.db != NULL)
		return false;
	bool look = err == -EUCLEAN && dp_store_is_suspect(&store->file) &&
		    !was_sound(store, now_us);
	store->suspect = store->suspect || look;
	*result = open_again(store, err == -EUCLEAN && !look, now_us);
	return *result == 0;
}

static int try_commit(struct sqlite_store *store, const struct incoming *list,
	struct dp_lease *fence, struct results *results, int64_t now_us)
{
	size_t answered = results->n;
	effects_begin(&store->effects);
	store->why[0] = '\0';
	sqlite_stream_begin(&store->stream);
	if (store->readings.series.parts > SERIES_MAX)
		readings_forget(&store->readings);
	/* It locks out other writers, so what is read in it stays true until the commit. */
	int err = dp_store_begin(&store->file);
	if (err != 0)
		return err;
	err = write_all(store, list, fence, results, now_us);
	if (err == -EIO) {
		snprintf(store->why, sizeof(store->why), "%s",
			sqlite3_errmsg(store->file.db));
		err = judge_is_refusal(store->file.db) ? -EDOM : err;
	}
	if (err == 0)
		err = dp_store_commit(&store->file);
	else
		dp_store_rollback(&store->file);
	if (err == 0)
		return 0;
	readings_forget(&store->readings);
	results->n = answered;
	return err;
}

int sqlite_store_commit(struct sqlite_store *store, const struct incoming *list,
	struct dp_lease *fence, struct results *results, int64_t now_us)
{
	int err = store->file.db == NULL ? -EBADF
					 : try_commit(store, list, fence, results, now_us);
	if (err != 0 && mend(store, err, now_us, &err))
		err = try_commit(store, list, fence, results, now_us);
	if (err == -EDOM)
		err = judge_refusal(&store->file, store->why, sizeof(store->why));
	if (err != 0)
		return err;
	effects_commit(&store->effects, now_us);
	return 0;
}

int sqlite_store_lease(struct sqlite_store *store, struct dp_lease *lease, int64_t now_us)
{
	store->looked = false;
	int err = store->file.db == NULL ? -EBADF
					 : dp_lease_renew(&store->file, lease, now_us);
	if (err != 0 && mend(store, err, now_us, &err))
		err = store->looked ? -EAGAIN : dp_lease_renew(&store->file, lease, now_us);
	return err;
}

int sqlite_store_release(struct sqlite_store *store, struct dp_lease *lease)
{
	return store->file.db == NULL ? -EBADF : dp_lease_release(&store->file, lease);
}

int sqlite_store_gaps(struct sqlite_store *store, uint64_t *gaps)
{
	if (store->file.db == NULL)
		return -EBADF;
	sqlite3_stmt *statement = store->statements.at[COUNT_GAPS];
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*gaps = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

const char *sqlite_store_why(const struct sqlite_store *store)
{
	return store->why[0] != '\0' ? store->why : NULL;
}

const char *sqlite_store_id(const struct sqlite_store *store)
{
	return store->file.id;
}

const struct counts *sqlite_store_counts(const struct sqlite_store *store)
{
	return &store->effects.total;
}
