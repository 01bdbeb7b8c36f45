/* What every step does around its own statements. */
#include <errno.h>
#include <stdio.h>

#include "log.h"
#include "prune_postgres.h"

int step_run(struct prune *prune, const char *sql, int n, const int64_t *numbers,
	const char *text)
{
	const struct db_values values = {n, text != NULL, numbers, &text};
	return db_run(prune->db, sql, &values);
}

int step_ask(struct prune *prune, const char *sql, int n, const int64_t *numbers,
	const char *text, int64_t *out)
{
	int err = step_run(prune, sql, n, numbers, text);
	if (err != 0)
		return err;
	if (db_rows(prune->db) == 0 || db_is_null(prune->db, 0, 0))
		return 0;
	*out = db_int(prune->db, 0, 0);
	return 1;
}

int step_begin(struct prune *prune, const char *how)
{
	int64_t version = 0;
	int err = db_run(prune->db, how, NULL);
	/* Read in the transaction, it is not changed before its end. */
	if (err == 0)
		err = step_ask(prune, "SELECT max(version) FROM dewpoint_schema", 0, NULL,
			NULL, &version);
	if (err < 0)
		return step_end(prune, err);
	if (version <= DP_POSTGRES_SCHEMA)
		return 0;
	dp_log(DP_LOG_ERROR,
		"a newer version of a service has changed the database; upgrade this one",
		"store=%s database_version=%lld known_version=%d", db_name(prune->db),
		(long long)version, DP_POSTGRES_SCHEMA);
	return step_end(prune, -EPROTO);
}

#define READ_STATE                                                                         \
	"SELECT counted_until, late_before, run_wall, run_boot_us, run_boot_id"            \
	" FROM retention"

static int read_state(struct prune *prune, const char *sql, struct state *state)
{
	struct db *db = prune->db;
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

int step_look(struct prune *prune, struct state *state)
{
	return read_state(prune, READ_STATE, state);
}

int step_state(struct prune *prune, struct state *state)
{
	return read_state(prune, READ_STATE " FOR UPDATE", state);
}

int step_end_with(struct prune *prune, const char *sql)
{
	char text[512];
	snprintf(text, sizeof(text), "%s; COMMIT", sql);
	int err = db_run(prune->db, text, NULL);
	return err != 0 ? step_end(prune, err) : 0;
}

int step_end(struct prune *prune, int err)
{
	char why[256];
	if (err == 0)
		return db_run(prune->db, "COMMIT", NULL);
	snprintf(why, sizeof(why), "%s", db_why(prune->db));
	prune->took_too_long = db_took_too_long(prune->db);
	if (db_run(prune->db, "ROLLBACK", NULL) != 0)
		db_disconnect(prune->db);
	db_say_why(prune->db, why);
	return err;
}

int step_undo(struct prune *prune)
{
	return db_run(prune->db, "ROLLBACK", NULL);
}
