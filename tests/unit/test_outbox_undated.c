/* What an outbox remembers beside its readings: boots, floors, last words; and older files.
 */
#include "outbox_file.h"

static void append_undated(
	struct outbox *outbox, int64_t row, uint64_t seq, int64_t boottime_ns)
{
	static const char json[] = "{\"bn\":\"s/\",\"n\":\"t\",\"v\":1}";
	const struct outbox_reading reading = {
		row, seq, json, sizeof(json) - 1, DP_CLOCK_NONE, boottime_ns};
	assert_int_equal(outbox_append(outbox, &reading), 0);
}

/* `id mark start; ` of each boot. */
static void note_boot(void *data, const struct outbox_boot *boot)
{
	struct found *found = data;
	size_t len = strlen(found->text);
	snprintf(found->text + len, sizeof(found->text) - len, "%s%s %d %lld",
		found->n++ > 0 ? "; " : "", boot->id, (int)boot->mark,
		(long long)boot->start_us);
	assert_true(boot->row > 0);
}

static void assert_boots(struct outbox *outbox, const char *expected)
{
	struct found found = {.n = 0};
	assert_int_equal(outbox_boots(outbox, note_boot, &found), 0);
	assert_string_equal(found.text, expected);
}

static void keep_stream(void *data, struct outbox_stream *stream)
{
	struct outbox_stream *kept = data;
	dp_intervals_finish(&stream->stored);
	*kept = *stream;
}

static void test_readings_without_a_time_know_their_boot_after_a_restart(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	struct outbox_page page = {.n = 0};
	struct outbox_stream stream = {.row = 0};
	int64_t a = add_stream(outbox, 1, "n"), b = add_stream(outbox, 2, "n"), boot = 0;
	int64_t other = 0;
	append(outbox, b, 1, 1);
	assert_int_equal(outbox_set_boot(outbox, b, "the-one-before", &other), 0);
	append_undated(outbox, b, 2, 5);
	assert_int_equal(outbox_set_boot(outbox, a, "this-one", &boot), 0);
	append_undated(outbox, a, 1, 700);
	append_undated(outbox, a, 2, 300);
	append(outbox, a, 3, 3);
	/* Once more changes nothing. */
	assert_int_equal(outbox_set_boot(outbox, a, "this-one", &boot), 0);
	assert_int_not_equal(boot, other);
	assert_boots(outbox, "the-one-before 3 0; this-one 3 0");
	const struct outbox_boot known = {
		.row = boot, .mark = DP_CLOCK_UNSYNCED, .start_us = 12345};
	assert_int_equal(outbox_date_boot(outbox, &known), 0);
	outbox_close(outbox);

	outbox = open_outbox(state, path);
	assert_boots(outbox, "the-one-before 3 0; this-one 1 12345");
	assert_int_equal(outbox_remove(outbox, b, 1, 2), 0);
	assert_boots(outbox, "this-one 1 12345");
	db_exec(path, "DELETE FROM stream WHERE boot IS NULL");
	assert_int_equal(outbox_streams(outbox, keep_stream, &stream), 0);
	assert_int_equal(stream.boot, boot);
	assert_int_equal(stream.undated_to, 2);
	assert_int_equal(stream.last_ns, 700);
	assert_int_equal(outbox_load(outbox, a, 0, &page), 0);
	assert_int_equal(page.n, 3);
	assert_int_equal(page.readings[0].boottime_ns, 700);
	assert_int_equal(page.readings[0].clock, DP_CLOCK_NONE);
	assert_int_equal(page.readings[2].boottime_ns, 0);
	outbox_page_finish(&page);
	outbox_close(outbox);
}

static void test_the_floor_and_a_last_word_are_remembered(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	struct outbox_stream stream = {.row = 0};
	int64_t row = add_stream(outbox, 1, "n");
	assert_int_equal(outbox_floor_us(outbox), 0);
	assert_int_equal(outbox_set_floor(outbox, 99), 0);
	assert_int_equal(outbox_set_closed(outbox, row, 42, true), 0);
	for (unsigned i = 2; i < 100; i++)
		add_stream(outbox, i, "n");
	outbox_close(outbox);
	outbox = open_outbox(state, path);
	assert_int_equal(outbox_floor_us(outbox), 99);
	/* It is not one of the latest 64, but its last word has not been heard. */
	assert_int_equal(db_int(path, "SELECT count(*) FROM stream WHERE closed"), 1);
	assert_int_equal(outbox_streams(outbox, keep_stream, &stream), 0);
	assert_int_equal(db_int(path, "SELECT low FROM stream WHERE closed"), 42);
	assert_int_equal(db_int(path, "SELECT count(*) FROM stream"), 65);
	assert_int_equal(outbox_set_closed(outbox, row, 42, false), 0);
	assert_int_equal(outbox_streams(outbox, keep_stream, &stream), 0);
	assert_int_equal(db_int(path, "SELECT count(*) FROM stream"), 64);
	outbox_close(outbox);
}

static void test_an_outbox_of_the_first_version_is_brought_up_to_date(void **state)
{
	char path[PATH_SIZE];
	struct outbox *outbox = open_outbox(state, path);
	outbox_close(outbox);
	db_exec(path, "DROP TABLE boot; ALTER TABLE stream DROP COLUMN boot;"
		      "ALTER TABLE stream DROP COLUMN closed;"
		      "ALTER TABLE reading DROP COLUMN sum;"
		      "ALTER TABLE reading DROP COLUMN boottime;"
		      "ALTER TABLE instance DROP COLUMN floor;"
		      "INSERT INTO stream VALUES (7, zeroblob(16), 'old', 3);"
		      "INSERT INTO reading VALUES (7, 5, 1, '{}');"
		      "PRAGMA user_version=1");
	outbox = open_outbox(state, path);
	assert_streams(outbox, "0 old 3 5-5");
	append_undated(outbox, 7, 6, 1);
	outbox_close(outbox);
}

/* ---- how full it is ---- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_readings_without_a_time_know_their_boot_after_a_restart),
		IN_DIRECTORY(test_the_floor_and_a_last_word_are_remembered),
		IN_DIRECTORY(test_an_outbox_of_the_first_version_is_brought_up_to_date),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
