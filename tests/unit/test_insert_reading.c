#include "ingest_store.h"

/* One native reading of climate whose values are these records' members. */
static const char *store_values(struct store *store, uint64_t seq, const char *records)
{
	static char payload[1024];
	snprintf(payload, sizeof(payload), "[{\"bn\":\"climate/\",\"bt\":1732300001,%s}]",
		records);
	return store_batch(
		store, &(struct batch){.first = seq, .count = 1, .payload = payload});
}

#define TEMPERATURE "\"n\":\"temperature\",\"u\":\"Cel\",\"v\":21.5"
#define HUMIDITY "\"n\":\"humidity\",\"u\":\"%RH\",\"v\":60.5"
#define CHANNELS "SELECT col, quantity, unit FROM channel ORDER BY sensor, col"

static void test_temperature_and_humidity_are_seen_by_the_papers_query(void **state)
{
	struct store store;
	store_open(state, &store);
	store_values(&store, 1, HUMIDITY "},{" TEMPERATURE);
	store_values(&store, 2, TEMPERATURE);
	assert_db_text(
		store.path, "SELECT * FROM dht", "1|/data/n|21.5|60.5 2|/data/n|21.5|NULL");
	assert_db_text(store.path, CHANNELS, "0|temperature|Cel 1|humidity|%RH");
	sqlite_store_close(store.sqlite);
}

static void test_other_quantities_get_columns_as_they_come(void **state)
{
	struct store store;
	store_open(state, &store);
	store_values(
		&store, 1, "\"n\":\"pressure\",\"u\":\"hPa\",\"v\":1013.5},{" TEMPERATURE);
	store_values(&store, 2, "\"n\":\"temperature\",\"u\":\"K\",\"v\":294.5");
	store_values(&store, 3, "\"n\":\"pressure\",\"u\":\"hPa\",\"v\":1014.5");
	assert_db_text(
		store.path, CHANNELS, "0|temperature|Cel 2|pressure|hPa 3|temperature|K");
	assert_db_text(store.path,
		"SELECT temperature, humidity, v2, v3, v4 FROM reading ORDER BY id",
		"21.5|NULL|1013.5|NULL|NULL NULL|NULL|NULL|294.5|NULL "
		"NULL|NULL|1014.5|NULL|NULL");
	/* What is no temperature in Celsius and no humidity is not the paper's. */
	assert_db_text(store.path, "SELECT id FROM dht", "1");
	sqlite_store_close(store.sqlite);
}

static void test_a_value_without_a_unit_is_stored(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_string_equal(
		store_values(&store, 1, "\"n\":\"count\",\"v\":7},{" TEMPERATURE),
		"#0 stored 1+1");
	assert_db_text(store.path, CHANNELS, "0|temperature|Cel 2|count|");
	assert_string_equal(
		store_values(&store, 2, "\"n\":\"count\",\"v\":8"), "#0 stored 2+1");
	assert_db_text(store.path, "SELECT v2 FROM reading ORDER BY id", "7.0 8.0");
	sqlite_store_close(store.sqlite);
}

static void test_columns_are_known_after_a_restart(void **state)
{
	struct store store;
	store_open(state, &store);
	store_values(&store, 1, "\"n\":\"co2\",\"u\":\"ppm\",\"v\":400");
	sqlite_store_close(store.sqlite);
	store_open(state, &store);
	store_values(&store, 2, "\"n\":\"light\",\"u\":\"lx\",\"v\":50");
	store_values(&store, 3, "\"n\":\"co2\",\"u\":\"ppm\",\"v\":401");
	assert_db_text(store.path, CHANNELS, "2|co2|ppm 3|light|lx");
	assert_db_text(store.path, "SELECT v2, v3 FROM reading ORDER BY id",
		"400.0|NULL NULL|50.0 401.0|NULL");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM sensor"), 1);
	sqlite_store_close(store.sqlite);
}

static void test_a_column_that_another_replica_added_is_respected(void **state)
{
	struct store a, b;
	store_open(state, &a);
	store_open(state, &b);
	store_values(&a, 1, TEMPERATURE);
	store_values(&b, 2, TEMPERATURE);
	/* Both know the sensor now, and neither the other's next column. */
	store_values(&a, 3, "\"n\":\"co2\",\"u\":\"ppm\",\"v\":400");
	store_values(&b, 4, "\"n\":\"light\",\"u\":\"lx\",\"v\":50");
	store_values(&b, 5, "\"n\":\"co2\",\"u\":\"ppm\",\"v\":401");
	store_values(&a, 6, "\"n\":\"light\",\"u\":\"lx\",\"v\":51");
	assert_db_text(a.path, CHANNELS, "0|temperature|Cel 2|co2|ppm 3|light|lx");
	assert_db_text(a.path, "SELECT v2, v3 FROM reading WHERE id > 2 ORDER BY id",
		"400.0|NULL NULL|50.0 401.0|NULL NULL|51.0");
	assert_int_equal(db_int(a.path, "SELECT count(*) FROM sensor"), 1);
	sqlite_store_close(a.sqlite);
	sqlite_store_close(b.sqlite);
}

