#include "outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "number.h"
#include "outbox_db.h"
#include "random.h"
#include "sqlite.h"

#define BUSY_MS 1000 /* a job may wait for another process, not a stop for the job */
#define SHRINK_PAGES "256"
#define APPLICATION_ID 0x44506f62 /* "DPob" */

static const char *const migrations[] = {
	"CREATE TABLE stream ("
	"  id INTEGER PRIMARY KEY, stream BLOB NOT NULL UNIQUE CHECK (length(stream) = 16),"
	"  node TEXT NOT NULL, low INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE reading ("
	"  stream INTEGER NOT NULL, seq INTEGER NOT NULL, clock INTEGER NOT NULL,"
	"  json BLOB NOT NULL, PRIMARY KEY (stream, seq)) WITHOUT ROWID;"
	"CREATE TABLE instance (name TEXT NOT NULL);",
	/* Readings without a time, and a stream's last word. clock and mark: clock.h. */
	"CREATE TABLE boot ("
	"  id INTEGER PRIMARY KEY, boot TEXT NOT NULL UNIQUE, mark INTEGER NOT NULL,"
	"  start INTEGER NOT NULL);"
	"ALTER TABLE stream ADD COLUMN boot INTEGER REFERENCES boot (id);"
	"ALTER TABLE stream ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE reading ADD COLUMN boottime INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE instance ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;",
	/* outbox_sum(); NULL: the reading was written before. */
	"ALTER TABLE reading ADD COLUMN sum INTEGER;",
};

static const struct dp_schema schema = {
	.what = "outbox",
	.application_id = APPLICATION_ID,
	.migrations = migrations,
	.version = sizeof(migrations) / sizeof(migrations[0]),
};

_Static_assert(sizeof(((struct outbox *)NULL)->instance) == OUTBOX_INSTANCE + 1,
	"the name does not fit");

int outbox_lock(const char *path)
{
	char lock[4096];
	int n = snprintf(lock, sizeof(lock), "%s-lock", path);
	if (n < 0 || (size_t)n >= sizeof(lock))
		return -ENAMETOOLONG;
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	int err = -errno;
	close(fd);
	return err;
}

/* Read name and floor. @return 0; -ENOENT it has none; -EUCLEAN; other errno */
static int read_instance(struct outbox *outbox)
{
	uint8_t bytes[OUTBOX_INSTANCE / 2];
	sqlite3_stmt *statement = NULL;
	int err = outbox_prepare(
		outbox, "SELECT name, floor FROM instance LIMIT 1", &statement);
	int code = err == 0 ? sqlite3_step(statement) : SQLITE_DONE;
	if (err == 0 && code == SQLITE_ROW) {
		err = outbox_column_text(
			statement, 0, outbox->instance, sizeof(outbox->instance));
		if (err == 0 && dp_hex_decode(outbox->instance, strlen(outbox->instance),
					bytes, sizeof(bytes)) != 0)
			err = -EUCLEAN;
		if (err == 0)
			err = outbox_column_in(
				statement, 1, 0, OUTBOX_FAR_US, &outbox->floor_us);
	} else if (err == 0) {
		err = code == SQLITE_DONE ? -ENOENT : outbox_error(code);
	}
	sqlite3_finalize(statement);
	return err;
}

/* A new file gets its name. */
static int find_instance(struct outbox *outbox)
{
	uint8_t bytes[OUTBOX_INSTANCE / 2];
	int err = read_instance(outbox);
	if (err != -ENOENT)
		return err;
	dp_random(bytes, sizeof(bytes));
	dp_hex_encode(bytes, sizeof(bytes), outbox->instance);
	return outbox_run_once(outbox, "INSERT INTO instance (name) VALUES (?)",
		outbox->instance, NULL, 0);
}

static int prepare(struct outbox *outbox)
{
	const struct {
		sqlite3_stmt **statement;
		const char *sql;
	} all[] = {
		{&outbox->append,
			"INSERT OR IGNORE INTO reading VALUES (?, ?, ?, ?, ?, ?)"},
		{&outbox->remove,
			"DELETE FROM reading WHERE stream = ? AND seq BETWEEN ? AND ?"},
		{&outbox->load, "SELECT seq, clock, json, boottime, sum FROM reading"
				" WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT ?"},
		{&outbox->add_stream, "INSERT INTO stream (stream, node) VALUES (?, ?)"
				      " ON CONFLICT (stream) DO UPDATE SET node = node"
				      " RETURNING id"},
		{&outbox->set_low, "UPDATE stream SET low = ? WHERE id = ?"},
		{&outbox->set_closed, "UPDATE stream SET low = ?, closed = ? WHERE id = ?"},
		{&outbox->oldest, "SELECT json FROM reading ORDER BY stream, seq LIMIT 1"},
		/* Ready, so that lack of memory cannot leave a transaction open. */
		{&outbox->begin, "BEGIN IMMEDIATE"},
		{&outbox->commit, "COMMIT"},
		{&outbox->rollback, "ROLLBACK"},
	};
	int err = 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && err == 0; i++)
		err = outbox_prepare(outbox, all[i].sql, all[i].statement);
	return err;
}

int outbox_open(struct outbox **out, const char *path)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));
	if (outbox == NULL)
		return -ENOMEM;
	int err = dp_sqlite_open(&outbox->db, path, &schema);
	if (err == 0)
		sqlite3_busy_timeout(outbox->db, BUSY_MS);
	if (err == 0)
		err = find_instance(outbox);
	if (err == 0)
		err = prepare(outbox);
	if (err != 0) {
		outbox_close(outbox);
		return err;
	}
	*out = outbox;
	return 0;
}

