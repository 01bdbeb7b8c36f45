/* What SQLite refuses for what it is: whose fault it is, and what becomes of the message.
 */
#include "ingest/batches.h"
#include "ingest_store.h"

#define WORDS "not that one"

static void run_sql(const struct store *store, const char *sql)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(store->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void forbid(const struct store *store, const char *table, const char *when)
{
	char sql[256];
	snprintf(sql, sizeof(sql),
		"CREATE TRIGGER no_%s BEFORE INSERT ON %s WHEN %s"
		" BEGIN SELECT RAISE(ABORT, '" WORDS "'); END",
		table, table, when);
	run_sql(store, sql);
}

/* Commit batches, the last of which was refused so often. @return as sqlite_store_commit()
 */
static int commit_refused(
	struct store *store, const struct batch *batches, size_t n, int refusals)
{
	struct incoming *list = NULL, **end = &list, *last = NULL;
	for (size_t i = 0; i < n; i++) {
		*end = last = batch_message(&batches[i]);
		end = &last->next;
	}
	for (int i = 0; i < refusals; i++)
		assert_true(incoming_refuse(last, WORDS));
	return store_commit(store, list, NOW_US);
}

static void test_a_refused_batch_is_singled_out_and_buried(void **state)
{
	struct store store;
	const struct batch batches[] = {{.stream = 2, .first = 1, .count = 2},
		{.stream = 4, .first = 1, .count = 3}};
	store_open(state, &store);
	store_batch(&store, &(struct batch){.stream = 4, .first = 1, .count = 1});
	/* Of stream 2 nothing has this time. */
	forbid(&store, "reading", "new.ts = 1732300003000000");
	assert_int_equal(commit_refused(&store, batches, 2, 0), -EDOM);
	assert_string_equal(sqlite_store_why(store.sqlite), WORDS);
	assert_string_equal(store.answers, "");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 1);
	/* What was stored of it stays so; of the rest each reading is a letter. */
	assert_int_equal(commit_refused(&store, batches, 2, 1), 0);
	assert_string_equal(store.answers,
		"#0 stored 1+2; #1 stored 1+1; #1 rejected 2+2 (" REFUSED ")");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 3);
	assert_db_text(store.path, "SELECT seq, reason FROM dead_letter ORDER BY id",
		"2|" REFUSED ": " WORDS " 3|" REFUSED ": " WORDS);
	assert_intervals(&store, 2, "1-2");
	assert_intervals(&store, 4, "1-3");
	/* Sent again as nobody has heard the answer, it is not refused again. */
	assert_int_equal(commit_refused(&store, &batches[1], 1, 0), 0);
	assert_string_equal(store.answers, "#0 stored 1+3");
	assert_int_equal(sqlite_store_counts(store.sqlite)->dead_letters, 2);
	sqlite_store_close(store.sqlite);
}

static void test_so_is_a_refused_batch_of_another_form(void **state)
{
	struct store store;
	const struct batch batch = {.stream = 1, .first = 1, .count = 3};
	store_open(state, &store);
	forbid(&store, "reading", "new.ts = 1732300003000000");
	assert_int_equal(commit_refused(&store, &batch, 1, 0), -EDOM);
	assert_int_equal(commit_refused(&store, &batch, 1, 1), 0);
	assert_string_equal(store.answers, "#0 rejected 1+3 (" REFUSED ")");
	assert_db_text(store.path,
		"SELECT seq, json_array_length(payload) FROM dead_letter", "1|2 2|2 3|2");
	assert_intervals(&store, 1, "1-3");
	sqlite_store_close(store.sqlite);
}

static void assert_buried_alone(void **state, uint8_t stream)
{
	struct store store;
	const struct batch batch = {.stream = stream, .first = 9, .count = 2, .low = 9};
	const struct batch heard = {.stream = stream, .first = 11, .low = 9, .payload = ""};
	store_open(state, &store);
	forbid(&store, "lost", "new.count = 8");
	assert_int_equal(commit_refused(&store, &batch, 1, 0), -EDOM);
	assert_int_equal(commit_refused(&store, &batch, 1, 1), -EDOM);
	assert_int_equal(commit_refused(&store, &batch, 1, 2), 0);
	assert_string_equal(store.answers, "#0 rejected 9+2 (" REFUSED ")");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"), 2);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM stream"), 0);
	assert_int_equal(commit_refused(&store, &heard, 1, 2), 0);
	assert_string_equal(store.answers, "#0 heard");
	sqlite_store_close(store.sqlite);
}

