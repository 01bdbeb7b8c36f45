#include "outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "number.h"
#include "random.h"
#include "reading.h"
#include "sqlite.h"

#define PAGE_READINGS 2000
#define PAGE_BYTES (256u << 10)
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
};

static const struct dp_schema schema = {
	.what = "outbox",
	.application_id = APPLICATION_ID,
	.migrations = migrations,
	.version = sizeof(migrations) / sizeof(migrations[0]),
};

struct outbox {
	sqlite3 *db;
	sqlite3_stmt *append, *remove, *load, *add_stream, *set_low, *set_closed, *oldest;
	char instance[OUTBOX_INSTANCE + 1];
	int64_t floor_us;
};

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

static int find_instance(struct outbox *outbox)
{
	uint8_t bytes[OUTBOX_INSTANCE / 2];
	sqlite3_stmt *statement = NULL;
	int err = dp_sqlite_prepare(
		outbox->db, "SELECT name, floor FROM instance", &statement);
	if (err != 0)
		return err;
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		snprintf(outbox->instance, sizeof(outbox->instance), "%s",
			(const char *)sqlite3_column_text(statement, 0));
		outbox->floor_us = sqlite3_column_int64(statement, 1);
	}
	sqlite3_finalize(statement);
	if (code != SQLITE_DONE)
		return dp_sqlite_error(code);
	dp_random(bytes, sizeof(bytes));
	dp_hex_encode(bytes, sizeof(bytes), outbox->instance);
	err = dp_sqlite_prepare(
		outbox->db, "INSERT INTO instance (name) VALUES (?)", &statement);
	if (err != 0)
		return err;
	sqlite3_bind_text(statement, 1, outbox->instance, -1, SQLITE_STATIC);
	err = dp_sqlite_run(statement);
	sqlite3_finalize(statement);
	return err;
}

static int prepare(struct outbox *outbox)
{
	const struct {
		sqlite3_stmt **statement;
		const char *sql;
	} all[] = {
		{&outbox->append, "INSERT OR IGNORE INTO reading VALUES (?, ?, ?, ?, ?)"},
		{&outbox->remove,
			"DELETE FROM reading WHERE stream = ? AND seq BETWEEN ? AND ?"},
		{&outbox->load, "SELECT seq, clock, json, boottime FROM reading"
				" WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT ?"},
		{&outbox->add_stream, "INSERT INTO stream (stream, node) VALUES (?, ?)"
				      " ON CONFLICT (stream) DO UPDATE SET node = node"
				      " RETURNING id"},
		{&outbox->set_low, "UPDATE stream SET low = ? WHERE id = ?"},
		{&outbox->set_closed, "UPDATE stream SET low = ?, closed = ? WHERE id = ?"},
		{&outbox->oldest, "SELECT json FROM reading ORDER BY stream, seq LIMIT 1"},
	};
	int err = 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && err == 0; i++)
		err = dp_sqlite_prepare(outbox->db, all[i].sql, all[i].statement);
	return err;
}

int outbox_open(struct outbox **out, const char *path)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));
	if (outbox == NULL)
		return -ENOMEM;
	int err = dp_sqlite_open(&outbox->db, path, &schema);
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

int outbox_boots(struct outbox *outbox,
	void (*each)(void *data, const struct outbox_boot *boot), void *data)
{
	sqlite3_stmt *statement = NULL;
	int err = dp_sqlite_exec(outbox->db,
		"UPDATE stream SET boot = NULL WHERE boot IS NOT NULL AND NOT EXISTS"
		" (SELECT 1 FROM reading WHERE reading.stream = stream.id);"
		"DELETE FROM boot WHERE id NOT IN"
		" (SELECT boot FROM stream WHERE boot IS NOT NULL)");
	if (err == 0)
		err = dp_sqlite_prepare(outbox->db,
			"SELECT id, boot, mark, start FROM boot ORDER BY id", &statement);
	int code = SQLITE_DONE;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct outbox_boot boot = {.row = sqlite3_column_int64(statement, 0),
			.mark = (enum dp_clock_mark)sqlite3_column_int(statement, 2),
			.start_us = sqlite3_column_int64(statement, 3)};
		snprintf(boot.id, sizeof(boot.id), "%s",
			(const char *)sqlite3_column_text(statement, 1));
		each(data, &boot);
	}
	if (err == 0)
		err = dp_sqlite_error(code);
	sqlite3_finalize(statement);
	return err;
}

