#include "pass.h"

#include <errno.h>
#include <stdlib.h>

#include "../insert.h"

#define DAY_US INT64_C(86400000000)
#define ROW_COLUMNS (3 + SERIES_COLUMNS)
#define LATE_COLUMNS (2 + SERIES_COLUMNS)

/* ---- what becomes of a message: see context.h ---- */

static int find_stream(struct context *c, struct stream_row **out)
{
	struct pass *pass = c->store;
	*out = streams_row(&pass->streams, c->in->identity.stream.bytes);
	/* It was made and locked before; somebody has deleted it meanwhile. */
	return *out == NULL ? -EIO : 0;
}

static int add_lost(struct context *c, const struct dp_interval *gap)
{
	struct pass *pass = c->store;
	wire_bytes_field(wire_array_next(&pass->lost_stream), c->in->identity.stream.bytes,
		DP_STREAM_BYTES);
	wire_int64_field(wire_array_next(&pass->lost_first), (int64_t)gap->first);
	wire_int64_field(
		wire_array_next(&pass->lost_count), (int64_t)(gap->last - gap->first + 1));
	return 0;
}

static int save_stream(struct context *c)
{
	struct pass *pass = c->store;
	streams_note_change(&pass->streams, c->in->identity.stream.bytes);
	return 0;
}

static int add_dead_letter(struct context *c, const struct dead_letter *letter)
{
	struct pass *pass = c->store;
	wire_time_field(wire_array_next(&pass->dead_ts), c->in->received_us);
	wire_bytes_field(
		wire_array_next(&pass->dead_topic), c->in->topic, letter->topic_len);
	wire_text_field(wire_array_next(&pass->dead_reason), letter->reason);
	struct wire *stream = wire_array_next(&pass->dead_stream);
	if (letter->stream == NULL)
		wire_null_field(stream);
	else
		wire_bytes_field(stream, letter->stream->bytes, DP_STREAM_BYTES);
	if (letter->seq == 0)
		wire_null_field(wire_array_next(&pass->dead_seq));
	else
		wire_int64_field(wire_array_next(&pass->dead_seq), (int64_t)letter->seq);
	wire_int64_field(wire_array_next(&pass->dead_bytes), (int64_t)letter->len);
	wire_bytes_field(wire_array_next(&pass->dead_payload), letter->text, letter->kept);
	return 0;
}

static int find_place(struct context *c, const char *topic,
	const struct dp_reading *reading, struct place *place)
{
	struct pass *pass = c->store;
	return catalog_find_place(pass->catalog, topic, reading, place);
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

static int add_rows(struct context *c, const struct dp_reading *reading,
	const struct place *place, unsigned mark)
{
	struct pass *pass = c->store;
	int err = catalog_want_day(pass->catalog, reading->ts_us);
	if (err != 0 || pass->catalog->wants_series)
		return err;
	/* The pruner has counted this time already: it merges late readings by this table.
	 */
	bool late = reading->ts_us < pass->late_before_us;
	for (unsigned row = 0; row < place->n; row++) {
		int32_t sensor = (int32_t)place->parts[row]->sensor;
		wire_int16(&pass->copy, ROW_COLUMNS);
		wire_int32_field(&pass->copy, sensor);
		wire_time_field(&pass->copy, reading->ts_us);
		wire_int16_field(&pass->copy, (int16_t)mark);
		add_values(&pass->copy, reading, place, row);
		if (!late)
			continue;
		pass->n_late++;
		wire_int16(&pass->late, LATE_COLUMNS);
		wire_int32_field(&pass->late, sensor);
		wire_time_field(&pass->late, reading->ts_us);
		add_values(&pass->late, reading, place, row);
	}
	return 0;
}

static const struct store_ops ops = {
	.find_stream = find_stream,
	.add_lost = add_lost,
	.save_stream = save_stream,
	.add_dead_letter = add_dead_letter,
	.find_place = find_place,
	.add_rows = add_rows,
};

/* ---- a pass ---- */

static void begin_pass(struct pass *pass)
{
	effects_begin(&pass->effects);
	pass->n_late = 0;
	wire_copy_begin(&pass->copy);
	wire_copy_begin(&pass->late);
	wire_array_begin(&pass->lost_stream, WIRE_BYTEA_ARRAY);
	wire_array_begin(&pass->lost_first, WIRE_INT8_ARRAY);
	wire_array_begin(&pass->lost_count, WIRE_INT8_ARRAY);
	wire_array_begin(&pass->dead_ts, WIRE_TIMESTAMPTZ_ARRAY);
	wire_array_begin(&pass->dead_topic, WIRE_TEXT_ARRAY);
	wire_array_begin(&pass->dead_reason, WIRE_TEXT_ARRAY);
	wire_array_begin(&pass->dead_stream, WIRE_BYTEA_ARRAY);
	wire_array_begin(&pass->dead_seq, WIRE_INT8_ARRAY);
	wire_array_begin(&pass->dead_bytes, WIRE_INT8_ARRAY);
	wire_array_begin(&pass->dead_payload, WIRE_BYTEA_ARRAY);
}

int pass_run(struct pass *pass, const struct incoming *list, const struct dp_lease *fence,
	struct results *results, int64_t late_before_us)
{
	size_t answered = results->n;
	int64_t now_us = pass->catalog->now_us;
	const struct context c =
		context_of(&ops, pass, pass->options, &pass->effects, results, now_us);
	begin_pass(pass);
	pass->late_before_us = late_before_us;
	/* Today's partition, and tomorrow's before it is needed. */
	int err = catalog_want_day(pass->catalog, now_us);
	if (err == 0)
		err = catalog_want_day(pass->catalog, now_us + DAY_US);
	if (err == 0)
		err = insert_messages(&c, list, fence);
	wire_copy_end(&pass->copy);
	wire_copy_end(&pass->late);
	if (err == 0 && catalog_is_short(pass->catalog))
		err = -EAGAIN;
	if (err != 0)
		results->n = answered;
	return err;
}

void pass_collect(struct pass *pass, const struct incoming *list)
{
	streams_clear(&pass->streams);
	streams_collect(&pass->streams, list);
}

void pass_finish(struct pass *pass)
{
	struct wire_array *const arrays[] = {&pass->lost_stream, &pass->lost_first,
		&pass->lost_count, &pass->dead_ts, &pass->dead_topic, &pass->dead_reason,
		&pass->dead_stream, &pass->dead_seq, &pass->dead_bytes,
		&pass->dead_payload};
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++)
		free(arrays[i]->wire.at);
	streams_finish(&pass->streams);
	effects_finish(&pass->effects);
	free(pass->copy.at);
	free(pass->late.at);
}
