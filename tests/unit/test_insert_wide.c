/*
 * Sensors of more quantities than a row has columns, and of others every day: all find
 * room, up to a limit, and a reading that is refused leaves nothing behind.
 */
#include "ingest/series.h"
#include "ingest_store.h"

#define MOST 192 /* and temperature and humidity */
#define NO_ROOM                                                                            \
	"no room for a new quantity: a sensor may have 192 besides temperature and "       \
	"humidity"

_Static_assert(MOST == (SERIES_COLUMNS - SERIES_RESERVED) * SERIES_PARTS, "");

/* Each value with what it is, however it is laid out. */
#define VALUES                                                                             \
	"(SELECT reading.id, topic, name, part, ts, quantity, CASE col"                    \
	" WHEN 0 THEN temperature WHEN 1 THEN humidity WHEN 2 THEN v2 WHEN 3 THEN v3"      \
	" WHEN 4 THEN v4 WHEN 5 THEN v5 WHEN 6 THEN v6 ELSE v7 END AS v FROM reading"      \
	" JOIN sensor ON sensor.id = reading.sensor"                                       \
	" JOIN channel ON channel.sensor = sensor.id)"
#define SENSORS "SELECT count(*) FROM sensor"
#define CHANNELS "SELECT count(*) FROM channel"
#define ROWS "SELECT count(*) FROM reading"

/* Who writes: our publishers, others with the same contract, or plain clients. */
enum way { OURS, OTHERS, PLAIN };

/*
 * Reading n of sensor `adc` has the quantities q<from> to q<from + count - 1>; q<i> has the
 * value 1000 n + i.
 */
struct wide {
	uint64_t n;
	int from, count;
};

static size_t write_wide(const struct wide *wide, enum way way, char *text, size_t size)
{
	size_t len = 0;
	for (int i = 0; i < wide->count; i++) {
		len += (size_t)snprintf(text + len, size - len, "%s", i > 0 ? ",{" : "{");
		if (i == 0)
			len += (size_t)snprintf(text + len, size - len,
				"\"bn\":\"adc/\",\"bt\":%lld%s,",
				(long long)payload_time(wide->n),
				way == OURS ? ".000000" : "");
		len += (size_t)snprintf(text + len, size - len,
			"\"n\":\"q%d\",\"u\":\"V\",\"v\":%lld}", wide->from + i,
			(long long)wide->n * 1000 + wide->from + i);
		assert_true(len < size - 2);
	}
	return len;
}

/* A message of some readings; natively with numbers from `first` on, in stream 2. */
static struct incoming *wide_message(
	enum way way, uint64_t first, const struct wide *wide, size_t n)
{
	static char text[MESSAGE_MAX];
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		text[len++] = i == 0 ? '[' : ',';
		len += write_wide(&wide[i], way, text + len, sizeof(text) - len);
	}
	text[len++] = ']';
	text[len] = '\0';
	if (way == PLAIN)
		return plain_message("/data/n", text, len);
	struct incoming *in = batch_message(&(struct batch){
		.stream = 2, .first = first, .count = (uint32_t)n, .payload = text});
	assert_int_equal(in->condensed, way == OURS);
	return in;
}

static const char *store_wide(struct store *store, enum way way, uint64_t first,
	const struct wide *wide, size_t n)
{
	assert_int_equal(store_commit(store, wide_message(way, first, wide, n), NOW_US), 0);
	return store->answers;
}

static void open_wide(void **state, struct store *store)
{
	store_open(state, store);
	assert_int_equal(sqlite_store_lease(store->sqlite, &store->fence, NOW_US), 0);
	assert_true(store->fence.held);
}

