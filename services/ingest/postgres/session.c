#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "postgres.h"

#define OLDEST_SERVER 140000 /* int8multirange */

/* Only append: databases of every version are in use. */
static const char *const migrations[] = {
#include "postgres.sql.h"
};

#define KNOWN_VERSION ((int64_t)(sizeof(migrations) / sizeof(migrations[0])))

_Static_assert(KNOWN_VERSION == DP_POSTGRES_SCHEMA, "the others know another version");

/*
 * A replica that hangs in a transaction loses it, and what it has locked, to the others.
 * Limits that the URL or the role sets stay.
 */
static const char settings[] =
	"SELECT set_config(name, value, false) FROM (VALUES ('lock_timeout', '12s'),"
	"  ('idle_in_transaction_session_timeout', '10s'), ('statement_timeout', '25s'))"
	" AS ours (name, value) WHERE current_setting(name) = '0';"
	"SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';"
	"SELECT set_config('synchronous_commit', 'on', false)"
	" WHERE current_setting('synchronous_commit') = 'off'";

/* In this order. LOCK to COMMIT are left out when the schema is up to date. */
enum step {
	SET,
	LOOK,
	VERSION,
	LOCK,
	VERSION_AGAIN,
	MIGRATE,
	NOTE,
	COMMIT,
	STORE,
	PARTITIONS
};

static void next(void *data, int err);

bool session_is_newer(const struct pg *pg, int64_t version)
{
	if (version <= KNOWN_VERSION)
		return false;
	dp_log(DP_LOG_ERROR,
		"a newer version of a service has changed the database; upgrade this one",
		"store=%s database_version=%lld known_version=%lld", pg_name(pg),
		(long long)version, (long long)KNOWN_VERSION);
	return true;
}

static void on_rows(void *data, int statement, const struct pg_rows *rows)
{
	struct session *s = data;
	(void)statement;
	if (s->step == LOOK) {
		if (pg_text(rows, 0, 0)[0] == 't')
			s->refusal = "the server is in recovery, it takes no rows";
		else if (strcmp(pg_text(rows, 0, 1), "UTF8") != 0)
			s->refusal = "the database's encoding must be UTF8";
		s->version = pg_text(rows, 0, 2)[0] == 't' ? 0 : -1;
	} else if (s->step == VERSION || s->step == VERSION_AGAIN) {
		s->version = pg_int(rows, 0, 0);
	} else if (s->step == STORE) {
		if (pg_count(rows) > 0)
			snprintf(s->store, sizeof(s->store), "%s", pg_text(rows, 0, 0));
		else
			s->refusal =
				"the table store has no row; restore it, or give it one:"
				" INSERT INTO store VALUES (decode(md5(random()::text),"
				" 'hex'))";
	} else if (s->step == PARTITIONS) {
		for (size_t i = 0; i < pg_count(rows); i++) {
			uint64_t day = (uint64_t)pg_int(rows, i, 0);
			if (dp_intervals_add(s->days, day, day) != 0)
				dp_log_out_of_memory("partitions");
		}
	}
}

static void ask(struct session *s, enum step step, const char *sql)
{
	s->step = (int)step;
	pg_begin(s->pg, on_rows, next, s);
	pg_add(s->pg, sql, NULL, 0);
	pg_end(s->pg);
}

static void run(struct session *s, enum step step, const char *sql)
{
	s->step = (int)step;
	pg_script(s->pg, sql, next, s);
}

static void migrate_next(struct session *s)
{
	if (s->version < KNOWN_VERSION)
		run(s, MIGRATE, migrations[s->version]);
	else
		run(s, COMMIT, "COMMIT");
}

static void note_migration(struct session *s)
{
	char sql[96];
	s->version++;
	snprintf(sql, sizeof(sql), "INSERT INTO dewpoint_schema (version) VALUES (%lld)",
		(long long)s->version);
	run(s, NOTE, sql);
}

static void ask_partitions(struct session *s)
{
	ask(s, PARTITIONS,
		"SELECT to_date(right(relname, 8), 'YYYYMMDD') - date '1970-01-01'"
		" FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
		" WHERE inhparent = 'reading'::regclass AND relname ~ "
		"'^reading_[0-9]{8}$'");
}

static void ask_store(struct session *s)
{
	ask(s, STORE, "SELECT encode(id, 'hex') FROM store ORDER BY id LIMIT 1");
}

static void judge_version(struct session *s)
{
	if (session_is_newer(s->pg, s->version)) {
		s->outdated(s->data);
		return;
	}
	s->migrated_from = s->version;
	if (s->step == VERSION_AGAIN)
		migrate_next(s);
	else if (s->version == KNOWN_VERSION)
		ask_store(s);
	else
		run(s, LOCK,
			SESSION_BEGIN
			";" DP_POSTGRES_LOCK
			"; CREATE TABLE IF NOT EXISTS dewpoint_schema ("
			"version integer PRIMARY KEY,"
			" applied timestamptz NOT NULL DEFAULT now());"
			"LOCK TABLE dewpoint_schema IN ACCESS EXCLUSIVE MODE");
}

static void log_migration(const struct session *s)
{
	if (s->migrated_from < s->version)
		dp_log(DP_LOG_INFO, "schema brought up to date",
			"store=%s from=%lld to=%lld", pg_name(s->pg),
			(long long)s->migrated_from, (long long)s->version);
}

static void next(void *data, int err)
{
	struct session *s = data;
	if (err == -ENOTCONN)
		return; /* pg_events.lost() tells the session's owner */
	if (err != 0 || s->refusal != NULL) {
		pg_drop(s->pg, s->refusal != NULL ? s->refusal : pg_error(s->pg));
		return;
	}
	switch ((enum step)s->step) {
	case SET:
		ask(s, LOOK,
			"SELECT pg_is_in_recovery(), current_setting('server_encoding'),"
			" to_regclass('dewpoint_schema') IS NOT NULL");
		break;
	case LOOK:
		if (s->version < 0)
			judge_version(s);
		else
			ask(s, VERSION, SESSION_VERSION);
		break;
	case VERSION:
	case VERSION_AGAIN:
		judge_version(s);
		break;
	case LOCK:
		ask(s, VERSION_AGAIN, SESSION_VERSION);
		break;
	case MIGRATE:
		note_migration(s);
		break;
	case NOTE:
		migrate_next(s);
		break;
	case COMMIT:
		log_migration(s);
		ask_store(s);
		break;
	case STORE:
		ask_partitions(s);
		break;
	case PARTITIONS:
		s->done(s->data);
		break;
	}
}

void session_prepare(struct session *session, struct pg *pg, struct dp_intervals *days,
	void (*done)(void *data), void (*outdated)(void *data), void *data)
{
	*session = (struct session){
		.pg = pg, .days = days, .done = done, .outdated = outdated, .data = data};
	dp_intervals_clear(days);
	if (pg_server_version(pg) < OLDEST_SERVER)
		pg_drop(pg, "PostgreSQL 14 or newer is needed");
	else
		run(session, SET, settings);
}
