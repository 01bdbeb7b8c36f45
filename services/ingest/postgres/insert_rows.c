#include "insert_postgres.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "number.h"

#define ROW_COLUMNS (3 + SERIES_COLUMNS)
#define LATE_COLUMNS (2 + SERIES_COLUMNS)
/* Older or younger readings are somebody's mistake: the default partition has them. An
 * outbox holds a year at most. */
#define DAYS_BACK 400
#define DAYS_AHEAD 2
#define SAME_WANTED 64

/* ---- what has to be made first ---- */

static void want_channel(struct insert *insert, struct series *series, bool begins,
	const struct dp_value *value)
{
	if (insert->n_wanted == insert->wanted_size) {
		size_t size = insert->wanted_size == 0 ? 64 : insert->wanted_size * 2;
		struct wanted_channel *at = realloc(insert->wanted, size * sizeof(*at));
		if (at == NULL)
			dp_log_out_of_memory("new columns");
		insert->wanted = at;
		insert->wanted_size = size;
	}
	struct wanted_channel *wanted = &insert->wanted[insert->n_wanted++];
	*wanted = (struct wanted_channel){.series = series, .begins = begins};
	snprintf(wanted->channel.quantity, sizeof(wanted->channel.quantity), "%.*s",
		(int)value->quantity.len, value->quantity.at);
	snprintf(wanted->channel.unit, sizeof(wanted->channel.unit), "%.*s",
		(int)value->unit.len, value->unit.at);
}

static bool same_channels(
	const struct wanted_channel *a, const struct wanted_channel *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i].series != b[i].series || a[i].begins != b[i].begins ||
			strcmp(a[i].channel.quantity, b[i].channel.quantity) != 0 ||
			strcmp(a[i].channel.unit, b[i].channel.unit) != 0)
			return false;
	}
	return true;
}

/* Want the columns that a reading does not have. */
static void want_columns(
	struct insert *insert, struct series *series, const struct dp_reading *reading)
{
	size_t begin = insert->n_wanted;
	for (unsigned i = 0; i < reading->n; i++) {
		if (!series_has(&insert->series, series, &reading->values[i]))
			want_channel(insert, series, insert->n_wanted == begin,
				&reading->values[i]);
	}
	/* Readings of one sensor come in runs and want the same. */
	size_t n = insert->n_wanted - begin;
	for (size_t back = n; back <= begin && back < SAME_WANTED; back++) {
		const struct wanted_channel *old = &insert->wanted[begin - back];
		bool whole = back == n || insert->wanted[begin - back + n].begins;
		if (whole && same_channels(old, &insert->wanted[begin], n)) {
			insert->n_wanted = begin;
			return;
		}
	}
}

static int want_day(struct insert *insert, int64_t ts_us)
{
	int64_t day = ts_us / DAY_US, today = insert->now_us / DAY_US;
	if (day == insert->last_day || insert->now_us < insert->days_again_us ||
		day < today - DAYS_BACK || day > today + DAYS_AHEAD || day < 0 ||
		(day + 1) * DAY_US <= insert->dropped_until_us)
		return 0;
	insert->last_day = day;
	if (dp_intervals_contains(&insert->days, (uint64_t)day))
		return 0;
	return dp_intervals_add(&insert->wanted_days, (uint64_t)day, (uint64_t)day);
}

/* ---- rows ---- */

int insert_place(struct context *c, const char *topic, const struct dp_reading *reading,
	struct place *place)
{
	struct insert *insert = c->insert;
	struct series *series = series_find(&insert->series, topic, reading->sensor);
	if (series == NULL)
		series = series_add(&insert->series, topic, reading->sensor, 0, 0);
	if (series == NULL)
		return -ENOMEM;
	int err = series_place(&insert->series, series, reading, place);
	if (err != -ENOENT)
		return err;
	want_columns(insert, series, reading);
	insert->wants_series = true;
	return 0;
}

