#include "step.h"

#include <errno.h>
#include <stdio.h>

#include "log.h"
#include "postgres.h"

int step_run(struct postgres_store *store, const char *sql, int n, const int64_t *numbers,
	const char *text)
{
	const struct db_values values = {n, text != NULL, numbers, &text};
	return db_run(store->db, sql, &values);
}

int step_ask(struct postgres_store *store, const char *sql, int n, const int64_t *numbers,
	const char *text, int64_t *out)
{
	int err = step_run(store, sql, n, numbers, text);
	if (err != 0)
		return err;
	if (db_rows(store->db) == 0 || db_is_null(store->db, 0, 0))
		return 0;
	*out = db_int(store->db, 0, 0);
	return 1;
}

int step_begin(struct postgres_store *store, const char *how)
{
	int64_t version = 0;
	int err = db_run(store->db, how, NULL);
	/* Read in the transaction, it is not changed before its end. */
	if (err == 0)
		err = step_ask(store, "SELECT max(version) FROM dewpoint_schema", 0, NULL,
			NULL, &version);
	if (err < 0)
		return step_end(store, err);
	if (version <= DP_POSTGRES_SCHEMA)
		return 0;
	dp_log(DP_LOG_ERROR,
		"a newer version of a service has changed the database; upgrade this one",
		"store=%s database_version=%lld known_version=%d", db_name(store->db),
		(long long)version, DP_POSTGRES_SCHEMA);
	return step_end(store, -EPROTO);
}

#define READ_STATE                                                                         \
	"SELECT counted_until, late_before, run_wall, run_boot_us, run_boot_id"            \
	" FROM retention"

static int read_state(
	struct postgres_store *store, const char *sql, struct postgres_state *state)
{
	struct db *db = store->db;
	int err = db_run(db, sql, NULL);
	if (err != 0)
		return err;
	if (db_rows(db) == 0)
		return -ENODATA;
	state->counted_until_us = db_int(db, 0, 0);
	state->late_before_us = db_int(db, 0, 1);
	state->run_wall_us = db_int(db, 0, 2);
	state->run_boot_us = db_int(db, 0, 3);
	snprintf(state->run_boot_id, sizeof(state->run_boot_id), "%s", db_text(db, 0, 4));
	return 0;
}

int step_look(struct postgres_store *store, struct postgres_state *state)
{
	return read_state(store, READ_STATE, state);
}

int step_state(struct postgres_store *store, struct postgres_state *state)
{
	return read_state(store, READ_STATE " FOR UPDATE", state);
}

int step_end_with(struct postgres_store *store, const char *sql)
{
	char text[512];
	snprintf(text, sizeof(text), "%s; COMMIT", sql);
	int err = db_run(store->db, text, NULL);
	return err != 0 ? step_end(store, err) : 0;
}

int step_end(struct postgres_store *store, int err)
{
	char why[256];
	if (err == 0)
		return db_run(store->db, "COMMIT", NULL);
	snprintf(why, sizeof(why), "%s", db_why(store->db));
	store->job->too_long = db_took_too_long(store->db);
	if (db_run(store->db, "ROLLBACK", NULL) != 0)
		db_disconnect(store->db);
	db_say_why(store->db, why);
	return err;
}

int step_undo(struct postgres_store *store)
{
	return db_run(store->db, "ROLLBACK", NULL);
}