static int stored_of(struct outbox *outbox, struct outbox_stream *stream)
{
	sqlite3_stmt *statement = NULL;
	int err = dp_sqlite_prepare(outbox->db,
		"SELECT seq, boottime FROM reading WHERE stream = ? ORDER BY seq",
		&statement);
	if (err != 0)
		return err;
	sqlite3_bind_int64(statement, 1, stream->row);
	int code = SQLITE_DONE;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		uint64_t seq = (uint64_t)sqlite3_column_int64(statement, 0);
		int64_t boottime_ns = sqlite3_column_int64(statement, 1);
		err = dp_intervals_add(&stream->stored, seq, seq);
		if (boottime_ns != 0)
			stream->undated_to = seq;
		if (boottime_ns > stream->last_ns)
			stream->last_ns = boottime_ns;
	}
	if (err == 0)
		err = dp_sqlite_error(code);
	sqlite3_finalize(statement);
	return err;
}

int outbox_streams(struct outbox *outbox,
	void (*each)(void *data, struct outbox_stream *stream), void *data)
{
	sqlite3_stmt *statement = NULL;
	int err = dp_sqlite_exec(outbox->db,
		"DELETE FROM stream WHERE id <= (SELECT max(id) FROM stream) - 64"
		" AND closed = 0 AND NOT EXISTS"
		" (SELECT 1 FROM reading WHERE reading.stream = stream.id)");
	if (err == 0)
		err = dp_sqlite_prepare(outbox->db,
			"SELECT id, stream, node, low, closed, coalesce(boot, 0)"
			" FROM stream ORDER BY id",
			&statement);
	int code = SQLITE_DONE;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct outbox_stream stream = {.row = sqlite3_column_int64(statement, 0)};
		memcpy(stream.id.bytes, sqlite3_column_blob(statement, 1), DP_STREAM_BYTES);
		snprintf(stream.node, sizeof(stream.node), "%s",
			(const char *)sqlite3_column_text(statement, 2));
		stream.low = (uint64_t)sqlite3_column_int64(statement, 3);
		stream.closed = sqlite3_column_int(statement, 4) != 0;
		stream.boot = sqlite3_column_int64(statement, 5);
		err = stored_of(outbox, &stream);
		if (err == 0)
			each(data, &stream);
		else
			dp_intervals_finish(&stream.stored);
	}
	if (err == 0)
		err = dp_sqlite_error(code);
	sqlite3_finalize(statement);
	return err;
}

int outbox_add_stream(struct outbox *outbox, const struct dp_stream_id *id,
	const char *node, int64_t *row)
{
	sqlite3_stmt *statement = outbox->add_stream;
	sqlite3_bind_blob(statement, 1, id->bytes, DP_STREAM_BYTES, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, node, -1, SQLITE_STATIC);
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		*row = sqlite3_column_int64(statement, 0);
		code = sqlite3_step(statement); /* where it commits */
	}
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

int outbox_begin(struct outbox *outbox)
{
	return dp_sqlite_exec(outbox->db, "BEGIN IMMEDIATE");
}

int outbox_append(struct outbox *outbox, const struct outbox_reading *reading)
{
	sqlite3_stmt *statement = outbox->append;
	sqlite3_bind_int64(statement, 1, reading->row);
	sqlite3_bind_int64(statement, 2, (int64_t)reading->seq);
	sqlite3_bind_int(statement, 3, reading->clock);
	sqlite3_bind_blob(statement, 4, reading->json, (int)reading->len, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 5, reading->boottime_ns);
	return dp_sqlite_run(statement);
}

int outbox_set_low(struct outbox *outbox, int64_t row, uint64_t low)
{
	sqlite3_bind_int64(outbox->set_low, 1, (int64_t)low);
	sqlite3_bind_int64(outbox->set_low, 2, row);
	return dp_sqlite_run(outbox->set_low);
}

int outbox_remove(struct outbox *outbox, int64_t row, uint64_t first, uint64_t last)
{
	sqlite3_bind_int64(outbox->remove, 1, row);
	sqlite3_bind_int64(outbox->remove, 2, (int64_t)first);
	sqlite3_bind_int64(outbox->remove, 3, (int64_t)last);
	return dp_sqlite_run(outbox->remove);
}

int outbox_set_closed(struct outbox *outbox, int64_t row, uint64_t low, bool closed)
{
	sqlite3_bind_int64(outbox->set_closed, 1, (int64_t)low);
	sqlite3_bind_int(outbox->set_closed, 2, closed);
	sqlite3_bind_int64(outbox->set_closed, 3, row);
	return dp_sqlite_run(outbox->set_closed);
}

/* For what is rare: prepared, run and thrown away. */
static int run_once(struct outbox *outbox, const char *sql, const char *text,
	const int64_t *values, int n)
{
	sqlite3_stmt *statement = NULL;
	int err = dp_sqlite_prepare(outbox->db, sql, &statement);
	if (err != 0)
		return err;
	if (text != NULL)
		sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
	for (int i = 0; i < n; i++)
		sqlite3_bind_int64(statement, i + 1 + (text != NULL), values[i]);
	err = dp_sqlite_run(statement);
	sqlite3_finalize(statement);
	return err;
}