/* The values of one of a reading's rows. */
static void add_values(struct wire *copy, const struct dp_reading *reading,
	const struct place *place, unsigned row)
{
	const struct dp_value *values[SERIES_COLUMNS] = {NULL};
	for (unsigned i = 0; i < reading->n; i++) {
		if (place->row[i] == row)
			values[place->column[i]] = &reading->values[i];
	}
	for (int i = 0; i < SERIES_COLUMNS; i++) {
		if (values[i] != NULL)
			wire_double_field(copy, values[i]->value);
		else
			wire_null_field(copy);
	}
}

int insert_row(struct context *c, const char *topic, const struct dp_reading *reading,
	const struct place *place, enum dp_clock_mark clock)
{
	struct insert *insert = c->insert;
	struct wire *copy = &insert->copy;
	int err = want_day(insert, reading->ts_us);
	if (err != 0)
		return err;
	insert->pending.readings++;
	if (insert->wants_series)
		return 0;
	int16_t mark = (int16_t)insert_mark(c, reading->ts_us, clock);
	/* Too late to be counted with the others of its time: the pruner merges it. */
	bool late = reading->ts_us < insert->late_before_us;
	for (unsigned row = 0; row < place->n; row++) {
		int32_t sensor = (int32_t)place->parts[row]->sensor;
		wire_int16(copy, ROW_COLUMNS);
		wire_int32_field(copy, sensor);
		wire_time_field(copy, reading->ts_us);
		wire_int16_field(copy, mark);
		add_values(copy, reading, place, row);
		if (!late)
			continue;
		insert->n_late++;
		wire_int16(&insert->late, LATE_COLUMNS);
		wire_int32_field(&insert->late, sensor);
		wire_time_field(&insert->late, reading->ts_us);
		add_values(&insert->late, reading, place, row);
	}
	if (insert->options.print)
		printed_add(&insert->printed, topic, reading);
	return 0;
}

int insert_dead_letter(
	struct context *c, const char *reason, uint64_t seq, const char *text, size_t len)
{
	struct insert *insert = c->insert;
	size_t kept =
		len < c->options->max_message_bytes ? len : c->options->max_message_bytes;
	wire_time_field(wire_array_next(&insert->dead_ts), c->in->received_us);
	wire_bytes_field(wire_array_next(&insert->dead_topic), c->in->topic,
		dp_utf8_cut(c->in->topic, DEAD_TOPIC_MAX));
	wire_text_field(wire_array_next(&insert->dead_reason), insert_reason(c, reason));
	struct wire *stream = wire_array_next(&insert->dead_stream);
	if (c->in->plain || c->in->identity_error != 0)
		wire_null_field(stream);
	else
		wire_bytes_field(stream, c->in->identity.stream.bytes, DP_STREAM_BYTES);
	if (seq == 0)
		wire_null_field(wire_array_next(&insert->dead_seq));
	else
		wire_int64_field(wire_array_next(&insert->dead_seq), (int64_t)seq);
	wire_int64_field(wire_array_next(&insert->dead_bytes), (int64_t)len);
	wire_bytes_field(wire_array_next(&insert->dead_payload), text, kept);
	c->counts->dead_letters++;
	dead_log_add(&insert->dead_log, c->in->topic, reason, c->now_us);
	return 0;
}

/* ---- streams ---- */

int insert_find_stream(struct context *c, struct stream_row **out)
{
	struct stream *stream =
		streams_find(&c->insert->streams, c->in->identity.stream.bytes);
	/* It was made and locked before; somebody has deleted it from under us. */
	if (stream == NULL || !stream->locked)
		return -EIO;
	stream->row.set = &stream->set;
	*out = &stream->row;
	return 0;
}