/* Of a reading, that it has just these values, each once. */
static void assert_wide(const struct store *store, const struct wide *wide)
{
	char sql[1024], expected[64];
	snprintf(sql, sizeof(sql),
		"SELECT count(v), count(DISTINCT quantity) FILTER (WHERE v IS NOT NULL),"
		" sum(v IS NOT NULL AND (quantity <> printf('q%%d', v - %lld)"
		"  OR v < %lld OR v >= %lld)) FROM " VALUES
		" WHERE name = 'adc' AND ts = %lld",
		(long long)wide->n * 1000, (long long)wide->n * 1000 + wide->from,
		(long long)wide->n * 1000 + wide->from + wide->count,
		(long long)payload_time(wide->n) * 1000000);
	snprintf(expected, sizeof(expected), "%d|%d|0", wide->count, wide->count);
	assert_db_text(store->path, sql, expected);
}

static void test_an_adc_of_eight_channels_is_stored(void **state)
{
	struct store store;
	const struct wide wide[] = {{1, 0, 8}, {2, 0, 8}, {3, 0, 8}};
	open_wide(state, &store);
	assert_string_equal(store_wide(&store, OURS, 1, wide, 2), "#0 stored 1+2");
	sqlite_store_close(store.sqlite);
	open_wide(state, &store);
	assert_string_equal(store_wide(&store, OURS, 3, &wide[2], 1), "#0 stored 3+1");
	for (size_t i = 0; i < LENGTH(wide); i++)
		assert_wide(&store, &wide[i]);
	assert_db_text(store.path, "SELECT topic, name, part FROM sensor ORDER BY id",
		"/data/n|adc|0 /data/n|adc|1");
	assert_db_text(store.path, "SELECT sensor, col, quantity FROM channel",
		"1|2|q0 1|3|q1 1|4|q2 1|5|q3 1|6|q4 1|7|q5 2|2|q6 2|3|q7");
	assert_db_text(store.path, ROWS, "6");
	assert_db_text(store.path, "SELECT reading FROM next_id", "7");
	/* One reading, however many rows it is. */
	assert_int_equal(sqlite_store_counts(store.sqlite)->readings, 1);
	sqlite_store_close(store.sqlite);
}

static void test_forty_channels_are_stored_by_every_way(void **state)
{
	for (enum way way = OURS; way <= PLAIN; way++) {
		struct wide wide[15];
		struct store store;
		open_wide(state, &store);
		for (size_t i = 0; i < LENGTH(wide); i++)
			wide[i] = (struct wide){i + 1, (int)(i % 5) * 8, 8};
		assert_string_equal(store_wide(&store, way, 1, wide, LENGTH(wide)),
			way == PLAIN ? "" : "#0 stored 1+15");
		for (size_t i = 0; i < LENGTH(wide); i++)
			assert_wide(&store, &wide[i]);
		assert_int_equal(db_int(store.path, CHANNELS), 40);
		/* Six columns a part. */
		assert_db_text(store.path, "SELECT count(*), max(part) FROM sensor", "7|6");
		assert_int_equal(sqlite_store_counts(store.sqlite)->readings, 15);
		assert_int_equal(sqlite_store_counts(store.sqlite)->dead_letters, 0);
		sqlite_store_close(store.sqlite);
		assert_int_equal(unlink(store.path), 0);
	}
}

static void test_other_quantities_every_day_find_room(void **state)
{
	struct store store;
	struct wide wide[45];
	open_wide(state, &store);
	for (size_t i = 0; i < LENGTH(wide); i++) {
		/* Mostly some of the one before, and some that are new. */
		wide[i] = (struct wide){i + 1, (int)i * 2, 1 + (int)(i % 8)};
		store_wide(&store, (enum way)(i % 2), i + 1, &wide[i], 1);
		if (i % 10 != 9)
			continue;
		sqlite_store_close(store.sqlite);
		open_wide(state, &store);
	}
	for (size_t i = 0; i < LENGTH(wide); i++)
		assert_wide(&store, &wide[i]);
	assert_db_text(store.path, "SELECT count(*), count(DISTINCT quantity) FROM channel",
		"92|92");
	assert_db_text(store.path, "SELECT count(*), max(part) FROM sensor", "16|15");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"), 0);
	sqlite_store_close(store.sqlite);
}