int outbox_set_boot(
	struct outbox *outbox, int64_t row, const char *boot_id, int64_t *boot_row)
{
	const int64_t values[] = {DP_CLOCK_NONE};
	int err = run_once(outbox,
		"INSERT INTO boot (boot, mark, start) VALUES (?, ?, 0)"
		" ON CONFLICT (boot) DO NOTHING",
		boot_id, values, 1);
	if (err == 0)
		err = run_once(outbox,
			"UPDATE stream SET boot = (SELECT id FROM boot WHERE boot = ?1)"
			" WHERE id = ?2",
			boot_id, &row, 1);
	char sql[80];
	snprintf(sql, sizeof(sql), "SELECT boot FROM stream WHERE id = %lld",
		(long long)row);
	return err != 0 ? err : dp_sqlite_int(outbox->db, sql, boot_row);
}

int outbox_date_boot(struct outbox *outbox, const struct outbox_boot *boot)
{
	const int64_t values[] = {boot->mark, boot->start_us, boot->row};
	return run_once(outbox, "UPDATE boot SET mark = ?, start = ? WHERE id = ?", NULL,
		values, 3);
}

int outbox_set_floor(struct outbox *outbox, int64_t floor_us)
{
	outbox->floor_us = floor_us;
	return run_once(outbox, "UPDATE instance SET floor = ?", NULL, &floor_us, 1);
}

int outbox_usage(struct outbox *outbox, struct outbox_usage *usage)
{
	int64_t pages = 0, unused = 0, size = 0;
	int err = dp_sqlite_int(outbox->db, "PRAGMA page_count", &pages);
	if (err == 0)
		err = dp_sqlite_int(outbox->db, "PRAGMA freelist_count", &unused);
	if (err == 0)
		err = dp_sqlite_int(outbox->db, "PRAGMA page_size", &size);
	*usage = (struct outbox_usage){.bytes = (uint64_t)((pages - unused) * size),
		.free_pages = (uint64_t)unused};
	if (err != 0)
		return err;
	int code = sqlite3_step(outbox->oldest);
	if (code == SQLITE_ROW)
		dp_reading_time(sqlite3_column_blob(outbox->oldest, 0),
			(size_t)sqlite3_column_bytes(outbox->oldest, 0), &usage->oldest_us);
	sqlite3_reset(outbox->oldest);
	return dp_sqlite_error(code);
}

int outbox_shrink(struct outbox *outbox)
{
	return dp_sqlite_exec(outbox->db, "PRAGMA incremental_vacuum(" SHRINK_PAGES ")");
}

int outbox_commit(struct outbox *outbox)
{
	return dp_sqlite_exec(outbox->db, "COMMIT");
}

void outbox_rollback(struct outbox *outbox)
{
	/* SQLite may have rolled back by itself; then there is nothing to do. */
	if (sqlite3_get_autocommit(outbox->db) == 0)
		dp_sqlite_exec(outbox->db, "ROLLBACK");
}

void outbox_page_finish(struct outbox_page *page)
{
	free(page->readings);
	free(page->json);
	*page = (struct outbox_page){.n = 0};
}

static int page_room(struct outbox_page *page)
{
	if (page->readings != NULL)
		return 0;
	page->readings = calloc(PAGE_READINGS, sizeof(*page->readings));
	page->json = malloc(PAGE_BYTES);
	page->size = PAGE_READINGS;
	page->json_size = PAGE_BYTES;
	if (page->readings != NULL && page->json != NULL)
		return 0;
	outbox_page_finish(page);
	return -ENOMEM;
}

int outbox_load(struct outbox *outbox, int64_t row, uint64_t seq, struct outbox_page *page)
{
	page->n = 0;
	page->row = row;
	int err = page_room(page);
	if (err != 0)
		return err;
	sqlite3_stmt *statement = outbox->load;
	sqlite3_bind_int64(statement, 1, row);
	sqlite3_bind_int64(statement, 2, (int64_t)seq);
	sqlite3_bind_int64(statement, 3, (int64_t)page->size);
	size_t used = 0;
	int code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		size_t len = (size_t)sqlite3_column_bytes(statement, 2);
		if (len > page->json_size - used) {
			code = SQLITE_DONE;
			break;
		}
		memcpy(page->json + used, sqlite3_column_blob(statement, 2), len);
		page->readings[page->n++] = (struct outbox_reading){
			.row = row,
			.seq = (uint64_t)sqlite3_column_int64(statement, 0),
			.json = page->json + used,
			.len = (uint32_t)len,
			.clock = (uint8_t)sqlite3_column_int(statement, 1),
			.boottime_ns = sqlite3_column_int64(statement, 3),
		};
		used += len;
	}
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}
