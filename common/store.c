#include "store.h"

#include <stddef.h>
#include <string.h>

#include "sqlite.h"

#define SCHEME "sqlite://"
#define APPLICATION_ID 0x44506277 /* "DPbw" */

/* Append, never change: files of every version are out there. */
static const char *const migrations[] = {
#include "schema.sql.h"
};

static const struct dp_schema schema = {
	.what = "database",
	.application_id = APPLICATION_ID,
	.migrations = migrations,
	.version = sizeof(migrations) / sizeof(migrations[0]),
};

const char *dp_check_store_url(const char *value)
{
	size_t scheme = strlen(SCHEME);
	if (strncmp(value, SCHEME, scheme) == 0 && value[scheme] == '/' &&
		value[scheme + 1] != '\0')
		return NULL;
	return "sqlite:///absolute/path/of/file.db";
}

int dp_store_open(sqlite3 **out, const char *url)
{
	return dp_sqlite_open(out, url + strlen(SCHEME), &schema);
}

int dp_lease_renew(sqlite3 *db, struct dp_lease *lease, int64_t now_us)
{
	static const char sql[] =
		"INSERT INTO lease (name, holder, number, expires) VALUES (?1, ?2, 1, ?3 + "
		"?4)"
		" ON CONFLICT (name) DO UPDATE SET"
		"  number = number + (holder <> ?2), holder = ?2, expires = ?3 + ?4"
		" WHERE holder = ?2 OR expires < ?3 OR expires > ?3 + 2 * ?4"
		" RETURNING number";
	sqlite3_stmt *statement = NULL;
	bool held = false;
	int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_text(statement, 1, lease->name, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 2, lease->holder, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, now_us);
		sqlite3_bind_int64(statement, 4, lease->ttl_us);
		code = sqlite3_step(statement);
	}
	if (code == SQLITE_ROW) {
		lease->number = sqlite3_column_int64(statement, 0);
		code = sqlite3_step(statement);
		held = code == SQLITE_DONE;
	}
	sqlite3_finalize(statement);
	if (dp_sqlite_error(code) == 0)
		lease->held = held;
	return dp_sqlite_error(code);
}

int dp_lease_release(sqlite3 *db, struct dp_lease *lease)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db,
		"UPDATE lease SET expires = 0 WHERE name = ?1 AND holder = ?2 AND number = "
		"?3",
		-1, &statement, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_text(statement, 1, lease->name, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 2, lease->holder, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, lease->number);
		code = sqlite3_step(statement);
	}
	sqlite3_finalize(statement);
	lease->held = false;
	return dp_sqlite_error(code);
}