static void test_what_another_replica_made_is_used(void **state)
{
	struct store a, b;
	const struct wide wide[] = {{1, 0, 8}, {2, 4, 8}, {3, 8, 8}, {4, 0, 8}, {5, 9, 7}};
	open_wide(state, &a);
	store_open(state, &b);
	for (size_t i = 0; i < LENGTH(wide); i++)
		store_wide(i % 2 == 0 ? &a : &b, OURS, i + 1, &wide[i], 1);
	for (size_t i = 0; i < LENGTH(wide); i++)
		assert_wide(&a, &wide[i]);
	assert_int_equal(db_int(a.path, CHANNELS), 16);
	assert_int_equal(db_int(a.path, SENSORS), 3);
	sqlite_store_close(a.sqlite);
	sqlite_store_close(b.sqlite);
}

static void test_the_same_batch_again_stores_nothing_twice(void **state)
{
	struct store store;
	const struct wide wide[] = {{1, 0, 8}, {2, 8, 8}, {3, 4, 8}};
	for (enum way way = OURS; way <= OTHERS; way++) {
		open_wide(state, &store);
		assert_string_equal(store_wide(&store, way, 1, wide, 3), "#0 stored 1+3");
		int64_t rows = db_int(store.path, ROWS);
		assert_string_equal(store_wide(&store, way, 1, wide, 3), "#0 stored 1+3");
		sqlite_store_close(store.sqlite);
		open_wide(state, &store);
		assert_string_equal(store_wide(&store, way, 1, wide, 3), "#0 stored 1+3");
		assert_int_equal(sqlite_store_counts(store.sqlite)->readings, 0);
		assert_int_equal(sqlite_store_counts(store.sqlite)->duplicates, 3);
		assert_int_equal(db_int(store.path, ROWS), rows);
		for (size_t i = 0; i < LENGTH(wide); i++)
			assert_wide(&store, &wide[i]);
		sqlite_store_close(store.sqlite);
		assert_int_equal(unlink(store.path), 0);
	}
}

/* Take all the columns there are but for some. */
static uint64_t fill(struct store *store, int left)
{
	uint64_t n = 1;
	for (int from = 0; from < MOST - left; n++) {
		int count = MOST - left - from < 8 ? MOST - left - from : 8;
		store_wide(store, OURS, n, &(struct wide){n, from, count}, 1);
		from += count;
	}
	assert_int_equal(db_int(store->path, CHANNELS), MOST - left);
	return n;
}

static void test_a_refused_reading_leaves_nothing_behind(void **state)
{
	for (enum way way = OURS; way <= PLAIN; way++) {
		struct store store;
		char answer[512] = "";
		open_wide(state, &store);
		uint64_t n = fill(&store, 2);
		int64_t rows = db_int(store.path, ROWS),
			sensors = db_int(store.path, SENSORS);
		uint64_t readings = sqlite_store_counts(store.sqlite)->readings;
		/* Three new ones, a known one among them; two are left. */
		const struct wide wide[] = {{n, MOST - 3, 4}, {n + 1, 1000, 8},
			{n + 2, 2000, 3}, {n + 3, MOST - 3, 4}};
		if (way != PLAIN)
			snprintf(answer, sizeof(answer), "#0 rejected %d+4 (%s)", (int)n,
				NO_ROOM);
		assert_string_equal(store_wide(&store, way, n, wide, LENGTH(wide)), answer);
		assert_int_equal(db_int(store.path, CHANNELS), MOST - 2);
		assert_int_equal(db_int(store.path, SENSORS), sensors);
		assert_int_equal(db_int(store.path, ROWS), rows);
		assert_int_equal(sqlite_store_counts(store.sqlite)->readings, readings);
		assert_db_text(store.path,
			"SELECT count(*), min(reason), max(reason) FROM dead_letter",
			"4|" NO_ROOM "|" NO_ROOM);
		/* So what there is room for, and what is known, is stored as before. */
		const struct wide more[] = {{n + 4, MOST - 2, 2}, {n + 5, 3, 8}};
		store_wide(&store, way, n + 4, more, 2);
		assert_wide(&store, &more[0]);
		assert_wide(&store, &more[1]);
		assert_int_equal(db_int(store.path, CHANNELS), MOST);
		assert_db_text(
			store.path, "SELECT count(*), max(part) FROM sensor", "32|31");
		sqlite_store_close(store.sqlite);
		assert_int_equal(unlink(store.path), 0);
	}
}

