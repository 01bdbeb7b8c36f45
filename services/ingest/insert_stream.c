#include "insert_sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int add_stream(struct context *c, struct stored_stream *stream)
{
	sqlite3_stmt *statement = c->insert->statements[ADD_STREAM];
	sqlite3_bind_blob(
		statement, 1, c->in->identity.stream.bytes, DP_STREAM_BYTES, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, c->in->node, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, c->now_us);
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		stream->id = sqlite3_column_int64(statement, 0);
		memcpy(stream->row.node, c->in->node, sizeof(stream->row.node));
		stream->row.seen = stream->seen = c->now_us;
	}
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

/* A row an interval; one without, if the stream has none. */
static int take_interval(struct insert *insert, sqlite3_stmt *statement)
{
	if (sqlite3_column_type(statement, 3) == SQLITE_NULL)
		return sqlite3_column_type(statement, 4) == SQLITE_NULL ? 0 : -EUCLEAN;
	int64_t from = sqlite3_column_int64(statement, 3);
	int64_t until = sqlite3_column_int64(statement, 4);
	/* The file may be damaged where no check of SQLite's looks. */
	if (from < 1 || until < from || until > (int64_t)DP_SEQ_MAX ||
		(insert->set.n > 0 &&
			(uint64_t)from <= insert->set.at[insert->set.n - 1].last))
		return -EUCLEAN;
	uint64_t first = (uint64_t)from, last = (uint64_t)until;
	int err = dp_intervals_add(&insert->set, first, last);
	return err != 0 ? err : dp_intervals_add(&insert->before, first, last);
}

static int take_stream(struct stored_stream *stream, sqlite3_stmt *statement)
{
	const char *node = (const char *)sqlite3_column_text(statement, 1);
	int64_t seen = sqlite3_column_int64(statement, 2);
	stream->id = sqlite3_column_int64(statement, 0);
	if (stream->id < 1 || node == NULL)
		return -EUCLEAN;
	snprintf(stream->row.node, sizeof(stream->row.node), "%s", node);
	stream->row.seen = stream->seen = seen > 0 ? seen : 0;
	return 0;
}

static int load_stream(struct context *c, struct stored_stream *stream)
{
	struct insert *insert = c->insert;
	sqlite3_stmt *statement = insert->statements[FIND_STREAM];
	int code, err = 0;
	dp_intervals_clear(&insert->set);
	dp_intervals_clear(&insert->before);
	sqlite3_bind_blob(
		statement, 1, c->in->identity.stream.bytes, DP_STREAM_BYTES, SQLITE_STATIC);
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		if (stream->id == 0)
			err = take_stream(stream, statement);
		if (err == 0)
			err = take_interval(insert, statement);
	}
	sqlite3_reset(statement);
	return err != 0 ? err : dp_sqlite_error(code);
}

/* Write what changed between two sorted lists; nearly always one row. */
static int save_intervals(struct insert *insert, int64_t stream)
{
	const struct dp_intervals *before = &insert->before, *set = &insert->set;
	size_t i = 0, j = 0;
	int err = 0;
	while (err == 0 && (i < before->n || j < set->n)) {
		if (j == set->n ||
			(i < before->n && before->at[i].first < set->at[j].first)) {
			const int64_t row[] = {stream, (int64_t)before->at[i++].first};
			insert_bind(insert, DROP_INTERVAL, 2, row);
			err = insert_run(insert, DROP_INTERVAL);
			continue;
		}
		bool same = i < before->n && before->at[i].first == set->at[j].first;
		if (!same || before->at[i].last != set->at[j].last) {
			const int64_t row[] = {stream, (int64_t)set->at[j].first,
				(int64_t)set->at[j].last};
			insert_bind(insert, same ? SET_INTERVAL : ADD_INTERVAL, 3, row);
			err = insert_run(insert, same ? SET_INTERVAL : ADD_INTERVAL);
		}
		i += same;
		j++;
	}
	return err;
}

int insert_leave_stream(struct insert *insert)
{
	const struct stored_stream *stream = &insert->stream;
	int err = 0;
	if (stream->id == 0)
		return 0;
	err = save_intervals(insert, stream->id);
	if (err == 0 && stream->row.lost > 0) {
		const int64_t row[] = {(int64_t)stream->row.lost, stream->id};
		insert_bind(insert, LOST_STREAM, 2, row);
		err = insert_run(insert, LOST_STREAM);
	}
	if (err == 0 && stream->row.seen != stream->seen) {
		const int64_t row[] = {stream->row.seen, stream->id};
		insert_bind(insert, SEEN_STREAM, 2, row);
		err = insert_run(insert, SEEN_STREAM);
	}
	insert->stream.id = 0;
	return err;
}

/* Messages of one stream stand together: it is loaded once for all of them. */
int insert_find_stream(struct context *c, struct stream_row **out)
{
	struct insert *insert = c->insert;
	struct stored_stream *stream = &insert->stream;
	const struct dp_stream_id *wanted = &c->in->identity.stream;
	*out = &stream->row;
	if (stream->id != 0 && memcmp(&stream->stream, wanted, sizeof(*wanted)) == 0)
		return 0;
	int err = insert_leave_stream(insert);
	stream->row.lost = 0;
	stream->row.set = &insert->set;
	if (err == 0)
		err = load_stream(c, stream);
	if (err == 0 && stream->id == 0)
		err = add_stream(c, stream);
	if (err != 0)
		stream->id = 0;
	stream->stream = *wanted;
	return err;
}

int insert_lost(struct context *c, struct stream_row *stream, const struct dp_interval *gap)
{
	(void)stream; /* the one that was found last */
	const int64_t row[] = {c->insert->stream.id, (int64_t)gap->first,
		(int64_t)(gap->last - gap->first + 1), c->now_us};
	insert_bind(c->insert, ADD_LOST, 4, row);
	return insert_run(c->insert, ADD_LOST);
}

int insert_save_stream(struct context *c, struct stream_row *stream)
{
	(void)c, (void)stream; /* insert_leave_stream() writes it, for all its messages */
	return 0;
}