static void test_when_its_stream_is_refused_only_letters_are_written(void **state)
{
	assert_buried_alone(state, 2);
}

static void test_the_same_of_another_form(void **state)
{
	assert_buried_alone(state, 1);
}

static void test_a_store_that_refuses_everything_is_at_fault_itself(void **state)
{
	static const char *const tables[] = {
		"sensor", "channel", "stream", "stream_interval", "lost", "reading"};
	const struct batch batch = {.stream = 2, .first = 9, .count = 2, .low = 9};
	struct store store;
	store_open(state, &store);
	for (size_t i = 0; i < LENGTH(tables); i++) {
		char sql[64];
		forbid(&store, tables[i], "true");
		assert_int_equal(commit_refused(&store, &batch, 1, 0), -EIO);
		assert_string_equal(sqlite_store_why(store.sqlite), WORDS);
		snprintf(sql, sizeof(sql), "DROP TRIGGER no_%s", tables[i]);
		run_sql(&store, sql);
	}
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM sensor"), 0);
	assert_string_equal(store_batch(&store, &batch), "#0 stored 9+2");
	sqlite_store_close(store.sqlite);
}

/* What ingest does with messages, to the end. @return how many transactions it committed */
static unsigned store_to_the_end(
	struct store *store, const struct batch *messages, size_t n)
{
	struct batches batches;
	struct queue *job;
	unsigned committed = 0, refused = 0;
	batches_init(&batches, 1 << 20, 0);
	for (size_t i = 0; i < n; i++)
		batches_add(&batches, batch_message(&messages[i]), 0);
	batches_fill(&batches, 0, false, true);
	while ((job = batches_begin(&batches, 0)) != NULL) {
		struct results results = {.n = 0};
		queue_group(job);
		int err = sqlite_store_commit(
			store->sqlite, job->first, &store->fence, &results, NOW_US);
		assert_true(err == 0 || err == -EDOM);
		free(results.at);
		batches_end(&batches, 0, err, sqlite_store_why(store->sqlite));
		assert_null(batches_hopeless(&batches));
		batches_fill(&batches, 0, false, true);
		committed += err == 0;
		refused += err != 0;
		assert_true(refused < 2000);
	}
	assert_int_equal(batches_bytes(&batches), 0);
	batches_finish(&batches);
	return committed;
}

static void test_the_other_readings_of_a_message_are_stored(void **state)
{
	/* The last digits of times, of which readings 11 to 30 have 11 to 30. Every second
	 * one is of a stream whose messages are of another form. */
	static const struct {
		const char *refused, *letters;
	} cases[] = {{"11", "11"}, {"11", "11"}, {"30", "30"}, {"30", "30"}, {"17", "17"},
		{"20, 21", "20 21"}, {"11, 13, 30", "11 13 30"},
		{"11, 13, 30", "11 13 30"}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct store store;
		char when[64];
		const struct batch batch = {
			.stream = (uint8_t)(i + 1), .first = 11, .count = 20, .low = 11};
		store_open(state, &store);
		snprintf(when, sizeof(when), "new.ts / 1000000 %% 100 IN (%s)",
			cases[i].refused);
		forbid(&store, "reading", when);
		store_to_the_end(&store, &batch, 1);
		assert_db_text(store.path, "SELECT seq FROM dead_letter ORDER BY seq",
			cases[i].letters);
		assert_int_equal(db_int(store.path, "SELECT (SELECT count(*) FROM reading)"
						    " + (SELECT count(*) FROM"
						    " dead_letter)"),
			20);
		assert_intervals(&store, batch.stream, "1-30");
		assert_int_equal(sqlite_store_counts(store.sqlite)->messages, 1);
		sqlite_store_close(store.sqlite);
		assert_int_equal(unlink(store.path), 0);
	}
}

/* Each has its letter all the same, and all of them are written at once. */
static void test_where_all_are_refused_one_transaction_buries_them(void **state)
{
	struct store store;
	const struct batch batch = {.stream = 2, .first = 1, .count = 100};
	store_open(state, &store);
	/* An ordinary one is taken. */
	forbid(&store, "reading", "new.ts < 1800000000000000");
	assert_int_equal(store_to_the_end(&store, &batch, 1), 1);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"), 100);
	assert_int_equal(
		db_int(store.path, "SELECT count(DISTINCT seq) FROM dead_letter"), 100);
	assert_intervals(&store, 2, "1-100");
	sqlite_store_close(store.sqlite);
}