static void test_the_readings_around_a_refused_one_are_stored(void **state)
{
	struct store store;
	char expected[512];
	open_wide(state, &store);
	uint64_t n = fill(&store, 0);
	const struct wide wide[] = {
		{n, 0, 8}, {n + 1, 190, 3}, {n + 2, 180, 8}, {n + 3, 190, 3}};
	snprintf(expected, sizeof(expected),
		"#0 stored %d+1; #0 rejected %d+1 (%s); #0 stored %d+1; #0 rejected %d+1 "
		"(%s)",
		(int)n, (int)n + 1, NO_ROOM, (int)n + 2, (int)n + 3, NO_ROOM);
	assert_string_equal(store_wide(&store, OURS, n, wide, 4), expected);
	assert_wide(&store, &wide[0]);
	assert_wide(&store, &wide[2]);
	/* The dead letter is the reading, as it was written. */
	char text[512];
	text[0] = '[';
	size_t len = 1 + write_wide(&wide[1], OURS, text + 1, sizeof(text) - 1);
	snprintf(text + len, sizeof(text) - len, "]");
	assert_db_text(store.path,
		"SELECT CAST(payload AS TEXT) FROM dead_letter ORDER BY id LIMIT 1", text);
	assert_int_equal(
		db_int(store.path, "SELECT last FROM stream_interval"), (int64_t)n + 3);
	sqlite_store_close(store.sqlite);
}

static void test_temperature_and_humidity_always_find_room(void **state)
{
	struct store store;
	char payload[512];
	open_wide(state, &store);
	uint64_t n = fill(&store, 0);
	snprintf(payload, sizeof(payload),
		"[{\"bn\":\"adc/\",\"bt\":1732399999,\"n\":\"temperature\",\"u\":\"Cel\","
		"\"v\":21.5},{\"n\":\"q191\",\"u\":\"V\",\"v\":7},"
		"{\"n\":\"humidity\",\"u\":\"%%RH\",\"v\":60.5}]");
	store_batch(&store,
		&(struct batch){.stream = 2, .first = n, .count = 1, .payload = payload});
	/* To the paper's query it is one reading. */
	assert_db_text(
		store.path, "SELECT topic, temp, humidity FROM dht", "/data/n|21.5|60.5");
	assert_db_text(store.path,
		"SELECT part, v7 FROM reading JOIN sensor ON sensor.id = sensor"
		" WHERE ts = 1732399999000000 ORDER BY part",
		"0|NULL 31|7.0");
	sqlite_store_close(store.sqlite);
}

static void test_a_reading_that_is_consumed_already_leaves_nothing(void **state)
{
	for (enum way way = OURS; way <= OTHERS; way++) {
		struct store store;
		const struct wide wide = {1, 0, 8};
		open_wide(state, &store);
		/* Its number is lost: nothing below 5 would come. */
		assert_string_equal(
			store_batch(&store,
				&(struct batch){
					.stream = 2, .first = 5, .count = 0, .low = 5}),
			"#0 heard");
		assert_string_equal(store_wide(&store, way, 1, &wide, 1), "#0 stored 1+1");
		assert_int_equal(sqlite_store_counts(store.sqlite)->duplicates, 1);
		assert_int_equal(db_int(store.path, ROWS), 0);
		assert_int_equal(db_int(store.path, SENSORS), 0);
		assert_int_equal(db_int(store.path, CHANNELS), 0);
		/* The next one of the same names is placed all the same. */
		const struct wide both[] = {{2, 0, 8}, {6, 0, 8}};
		store_wide(&store, way, 4, both, 2);
		assert_wide(&store, &both[1]);
		assert_int_equal(db_int(store.path, ROWS), 2);
		sqlite_store_close(store.sqlite);
		assert_int_equal(unlink(store.path), 0);
	}
}

