/*
 * Reading the outbox. A file may have been damaged in any way and is believed as little as
 * a stranger's message: what a stream or a boot says is within its bounds, or the whole
 * file is damaged (-EUCLEAN); a reading that cannot be sent is given up by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "outbox.h"
#include "outbox_db.h"
#include "reading.h"
#include "sqlite.h"

#define PAGE_READINGS 2000
#define PAGE_BYTES (256u << 10)

/* The first stream at or above `from` that has readings. @return 0; -ENOENT none; errno */
static int next_stream(struct outbox *outbox, int64_t from, int64_t *row)
{
	sqlite3_stmt *statement = NULL;
	int err = outbox_prepare(outbox,
		"SELECT stream FROM reading WHERE stream >= ? ORDER BY stream LIMIT 1",
		&statement);
	if (err != 0)
		return err;
	sqlite3_bind_int64(statement, 1, from);
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		err = outbox_column_in(statement, 0, from, INT64_MAX - 1, row);
	else
		err = code == SQLITE_DONE ? -ENOENT : outbox_error(code);
	sqlite3_finalize(statement);
	return err;
}

/* Give up the readings whose stream is not known any more. */
static int drop_strays(struct outbox *outbox)
{
	int64_t from = INT64_MIN, row = 0, gone = 0;
	int err;
	while ((err = next_stream(outbox, from, &row)) == 0) {
		char sql[128];
		from = row + 1;
		snprintf(sql, sizeof(sql),
			"DELETE FROM reading WHERE stream = %lld AND NOT EXISTS"
			" (SELECT 1 FROM stream WHERE id = %lld)",
			(long long)row, (long long)row);
		err = outbox_exec(outbox, sql);
		if (err != 0)
			return err;
		gone += sqlite3_changes(outbox->db);
	}
	if (gone > 0)
		dp_log(DP_LOG_ERROR,
			"the outbox is damaged: it is not known whose some readings are; "
			"they are given up",
			"readings=%lld", (long long)gone);
	return err == -ENOENT ? 0 : err;
}

/* ---- boots and streams ---- */

static int read_boot(sqlite3_stmt *statement, struct outbox_boot *boot)
{
	int64_t mark = 0;
	int err = outbox_column_in(statement, 0, 1, INT64_MAX, &boot->row);
	if (err == 0)
		err = outbox_column_text(statement, 1, boot->id, sizeof(boot->id));
	if (err == 0)
		err = outbox_column_in(statement, 2, DP_CLOCK_SYNCED, DP_CLOCK_NONE, &mark);
	if (err == 0)
		err = outbox_column_in(
			statement, 3, -OUTBOX_FAR_US, OUTBOX_FAR_US, &boot->start_us);
	if (err == 0)
		boot->mark = (enum dp_clock_mark)mark;
	return err;
}

int outbox_boots(struct outbox *outbox,
	void (*each)(void *data, const struct outbox_boot *boot), void *data)
{
	sqlite3_stmt *statement = NULL;
	int err = outbox_exec(outbox,
		"UPDATE stream SET boot = NULL WHERE boot IS NOT NULL AND NOT EXISTS"
		" (SELECT 1 FROM reading WHERE reading.stream = stream.id);"
		"DELETE FROM boot WHERE id NOT IN"
		" (SELECT boot FROM stream WHERE boot IS NOT NULL)");
	if (err == 0)
		err = outbox_prepare(outbox,
			"SELECT id, boot, mark, start FROM boot ORDER BY id", &statement);
	int code = SQLITE_DONE;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct outbox_boot boot = {.row = 0};
		err = read_boot(statement, &boot);
		if (err == 0)
			each(data, &boot);
	}
	if (err == 0)
		err = outbox_error(code);
	sqlite3_finalize(statement);
	return err;
}

static int read_stream(sqlite3_stmt *statement, struct outbox_stream *stream)
{
	int64_t low = 0, closed = 0;
	int err = outbox_column_in(statement, 0, 1, INT64_MAX, &stream->row);
	const void *id = sqlite3_column_blob(statement, 1);
	if (id == NULL || sqlite3_column_bytes(statement, 1) != DP_STREAM_BYTES)
		return -EUCLEAN;
	memcpy(stream->id.bytes, id, DP_STREAM_BYTES);
	if (err == 0)
		err = outbox_column_text(statement, 2, stream->node, sizeof(stream->node));
	if (err == 0 && !dp_name_valid(stream->node, strlen(stream->node)))
		err = -EUCLEAN;
	if (err == 0)
		err = outbox_column_in(statement, 3, 0, (int64_t)DP_SEQ_MAX + 1, &low);
	if (err == 0)
		err = outbox_column_in(statement, 4, 0, 1, &closed);
	if (err == 0)
		err = outbox_column_in(statement, 5, 0, INT64_MAX, &stream->boot);
	stream->low = (uint64_t)low;
	stream->closed = closed != 0;
	return err;
}