void outbox_close(struct outbox *outbox)
{
	if (outbox == NULL)
		return;
	sqlite3_finalize(outbox->append);
	sqlite3_finalize(outbox->remove);
	sqlite3_finalize(outbox->load);
	sqlite3_finalize(outbox->add_stream);
	sqlite3_finalize(outbox->set_low);
	sqlite3_finalize(outbox->set_closed);
	sqlite3_finalize(outbox->oldest);
	sqlite3_finalize(outbox->begin);
	sqlite3_finalize(outbox->commit);
	sqlite3_finalize(outbox->rollback);
	sqlite3_close(outbox->db);
	free(outbox);
}

const char *outbox_instance(const struct outbox *outbox)
{
	return outbox->instance;
}

int64_t outbox_floor_us(const struct outbox *outbox)
{
	return outbox->floor_us;
}

int outbox_add_stream(struct outbox *outbox, const struct dp_stream_id *id,
	const char *node, int64_t *row)
{
	sqlite3_stmt *statement = outbox->add_stream;
	int64_t found = 0;
	sqlite3_bind_blob(statement, 1, id->bytes, DP_STREAM_BYTES, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, node, -1, SQLITE_STATIC);
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		found = sqlite3_column_int64(statement, 0);
		code = sqlite3_step(statement);
	}
	sqlite3_reset(statement);
	if (code == SQLITE_DONE && found <= 0)
		return -EUCLEAN;
	/* The last step may still fail, and then there is no such row. */
	if (code == SQLITE_DONE)
		*row = found;
	return outbox_error(code);
}

int outbox_begin(struct outbox *outbox)
{
	outbox_rollback(outbox); /* of one that could not be ended before */
	return outbox_run(outbox->begin);
}

int outbox_append(struct outbox *outbox, const struct outbox_reading *reading)
{
	sqlite3_stmt *statement = outbox->append;
	sqlite3_bind_int64(statement, 1, reading->row);
	sqlite3_bind_int64(statement, 2, (int64_t)reading->seq);
	sqlite3_bind_int(statement, 3, reading->clock);
	sqlite3_bind_blob(statement, 4, reading->json, (int)reading->len, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 5, reading->boottime_ns);
	sqlite3_bind_int64(
		statement, 6, outbox_sum_head(reading) << 32 | outbox_sum_json(reading));
	return outbox_run(statement);
}

int outbox_set_low(struct outbox *outbox, int64_t row, uint64_t low)
{
	sqlite3_bind_int64(outbox->set_low, 1, (int64_t)low);
	sqlite3_bind_int64(outbox->set_low, 2, row);
	return outbox_run(outbox->set_low);
}

int outbox_remove(struct outbox *outbox, int64_t row, uint64_t first, uint64_t last)
{
	sqlite3_bind_int64(outbox->remove, 1, row);
	sqlite3_bind_int64(outbox->remove, 2, (int64_t)first);
	sqlite3_bind_int64(outbox->remove, 3, (int64_t)last);
	return outbox_run(outbox->remove);
}

int outbox_set_closed(struct outbox *outbox, int64_t row, uint64_t low, bool closed)
{
	sqlite3_bind_int64(outbox->set_closed, 1, (int64_t)low);
	sqlite3_bind_int(outbox->set_closed, 2, closed);
	sqlite3_bind_int64(outbox->set_closed, 3, row);
	return outbox_run(outbox->set_closed);
}

int outbox_set_boot(
	struct outbox *outbox, int64_t row, const char *boot_id, int64_t *boot_row)
{
	const int64_t values[] = {DP_CLOCK_NONE};
	int err = outbox_run_once(outbox,
		"INSERT INTO boot (boot, mark, start) VALUES (?, ?, 0)"
		" ON CONFLICT (boot) DO NOTHING",
		boot_id, values, 1);
	if (err == 0)
		err = outbox_run_once(outbox,
			"UPDATE stream SET boot = (SELECT id FROM boot WHERE boot = ?1)"
			" WHERE id = ?2",
			boot_id, &row, 1);
	char sql[80];
	snprintf(sql, sizeof(sql), "SELECT boot FROM stream WHERE id = %lld",
		(long long)row);
	if (err == 0)
		err = dp_sqlite_int(outbox->db, sql, boot_row);
	return err == -ENOENT || (err == 0 && *boot_row <= 0) ? -EUCLEAN : err;
}

int outbox_date_boot(struct outbox *outbox, const struct outbox_boot *boot)
{
	const int64_t values[] = {boot->mark, boot->start_us, boot->row};
	return outbox_run_once(outbox, "UPDATE boot SET mark = ?, start = ? WHERE id = ?",
		NULL, values, 3);
}

int outbox_set_floor(struct outbox *outbox, int64_t floor_us)
{
	return outbox_run_once(outbox, "UPDATE instance SET floor = ?", NULL, &floor_us, 1);
}

int outbox_shrink(struct outbox *outbox)
{
	return outbox_exec(outbox, "PRAGMA incremental_vacuum(" SHRINK_PAGES ")");
}

int outbox_commit(struct outbox *outbox)
{
	/* SQLite may have rolled back by itself. */
	return sqlite3_get_autocommit(outbox->db) != 0 ? -EIO : outbox_run(outbox->commit);
}

void outbox_rollback(struct outbox *outbox)
{
	/* SQLite may have rolled back by itself; then there is nothing to do. */
	if (sqlite3_get_autocommit(outbox->db) == 0)
		outbox_run(outbox->rollback);
}