static void test_the_clock_mark_is_stored(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 1});
	store_batch(&store,
		&(struct batch){.first = 2, .count = 1, .clock = DP_CLOCK_UNSYNCED});
	store_batch(
		&store, &(struct batch){.first = 3, .count = 1, .clock = DP_CLOCK_GUESSED});
	assert_db_text(store.path, "SELECT clock FROM reading ORDER BY id", "0 1 2");
	sqlite_store_close(store.sqlite);
}

static void test_two_readings_of_one_instant_are_two_rows(void **state)
{
	struct store store;
	store_open(state, &store);
	store_values(&store, 1, TEMPERATURE);
	store_values(&store, 2, TEMPERATURE);
	store_batch(&store,
		&(struct batch){.stream = 9,
			.first = 1,
			.count = 1,
			.payload = "[{\"bn\":\"climate/\",\"bt\":1732300001," TEMPERATURE
				   "}]"});
	assert_db_text(store.path,
		"SELECT count(*), count(DISTINCT ts), count(DISTINCT id) FROM reading",
		"3|1|3");
	sqlite_store_close(store.sqlite);
}

static void test_ids_are_never_used_again(void **state)
{
	struct store store;
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 1, .count = 5});
	db_exec(store.path, "DELETE FROM reading");
	store_batch(&store, &(struct batch){.first = 6, .count = 2});
	assert_db_text(store.path, "SELECT id FROM reading ORDER BY id", "6 7");
	sqlite_store_close(store.sqlite);
	db_exec(store.path, "DELETE FROM reading");
	store_open(state, &store);
	store_batch(&store, &(struct batch){.first = 8, .count = 1});
	assert_db_text(store.path, "SELECT id FROM reading", "8");
	sqlite_store_close(store.sqlite);
}

static void test_a_file_that_has_lost_its_next_id_is_not_written(void **state)
{
	struct store store;
	store_open(state, &store);
	db_exec(store.path, "DELETE FROM next_id");
	assert_int_equal(
		store_commit(&store, batch_message(&(struct batch){.first = 1, .count = 1}),
			NOW_US),
		-ENODATA);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM stream"), 0);
	/* The failed transaction is over: the file can be mended, and written. */
	db_exec(store.path, "INSERT INTO next_id (reading) VALUES (7)");
	assert_string_equal(store_batch(&store, &(struct batch){.first = 1, .count = 1}),
		"#0 stored 1+1");
	assert_db_text(store.path, "SELECT id FROM reading", "7");
	sqlite_store_close(store.sqlite);
}

static void test_stored_readings_are_printed_in_the_papers_form(void **state)
{
	struct store store;
	struct capture capture;
	char text[1024];
	store_open_printing(state, &store, &capture);
	store_values(&store, 1, TEMPERATURE "},{" HUMIDITY);
	store_values(&store, 1, TEMPERATURE "},{" HUMIDITY); /* again: stored once */
	store_values(&store, 2, "\"n\":\"pressure\",\"u\":\"hPa\",\"v\":1013.25");
	capture_end(&capture, text, sizeof(text));
	assert_string_equal(text, "Topic=/data/n, Temp=21.5\xc2\xb0"
				  "C, Humidity=60.5%\n"
				  "Topic=/data/n, pressure=1013.25hPa\n");
	sqlite_store_close(store.sqlite);
}

static void test_many_readings_are_printed_line_by_line(void **state)
{
	struct store store;
	struct capture capture;
	static char text[1 << 20];
	const struct sink_options options = {.print = true};
	unsigned lines = 0;
	store_open_with(state, &store, &options);
	capture_begin(&capture, STDOUT_FILENO);
	store_batch(&store, &(struct batch){.first = 1, .count = 2000});
	capture_end(&capture, text, sizeof(text));
	for (const char *c = text; *c != '\0'; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 2000);
	sqlite_store_close(store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_temperature_and_humidity_are_seen_by_the_papers_query),
		IN_DIRECTORY(test_other_quantities_get_columns_as_they_come),
		IN_DIRECTORY(test_a_value_without_a_unit_is_stored),
		IN_DIRECTORY(test_columns_are_known_after_a_restart),
		IN_DIRECTORY(test_a_column_that_another_replica_added_is_respected),
		IN_DIRECTORY(test_the_clock_mark_is_stored),
		IN_DIRECTORY(test_two_readings_of_one_instant_are_two_rows),
		IN_DIRECTORY(test_ids_are_never_used_again),
		IN_DIRECTORY(test_a_file_that_has_lost_its_next_id_is_not_written),
		IN_DIRECTORY(test_stored_readings_are_printed_in_the_papers_form),
		IN_DIRECTORY(test_many_readings_are_printed_line_by_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
