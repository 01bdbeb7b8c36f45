#include "judge.h"

#include <errno.h>
#include <stdio.h>

/* The rows of an ordinary message, with ids that no other row has. */
static const char ordinary[] =
	"INSERT INTO sensor (id, topic, name) VALUES (-1, '', '');"
	"INSERT INTO channel (sensor, col, quantity, unit) VALUES (-1, 0, 'temperature', "
	"'Cel');"
	"INSERT INTO stream (id, stream, node, created, seen)"
	" VALUES (-1, randomblob(16), 'n', 1, 1);"
	"INSERT INTO stream_interval (stream, first, last) VALUES (-1, 1, 1);"
	"INSERT INTO lost (stream, first, count, ts) VALUES (-1, 2, 1, 1);"
	"INSERT INTO dead_letter (ts, topic, reason, bytes, payload)"
	" VALUES (1, 'n', 'n', 1, x'00');"
	"INSERT INTO reading (sensor, ts, id, clock, temperature, humidity)"
	" SELECT -1, 1800000000000000, reading, 0, 20, 50 FROM next_id";

bool judge_is_refusal(sqlite3 *db)
{
	int code = sqlite3_errcode(db) & 0xff;
	return code == SQLITE_CONSTRAINT || code == SQLITE_TOOBIG ||
	       code == SQLITE_MISMATCH;
}

int judge_refusal(struct dp_store *store, char *why, size_t size)
{
	int err = dp_store_begin(store);
	if (err != 0)
		return err;
	err = dp_sqlite_exec(store->db, ordinary);
	if (err == -EIO)
		snprintf(why, size, "%s", sqlite3_errmsg(store->db));
	dp_store_rollback(store);
	return err != 0 ? err : -EDOM;
}