static void test_each_reading_is_buried_with_its_own_words(void **state)
{
	struct store store;
	const struct batch batch = {.stream = 2, .first = 1, .count = 6};
	store_open(state, &store);
	run_sql(&store, "CREATE TRIGGER no_reading BEFORE INSERT ON reading"
			" WHEN new.ts < 1732300006000000 BEGIN SELECT CASE"
			" WHEN new.ts IN (1732300003000000, 1732300004000000)"
			" THEN RAISE(ABORT, 'b') ELSE RAISE(ABORT, 'a') END; END");
	store_to_the_end(&store, &batch, 1);
	assert_db_text(store.path, "SELECT seq, reason FROM dead_letter ORDER BY seq",
		"1|" REFUSED ": a 2|" REFUSED ": a 3|" REFUSED ": b 4|" REFUSED
		": b 5|" REFUSED ": a");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 1);
	assert_intervals(&store, 2, "1-6");
	sqlite_store_close(store.sqlite);
}

static void test_a_message_does_not_suffer_for_another(void **state)
{
	struct store store;
	const struct batch messages[] = {
		{.node = "a", .stream = 2, .first = 1, .count = 50},
		{.node = "b", .stream = 4, .first = 101, .count = 500}};
	store_open(state, &store);
	/* All of the first, and the last of the second. */
	forbid(&store, "reading",
		"new.ts <= 1732300050000000 OR new.ts = 1732300600000000");
	store_to_the_end(&store, messages, LENGTH(messages));
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 499);
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM dead_letter"), 51);
	assert_int_equal(db_int(store.path, "SELECT max(seq) FROM dead_letter"), 600);
	sqlite_store_close(store.sqlite);
}

static void test_what_follows_many_refused_readings_is_stored(void **state)
{
	struct store store;
	const struct batch batch = {.stream = 2, .first = 1, .count = 1024};
	store_open(state, &store);
	forbid(&store, "reading",
		"(new.ts / 1000000 - 1732300000) BETWEEN 505 AND 512"
		" OR new.ts = 1732301024000000");
	store_to_the_end(&store, &batch, 1);
	assert_db_text(store.path, "SELECT seq FROM dead_letter ORDER BY seq",
		"505 506 507 508 509 510 511 512 1024");
	assert_int_equal(db_int(store.path, "SELECT count(*) FROM reading"), 1015);
	assert_intervals(&store, 2, "1-1024");
	sqlite_store_close(store.sqlite);
}

/* A message that becomes one dead letter is not divided: each part would be one as well. */
static void test_a_message_without_readings_is_buried_once(void **state)
{
	static const char two[] = "[{\"bn\":\"a/\",\"bt\":1732300000,\"n\":\"x\",\"v\":1},"
				  "{\"bn\":\"a/\",\"bt\":1732300001,\"n\":\"x\",\"v\":1}]";
	static const struct {
		const char *payload;
		uint32_t count;
		size_t most;
	} cases[] = {{two, 4, 0}, {"[1", 4, 0}, {two, 2, sizeof(two) - 2}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct store store;
		const struct sink_options options = {.max_message_bytes = cases[i].most};
		const struct batch batch = {.stream = 2,
			.first = 1,
			.count = cases[i].count,
			.payload = cases[i].payload};
		char when[64];
		store_open_with(state, &store, &options);
		/* A part of it would be taken. */
		snprintf(when, sizeof(when), "new.last - new.first = %u",
			cases[i].count - 1);
		forbid(&store, "stream_interval", when);
		store_to_the_end(&store, &batch, 1);
		assert_db_text(store.path, "SELECT seq, bytes FROM dead_letter",
			i == 1 ? "1|2" : "1|85");
		sqlite_store_close(store.sqlite);
		assert_int_equal(unlink(store.path), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_refused_batch_is_singled_out_and_buried),
		IN_DIRECTORY(test_so_is_a_refused_batch_of_another_form),
		IN_DIRECTORY(test_the_other_readings_of_a_message_are_stored),
		IN_DIRECTORY(test_where_all_are_refused_one_transaction_buries_them),
		IN_DIRECTORY(test_each_reading_is_buried_with_its_own_words),
		IN_DIRECTORY(test_a_message_without_readings_is_buried_once),
		IN_DIRECTORY(test_a_message_does_not_suffer_for_another),
		IN_DIRECTORY(test_what_follows_many_refused_readings_is_stored),
		IN_DIRECTORY(test_when_its_stream_is_refused_only_letters_are_written),
		IN_DIRECTORY(test_the_same_of_another_form),
		IN_DIRECTORY(test_a_store_that_refuses_everything_is_at_fault_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