/* What is wrong with a reading beside its content shows without reading that. */
static int note_stored(
	sqlite3_stmt *statement, struct outbox_stream *stream, uint64_t *seq, bool *usable)
{
	int64_t number = 0, boottime_ns = 0, clock = 0;
	int err = outbox_column_in(
		statement, 0, (int64_t)*seq + 1, (int64_t)DP_SEQ_MAX, &number);
	if (err != 0)
		return err;
	*seq = (uint64_t)number;
	*usable = outbox_column_in(statement, 1, 0, INT64_MAX, &boottime_ns) == 0 &&
		  outbox_column_in(statement, 2, DP_CLOCK_SYNCED, DP_CLOCK_NONE, &clock) ==
			  0 &&
		  (stream->boot != 0 || (boottime_ns == 0 && clock != DP_CLOCK_NONE));
	const struct outbox_reading reading = {.row = stream->row,
		.seq = *seq,
		.clock = (uint8_t)clock,
		.boottime_ns = boottime_ns};
	*usable = *usable &&
		  outbox_column_has_sum(statement, 3, outbox_sum_head(&reading), 32);
	if (!*usable)
		return 0;
	if (boottime_ns != 0)
		stream->undated_to = *seq;
	if (boottime_ns > stream->last_ns)
		stream->last_ns = boottime_ns;
	return dp_intervals_add(&stream->stored, *seq, *seq);
}

static int stored_of(struct outbox *outbox, struct outbox_stream *stream)
{
	sqlite3_stmt *statement = NULL;
	struct dp_intervals bad = {.n = 0};
	uint64_t seq = 0;
	int err = outbox_prepare(outbox,
		"SELECT seq, boottime, clock, sum FROM reading WHERE stream = ? ORDER BY "
		"seq",
		&statement);
	if (err != 0)
		return err;
	sqlite3_bind_int64(statement, 1, stream->row);
	int code = SQLITE_DONE;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		bool usable = true;
		err = note_stored(statement, stream, &seq, &usable);
		stream->given_up += !usable;
		if (err == 0 && !usable)
			err = dp_intervals_add(&bad, seq, seq);
	}
	if (err == 0)
		err = outbox_error(code);
	sqlite3_finalize(statement);
	for (size_t i = 0; i < bad.n && err == 0; i++)
		err = outbox_remove(outbox, stream->row, bad.at[i].first, bad.at[i].last);
	if (bad.n > 0 && err == 0)
		dp_log(DP_LOG_ERROR,
			"the outbox is damaged: readings in it cannot be used and are "
			"given up",
			"node=%s first=%llu readings=%llu", stream->node,
			(unsigned long long)bad.at[0].first,
			(unsigned long long)stream->given_up);
	dp_intervals_finish(&bad);
	return err;
}

int outbox_streams(struct outbox *outbox,
	void (*each)(void *data, struct outbox_stream *stream), void *data)
{
	sqlite3_stmt *statement = NULL;
	int err = drop_strays(outbox);
	if (err == 0)
		err = outbox_exec(outbox,
			"DELETE FROM stream WHERE id <= (SELECT max(id) FROM stream) - 64"
			" AND closed = 0 AND NOT EXISTS"
			" (SELECT 1 FROM reading WHERE reading.stream = stream.id)");
	if (err == 0)
		err = outbox_prepare(outbox,
			"SELECT id, stream, node, low, closed, coalesce(boot, 0)"
			" FROM stream ORDER BY id",
			&statement);
	int code = SQLITE_DONE;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct outbox_stream stream = {.row = 0};
		err = read_stream(statement, &stream);
		if (err == 0)
			err = stored_of(outbox, &stream);
		if (err == 0)
			each(data, &stream);
		else
			dp_intervals_finish(&stream.stored);
	}
	if (err == 0)
		err = outbox_error(code);
	sqlite3_finalize(statement);
	return err;
}

