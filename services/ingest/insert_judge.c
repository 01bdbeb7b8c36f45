#include "insert_sqlite.h"

#include <errno.h>
#include <stdio.h>

/* Rows of an ordinary message: what ids they have, no other row has. */
static const char ordinary[] =
	"INSERT INTO sensor (id, topic, name) VALUES (-1, '', '');"
	"INSERT INTO channel (sensor, col, quantity, unit) VALUES (-1, 0, 'temperature', "
	"'Cel');"
	"INSERT INTO stream (id, stream, node, created, seen)"
	" VALUES (-1, randomblob(16), 'n', 1, 1);"
	"INSERT INTO stream_interval (stream, first, last) VALUES (-1, 1, 1);"
	"INSERT INTO lost (stream, first, count, ts) VALUES (-1, 2, 1, 1);"
	"INSERT INTO reading (sensor, ts, id, clock, temperature, humidity)"
	" SELECT -1, 1800000000000000, reading, 0, 20, 50 FROM next_id";

bool insert_is_refused(const struct insert *insert)
{
	int code = sqlite3_errcode(insert->store.db) & 0xff;
	return code == SQLITE_CONSTRAINT || code == SQLITE_TOOBIG ||
	       code == SQLITE_MISMATCH;
}

/*
 * If an ordinary message is refused as well, as when somebody has changed the tables, all
 * wait for the database to be mended, and nobody's readings become dead letters.
 */
int insert_judge(struct insert *insert)
{
	int err = dp_store_begin(&insert->store);
	if (err != 0)
		return err;
	err = dp_sqlite_exec(insert->store.db, ordinary);
	if (err == -EIO)
		snprintf(insert->why, sizeof(insert->why), "%s",
			sqlite3_errmsg(insert->store.db));
	dp_store_rollback(&insert->store);
	return err != 0 ? err : -EDOM;
}
