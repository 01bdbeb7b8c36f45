#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sums.h"

static int add_stream(struct sqlite_stream *stream, const struct context *c)
{
	sqlite3_stmt *statement = stream->statements->at[ADD_STREAM];
	sqlite3_bind_blob(
		statement, 1, c->in->identity.stream.bytes, DP_STREAM_BYTES, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, c->in->node, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, c->now_us);
	sqlite3_bind_int64(statement, 4,
		sum_of_stream(&c->in->identity.stream, c->in->node, strlen(c->in->node)));
	int code = sqlite3_step(statement);
	if (code == SQLITE_ROW) {
		stream->id = sqlite3_column_int64(statement, 0);
		memcpy(stream->row.node, c->in->node, sizeof(stream->row.node));
		stream->row.seen = stream->seen = c->now_us;
	}
	sqlite3_reset(statement);
	return dp_sqlite_error(code);
}

/* Each row has an interval; a stream without intervals has one row, with NULLs. */
static int read_interval(struct sqlite_stream *stream, sqlite3_stmt *statement)
{
	if (sqlite3_column_type(statement, 3) == SQLITE_NULL)
		return sqlite3_column_type(statement, 4) == SQLITE_NULL ? 0 : -EUCLEAN;
	int64_t from = sqlite3_column_int64(statement, 3);
	int64_t until = sqlite3_column_int64(statement, 4);
	/* SQLite does not notice all damage. */
	if (from < 1 || until < from || until > (int64_t)DP_SEQ_MAX ||
		(stream->set.n > 0 &&
			(uint64_t)from <= stream->set.at[stream->set.n - 1].last))
		return -EUCLEAN;
	uint64_t first = (uint64_t)from, last = (uint64_t)until;
	if (!sum_is(statement, 5, sum_of_interval(stream->id, first, last)))
		return -EUCLEAN;
	int err = dp_intervals_add(&stream->set, first, last);
	return err != 0 ? err : dp_intervals_add(&stream->before, first, last);
}

static int read_stream(struct sqlite_stream *stream, sqlite3_stmt *statement,
	const struct dp_stream_id *wanted)
{
	const char *node = (const char *)sqlite3_column_text(statement, 1);
	size_t len = (size_t)sqlite3_column_bytes(statement, 1);
	int64_t seen = sqlite3_column_int64(statement, 2);
	stream->id = sqlite3_column_int64(statement, 0);
	if (stream->id < 1 || node == NULL ||
		!sum_is(statement, 6, sum_of_stream(wanted, node, len)))
		return -EUCLEAN;
	snprintf(stream->row.node, sizeof(stream->row.node), "%s", node);
	stream->row.seen = stream->seen = seen > 0 ? seen : 0;
	return 0;
}

static int load_stream(struct sqlite_stream *stream, const struct context *c)
{
	sqlite3_stmt *statement = stream->statements->at[FIND_STREAM];
	int code, err = 0;
	dp_intervals_clear(&stream->set);
	dp_intervals_clear(&stream->before);
	sqlite3_bind_blob(
		statement, 1, c->in->identity.stream.bytes, DP_STREAM_BYTES, SQLITE_STATIC);
	while (err == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		if (stream->id == 0)
			err = read_stream(stream, statement, &c->in->identity.stream);
		if (err == 0)
			err = read_interval(stream, statement);
	}
	sqlite3_reset(statement);
	return err != 0 ? err : dp_sqlite_error(code);
}

/* Write what changed between two sorted lists; nearly always one row. */
static int save_intervals(struct sqlite_stream *stream)
{
	const struct dp_intervals *before = &stream->before, *set = &stream->set;
	size_t i = 0, j = 0;
	int err = 0;
	while (err == 0 && (i < before->n || j < set->n)) {
		if (j == set->n ||
			(i < before->n && before->at[i].first < set->at[j].first)) {
			const int64_t row[] = {stream->id, (int64_t)before->at[i++].first};
			err = statements_run(stream->statements, DROP_INTERVAL, 2, row);
			continue;
		}
		bool same = i < before->n && before->at[i].first == set->at[j].first;
		if (!same || before->at[i].last != set->at[j].last) {
			const int64_t row[] = {stream->id, (int64_t)set->at[j].first,
				(int64_t)set->at[j].last,
				sum_of_interval(
					stream->id, set->at[j].first, set->at[j].last)};
			err = statements_run(stream->statements,
				same ? SET_INTERVAL : ADD_INTERVAL, 4, row);
		}
		i += same;
		j++;
	}
	return err;
}

void sqlite_stream_begin(struct sqlite_stream *stream)
{
	stream->id = 0;
}

int sqlite_stream_end(struct sqlite_stream *stream)
{
	int err = 0;
	if (stream->id == 0)
		return 0;
	err = save_intervals(stream);
	if (err == 0 && stream->row.lost > 0) {
		const int64_t row[] = {(int64_t)stream->row.lost, stream->id};
		err = statements_run(stream->statements, LOST_STREAM, 2, row);
	}
	if (err == 0 && stream->row.seen != stream->seen) {
		const char *node = stream->row.node;
		const int64_t row[] = {stream->id, stream->row.seen,
			sum_of_stream(&stream->stream, node, strlen(node))};
		err = statements_run(stream->statements, SEEN_STREAM, 3, row);
	}
	stream->id = 0;
	return err;
}

int sqlite_stream_find(
	struct sqlite_stream *stream, const struct context *c, struct stream_row **out)
{
	const struct dp_stream_id *wanted = &c->in->identity.stream;
	*out = &stream->row;
	if (stream->id != 0 && memcmp(&stream->stream, wanted, sizeof(*wanted)) == 0)
		return 0;
	int err = sqlite_stream_end(stream);
	stream->row.lost = 0;
	stream->row.set = &stream->set;
	if (err == 0)
		err = load_stream(stream, c);
	if (err == 0 && stream->id == 0)
		err = add_stream(stream, c);
	if (err != 0)
		stream->id = 0;
	stream->stream = *wanted;
	return err;
}

int sqlite_stream_add_lost(
	struct sqlite_stream *stream, const struct dp_interval *gap, int64_t now_us)
{
	const int64_t row[] = {stream->id, (int64_t)gap->first,
		(int64_t)(gap->last - gap->first + 1), now_us};
	return statements_run(stream->statements, ADD_LOST, 4, row);
}

void sqlite_stream_finish(struct sqlite_stream *stream)
{
	dp_intervals_finish(&stream->set);
	dp_intervals_finish(&stream->before);
}