/* ---- readings ---- */

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
	const void *json =
		code == SQLITE_ROW ? sqlite3_column_blob(outbox->oldest, 0) : NULL;
	if (json != NULL &&
		dp_reading_time(json, (size_t)sqlite3_column_bytes(outbox->oldest, 0),
			&usage->oldest_us) != 0)
		usage->oldest_us = 0;
	sqlite3_reset(outbox->oldest);
	return outbox_error(code);
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

/* Whether it is what dp_reading_encode() writes. @return 0; -EBADMSG; -ENOMEM */
static int check_json(const char *json, size_t len)
{
	static const char begin[] = "{\"bn\":\"";
	char array[DP_READING_JSON + 2];
	const char *why;
	struct dp_senml *pack;
	struct dp_reading reading;
	/* A record without its base name would become part of the reading before it. */
	if (len < strlen(begin) || len > DP_READING_JSON ||
		memcmp(json, begin, strlen(begin)) != 0)
		return -EBADMSG;
	array[0] = '[';
	memcpy(array + 1, json, len);
	array[len + 1] = ']';
	int err = dp_senml_open(&pack, array, len + 2, DP_SENML_NATIVE, 0, &why);
	if (err != 0)
		return err;
	err = dp_senml_count(pack) == 1 && dp_senml_next(pack, &reading, &why) == 1
		      ? 0
		      : -EBADMSG;
	dp_senml_close(pack);
	return err;
}

static bool is_as_written(sqlite3_stmt *statement, const struct outbox_reading *reading)
{
	return outbox_column_has_sum(statement, 4, outbox_sum_head(reading), 32) &&
	       outbox_column_has_sum(statement, 4, outbox_sum_json(reading), 0);
}

/* @return 0 added to the page, or not usable; -ENOSPC it is full; -ENOMEM; -EUCLEAN */
static int load_one(sqlite3_stmt *statement, struct outbox_page *page, size_t *used)
{
	int64_t seq = 0, clock = 0, boottime_ns = 0;
	const void *json = sqlite3_column_blob(statement, 2);
	size_t len = (size_t)sqlite3_column_bytes(statement, 2);
	int err = outbox_column_in(statement, 0, 1, (int64_t)DP_SEQ_MAX, &seq);
	if (err != 0)
		return err;
	err = outbox_column_in(statement, 1, DP_CLOCK_SYNCED, DP_CLOCK_NONE, &clock) == 0 &&
			      outbox_column_in(statement, 3, 0, INT64_MAX, &boottime_ns) ==
				      0 &&
			      json != NULL &&
			      !(page->no_boot &&
				      (boottime_ns != 0 || clock == DP_CLOCK_NONE))
		      ? check_json(json, len)
		      : -EBADMSG;
	const struct outbox_reading reading = {
		.row = page->row,
		.seq = (uint64_t)seq,
		.json = page->json + *used,
		.len = (uint32_t)len,
		.clock = (uint8_t)clock,
		.boottime_ns = boottime_ns,
	};
	if (err == 0 && len > page->json_size - *used)
		return -ENOSPC;
	if (err == 0) {
		memcpy(page->json + *used, json, len);
		err = is_as_written(statement, &reading) ? 0 : -EBADMSG;
	}
	page->end = (uint64_t)seq + 1;
	if (err != 0)
		return err == -EBADMSG ? 0 : err;
	page->readings[page->n++] = reading;
	*used += len;
	return 0;
}

int outbox_load(struct outbox *outbox, int64_t row, uint64_t seq, struct outbox_page *page)
{
	page->n = 0;
	page->row = row;
	page->end = seq;
	int err = page_room(page);
	if (err != 0)
		return err;
	sqlite3_stmt *statement = outbox->load;
	sqlite3_bind_int64(statement, 1, row);
	sqlite3_bind_int64(statement, 2, (int64_t)seq);
	sqlite3_bind_int64(statement, 3, (int64_t)page->size);
	size_t used = 0, rows = 0;
	int code = SQLITE_DONE;
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		err = load_one(statement, page, &used);
		rows++;
	}
	sqlite3_reset(statement);
	if (err == 0 && code == SQLITE_DONE && rows < page->size)
		page->end = UINT64_MAX;
	if (err == -ENOSPC)
		return 0;
	return err != 0 ? err : outbox_error(code);
}
