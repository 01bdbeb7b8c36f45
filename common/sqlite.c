#include "sqlite.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

#define BUSY_TIMEOUT_MS 5000
#define OPEN_TIMEOUT_MS 500
#define OPEN_PATIENCE_MS 1000 /* a loop may wait for it */
#define RETRY_MS 20

int dp_sqlite_error(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	default:
		return -EIO;
	}
}

int dp_sqlite_exec(sqlite3 *db, const char *sql)
{
	return dp_sqlite_error(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int dp_sqlite_int(sqlite3 *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_DONE ? -ENOENT : dp_sqlite_error(code);
}

int dp_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out)
{
	int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
	if (code != SQLITE_OK)
		dp_log(DP_LOG_ERROR, "cannot prepare a statement",
			"error=\"%s\" sql=\"%s\"", sqlite3_errmsg(db), sql);
	return dp_sqlite_error(code);
}

int dp_sqlite_run(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

/* Whether the file is ours and not newer than we are; *version is its schema's. */
static int check_file(
	sqlite3 *db, const struct dp_schema *schema, const char *path, int64_t *version)
{
	int64_t id = 0, objects = 0;
	*version = 0;
	int err = dp_sqlite_int(db, "PRAGMA user_version", version);
	if (err == 0)
		err = dp_sqlite_int(db, "PRAGMA application_id", &id);
	/* A file without a version is ours to fill only when nothing is in it. */
	if (err == 0)
		err = dp_sqlite_int(db, "SELECT count(*) FROM sqlite_schema", &objects);
	/* A schema of a format that SQLite does not know: no statement of ours is wrong. */
	if (err == -EIO && sqlite3_errcode(db) == SQLITE_ERROR)
		return -EUCLEAN;
	if (err != 0)
		return err;
	/* Version and id are written together, from 1 up. */
	if (*version < 0 || (*version == 0 && id == schema->application_id))
		return -EUCLEAN;
	bool fresh = *version == 0 && id == 0 && objects == 0;
	if (!fresh && id != schema->application_id) {
		dp_log(DP_LOG_ERROR, "the file belongs to another program", "file=%s",
			path);
		return -EPROTO;
	}
	if (*version <= schema->version)
		return 0;
	dp_log(DP_LOG_ERROR, "the file was written by a newer version; upgrade this one",
		"file=%s %s_version=%lld known_version=%d", path, schema->what,
		(long long)*version, schema->version);
	return -EPROTO;
}

/* Within one transaction, so that a second process waits and finds it done. */
static int migrate(sqlite3 *db, const struct dp_schema *schema, const char *path)
{
	int64_t version = 0;
	int err = dp_sqlite_exec(db, "BEGIN IMMEDIATE");
	if (err == 0)
		err = check_file(db, schema, path, &version);
	bool changed = err == 0 && version < schema->version;
	for (int64_t i = version; err == 0 && i < schema->version; i++)
		err = dp_sqlite_exec(db, schema->migrations[i]);
	if (changed && err == 0) {
		char pragmas[96];
		snprintf(pragmas, sizeof(pragmas),
			"PRAGMA user_version=%d; PRAGMA application_id=%d", schema->version,
			(int)schema->application_id);
		err = dp_sqlite_exec(db, pragmas);
	}
	if (err == 0)
		err = dp_sqlite_exec(db, "COMMIT");
	if (err == 0 && changed)
		dp_log(DP_LOG_INFO, "schema brought up to date", "file=%s from=%lld to=%d",
			path, (long long)version, schema->version);
	return err;
}

/* How long opening has waited for others so far. */
struct patience {
	int waited_ms;
};

static int wait_for_others(void *data, int calls)
{
	struct patience *patience = data;
	if (patience->waited_ms >= OPEN_PATIENCE_MS || calls >= OPEN_TIMEOUT_MS / RETRY_MS)
		return 0;
	patience->waited_ms += RETRY_MS;
	sqlite3_sleep(RETRY_MS);
	return 1;
}

static int set_page_bytes(sqlite3 *db, int bytes)
{
	char sql[40];
	snprintf(sql, sizeof(sql), "PRAGMA page_size=%d", bytes);
	return dp_sqlite_exec(db, sql);
}

static int open_once(sqlite3 **out, const char *path, const struct dp_schema *schema,
	struct patience *patience)
{
	int64_t version;
	int err = dp_sqlite_error(sqlite3_open_v2(path, out,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
	if (err != 0)
		return err;
	sqlite3_busy_handler(*out, wait_for_others, patience);
	/* First: what is not ours must not be touched. */
	err = dp_sqlite_exec(*out, "BEGIN");
	if (err == 0)
		err = check_file(*out, schema, path, &version);
	if (err == 0)
		err = dp_sqlite_exec(*out, "COMMIT");
	/* It and auto_vacuum count only before the first table. */
	if (err == 0 && schema->page_bytes != 0)
		err = set_page_bytes(*out, schema->page_bytes);
	/* 2 MB of cache. */
	if (err == 0)
		err = dp_sqlite_exec(*out,
			"PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
			"PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF;"
			"PRAGMA cache_size=-2048; PRAGMA temp_store=MEMORY;"
			"PRAGMA journal_size_limit=16777216");
	return err != 0 ? err : migrate(*out, schema, path);
}

int dp_sqlite_open(sqlite3 **out, const char *path, const struct dp_schema *schema)
{
	sqlite3 *db = NULL;
	struct patience patience = {0};
	int err = open_once(&db, path, schema, &patience);
	/*
	 * Several processes make the file at once: the switch to WAL does not wait for
	 * the others as SQLite's busy handler does everywhere else.
	 */
	while (err == -EBUSY && patience.waited_ms < OPEN_PATIENCE_MS) {
		sqlite3_close(db);
		sqlite3_sleep(RETRY_MS);
		patience.waited_ms += RETRY_MS;
		err = open_once(&db, path, schema, &patience);
	}
	*out = err == 0 ? db : NULL;
	if (err == 0) {
		sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
		return 0;
	}
	/* What is damaged or locked is for the caller to judge, and to say. */
	if (err != -EPROTO && err != -EUCLEAN && err != -EBUSY)
		dp_log(DP_LOG_ERROR,
			"cannot open the file; its folder must exist and be writable",
			"what=%s file=%s error=\"%s\"", schema->what, path,
			db != NULL ? sqlite3_errmsg(db) : "out of memory");
	sqlite3_close(db);
	return err;
}