int insert_lost(struct context *c, struct stream_row *stream, const struct dp_interval *gap)
{
	struct insert *insert = c->insert;
	(void)stream; /* that of the message */
	wire_bytes_field(wire_array_next(&insert->lost_stream),
		c->in->identity.stream.bytes, DP_STREAM_BYTES);
	wire_int64_field(wire_array_next(&insert->lost_first), (int64_t)gap->first);
	wire_int64_field(wire_array_next(&insert->lost_count),
		(int64_t)(gap->last - gap->first + 1));
	return 0;
}

int insert_save_stream(struct context *c, struct stream_row *stream)
{
	struct stream *at = streams_find(&c->insert->streams, c->in->identity.stream.bytes);
	(void)stream; /* is in it */
	at->changed = true;
	return 0;
}

/* ---- a transaction ---- */

static void begin_pass(struct insert *insert)
{
	insert->pending = (struct insert_counts){.messages = 0};
	insert->printed.len = 0;
	dead_log_undo(&insert->dead_log);
	insert->n_wanted = insert->n_late = 0;
	insert->wants_series = false;
	insert->last_day = -1;
	dp_intervals_clear(&insert->wanted_days);
	wire_copy_begin(&insert->copy);
	wire_copy_begin(&insert->late);
	wire_array_begin(&insert->lost_stream, WIRE_BYTEA_ARRAY);
	wire_array_begin(&insert->lost_first, WIRE_INT8_ARRAY);
	wire_array_begin(&insert->lost_count, WIRE_INT8_ARRAY);
	wire_array_begin(&insert->dead_ts, WIRE_TIMESTAMPTZ_ARRAY);
	wire_array_begin(&insert->dead_topic, WIRE_TEXT_ARRAY);
	wire_array_begin(&insert->dead_reason, WIRE_TEXT_ARRAY);
	wire_array_begin(&insert->dead_stream, WIRE_BYTEA_ARRAY);
	wire_array_begin(&insert->dead_seq, WIRE_INT8_ARRAY);
	wire_array_begin(&insert->dead_bytes, WIRE_INT8_ARRAY);
	wire_array_begin(&insert->dead_payload, WIRE_BYTEA_ARRAY);
}

int insert_pass(struct insert *insert, const struct incoming *list,
	const struct dp_lease *fence, struct results *results)
{
	size_t answered = results->n;
	begin_pass(insert);
	/* Today's partition, and tomorrow's before it is needed. */
	int err = want_day(insert, insert->now_us);
	if (err == 0)
		err = want_day(insert, insert->now_us + DAY_US);
	for (const struct incoming *in = list; in != NULL && err == 0; in = in->next) {
		struct context c = {insert, &insert->options, &insert->pending, in, results,
			insert->now_us, insert_ahead_us(insert->now_us)};
		insert->pending.messages++;
		if (!in->plain)
			err = insert_batch(&c);
		else if (fence->held)
			err = insert_plain(&c);
	}
	wire_copy_end(&insert->copy);
	wire_copy_end(&insert->late);
	if (err == 0 && (insert->wants_series || insert->wanted_days.n > 0))
		err = -EAGAIN;
	if (err != 0)
		results->n = answered;
	return err;
}

void insert_forget(struct insert *insert)
{
	streams_clear(&insert->streams);
}

void insert_forget_database(struct insert *insert)
{
	series_clear(&insert->series);
	dp_intervals_clear(&insert->days);
}

void insert_finish(struct insert *insert)
{
	struct wire_array *const arrays[] = {&insert->lost_stream, &insert->lost_first,
		&insert->lost_count, &insert->dead_ts, &insert->dead_topic,
		&insert->dead_reason, &insert->dead_stream, &insert->dead_seq,
		&insert->dead_bytes, &insert->dead_payload};
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		free(arrays[i]->wire.at);
	insert_forget(insert);
	insert_forget_database(insert);
	dp_intervals_finish(&insert->days);
	dp_intervals_finish(&insert->wanted_days);
	streams_finish(&insert->streams);
	free(insert->wanted);
	free(insert->printed.at);
	free(insert->copy.at);
	free(insert->late.at);
}