/* More rows than are handed over together, of one, two and three a reading. */
static void test_many_wide_readings_in_one_transaction(void **state)
{
	struct store store;
	struct wide wide[1200];
	open_wide(state, &store);
	for (size_t i = 0; i < LENGTH(wide); i++)
		wide[i] = (struct wide){i + 1, (int)(i * 7 % 24), 1 + (int)(i % 8)};
	store_wide(&store, OURS, 1, wide, LENGTH(wide));
	assert_string_equal(store.answers, "#0 stored 1+1200");
	for (size_t i = 0; i < LENGTH(wide); i += 7)
		assert_wide(&store, &wide[i]);
	int64_t values = 0;
	for (size_t i = 0; i < LENGTH(wide); i++)
		values += wide[i].count;
	assert_int_equal(db_int(store.path, "SELECT count(v) FROM " VALUES), values);
	assert_db_text(store.path,
		"SELECT count(DISTINCT ts), count(DISTINCT id) = count(*),"
		" max(id) < (SELECT reading FROM next_id) FROM reading",
		"1200|1|1");
	assert_int_equal(sqlite_store_counts(store.sqlite)->readings, 1200);
	sqlite_store_close(store.sqlite);
}

static void test_a_late_reading_is_named_in_each_part(void **state)
{
	struct store store;
	const struct wide late = {1, 0, 8};
	open_wide(state, &store);
	db_exec(store.path, "UPDATE retention SET counted_until = 1800000000000000");
	store_wide(&store, OURS, 1, &late, 1);
	/* The pruner counts part by part. */
	assert_db_text(store.path,
		"SELECT late.sensor, first, last, until = reading.ts FROM late"
		" JOIN reading ON reading.id = first AND reading.sensor = late.sensor"
		" ORDER BY 1",
		"1|1|1|1 2|2|2|1");
	sqlite_store_close(store.sqlite);
}

static void test_a_reading_of_the_future_counts_once(void **state)
{
	struct store store;
	const struct wide ahead = {UINT64_C(1) << 32, 0, 8};
	open_wide(state, &store);
	store_wide(&store, OTHERS, 1, &ahead, 1);
	assert_int_equal(sqlite_store_counts(store.sqlite)->ahead, 1);
	assert_db_text(store.path, "SELECT clock FROM reading", "3 3");
	assert_wide(&store, &ahead);
	sqlite_store_close(store.sqlite);
}

static void test_a_wide_reading_is_printed_as_one_line(void **state)
{
	struct store store;
	struct capture capture;
	char text[1024];
	store_open_printing(state, &store, &capture);
	store_wide(&store, OURS, 1, &(struct wide){1, 0, 8}, 1);
	capture_end(&capture, text, sizeof(text));
	assert_string_equal(text, "Topic=/data/n, q0=1000V, q1=1001V, q2=1002V, q3=1003V,"
				  " q4=1004V, q5=1005V, q6=1006V, q7=1007V\n");
	sqlite_store_close(store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_an_adc_of_eight_channels_is_stored),
		IN_DIRECTORY(test_forty_channels_are_stored_by_every_way),
		IN_DIRECTORY(test_other_quantities_every_day_find_room),
		IN_DIRECTORY(test_what_another_replica_made_is_used),
		IN_DIRECTORY(test_the_same_batch_again_stores_nothing_twice),
		IN_DIRECTORY(test_a_refused_reading_leaves_nothing_behind),
		IN_DIRECTORY(test_the_readings_around_a_refused_one_are_stored),
		IN_DIRECTORY(test_temperature_and_humidity_always_find_room),
		IN_DIRECTORY(test_a_reading_that_is_consumed_already_leaves_nothing),
		IN_DIRECTORY(test_many_wide_readings_in_one_transaction),
		IN_DIRECTORY(test_a_late_reading_is_named_in_each_part),
		IN_DIRECTORY(test_a_reading_of_the_future_counts_once),
		IN_DIRECTORY(test_a_wide_reading_is_printed_as_one_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
