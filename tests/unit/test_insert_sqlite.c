#include "ingest_store.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define TABLES                                                                             \
	"SELECT (SELECT count(*) FROM reading), (SELECT count(*) FROM sensor),"            \
	" (SELECT count(*) FROM channel), (SELECT count(*) FROM stream),"                  \
	" (SELECT count(*) FROM stream_interval), (SELECT count(*) FROM lost),"            \
	" (SELECT count(*) FROM dead_letter), (SELECT reading FROM next_id)"

static sqlite3 *opened; /* what the store opened last */

static int note_opened(sqlite3 *db, char **error, const struct sqlite3_api_routines *api)
{
	(void)error, (void)api;
	/* Not the one in memory, to which the schema is compared. */
	if (*sqlite3_db_filename(db, "main") != '\0')
		opened = db;
	return SQLITE_OK;
}

/* As store_open(), with the store's own connection in `opened`. */
static void open_and_note(void **state, struct store *store, bool print)
{
	const struct sink_options options = {.print = print};
	sqlite3_auto_extension((void (*)(void))note_opened);
	store_open_with(state, store, &options);
	sqlite3_reset_auto_extension();
}

/* Good, bad, lost and too much for a file that may grow by a few pages only. */
static struct incoming *everything(void)
{
	struct incoming *list =
		batch_message(&(struct batch){.first = 5, .count = 2, .low = 3});
	list->next = batch_message(
		&(struct batch){.stream = 1, .first = 1, .count = 1, .payload = "broken"});
	list->next->next = batch_message(
		&(struct batch){.stream = 2, .node = "m", .first = 1, .count = 2000});
	return list;
}

static const char answered[] = "#0 stored 5+2; #1 rejected 1+1 (not valid JSON); "
			       "#2 stored 1+2000";

/* A commit fails with this error: nothing is done, answered, counted or printed. */
static void assert_undone(struct store *store, int err)
{
	struct capture capture;
	char printed[256];
	const struct counts before = *sqlite_store_counts(store->sqlite);
	capture_begin(&capture, STDOUT_FILENO);
	int result = store_commit(store, everything(), NOW_US);
	capture_end(&capture, printed, sizeof(printed));
	assert_int_equal(result, err);
	assert_string_equal(printed, "");
	assert_string_equal(store->answers, "");
	assert_memory_equal(sqlite_store_counts(store->sqlite), &before, sizeof(before));
	assert_db_text(store->path, TABLES, "1|1|2|1|1|0|0|2");
}

/* And once there is room, all of it is done once. */
static void assert_done_now(struct store *store)
{
	struct capture capture;
	static char printed[1 << 20];
	capture_begin(&capture, STDOUT_FILENO);
	int result = store_commit(store, everything(), NOW_US);
	capture_end(&capture, printed, sizeof(printed));
	assert_int_equal(result, 0);
	assert_string_equal(store->answers, answered);
	assert_db_text(store->path, TABLES, "2003|2|4|3|4|1|1|2004");
	assert_int_equal(sqlite_store_counts(store->sqlite)->readings, 2003);
	assert_int_equal(sqlite_store_counts(store->sqlite)->lost, 1);
	assert_int_equal(sqlite_store_counts(store->sqlite)->commits, 2);
	assert_int_equal(sqlite_store_counts(store->sqlite)->messages, 4);
}

static void set_max_pages(int64_t pages)
{
	char sql[64];
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%lld", (long long)pages);
	assert_int_equal(sqlite3_exec(opened, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void test_a_full_database_undoes_the_whole_commit(void **state)
{
	struct store store;
	open_and_note(state, &store, true);
	store_batch(&store, &(struct batch){.first = 1, .count = 1});
	set_max_pages(db_int(store.path, "PRAGMA page_count") + 2);
	assert_undone(&store, -ENOSPC);
	assert_undone(&store, -ENOSPC);
	set_max_pages(1000000);
	assert_done_now(&store);
	sqlite_store_close(store.sqlite);
}

static void test_a_disk_that_refuses_to_write_undoes_the_whole_commit(void **state)
{
	struct store store;
	struct rlimit limit, small;
	struct stat wal;
	char path[PATH_SIZE];
	open_and_note(state, &store, true);
	store_batch(&store, &(struct batch){.first = 1, .count = 1});
	assert_int_equal(stat(path_in(state, "broker.db-wal", path), &wal), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = (rlim_t)wal.st_size + 20000;
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_undone(&store, -EIO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, before);
	assert_done_now(&store);
	sqlite_store_close(store.sqlite);
}

static void test_a_locked_database_is_busy_and_nothing_is_done(void **state)
{
	struct store store;
	open_and_note(state, &store, false);
	store_batch(&store, &(struct batch){.first = 1, .count = 1});
	sqlite3_busy_timeout(opened, 0);
	sqlite3 *other = db_lock(store.path);
	assert_undone(&store, -EBUSY);
	sqlite3_close(other);
	assert_done_now(&store);
	sqlite_store_close(store.sqlite);
}

static void test_answers_already_gathered_survive_a_failed_commit(void **state)
{
	struct store store;
	struct results results = {.n = 0};
	struct incoming *first = batch_message(&(struct batch){.first = 1, .count = 1});
	struct incoming *second = batch_message(&(struct batch){.first = 2, .count = 1});
	open_and_note(state, &store, false);
	assert_int_equal(
		sqlite_store_commit(store.sqlite, first, &store.fence, &results, NOW_US),
		0);
	sqlite3_busy_timeout(opened, 0);
	sqlite3 *other = db_lock(store.path);
	assert_int_equal(
		sqlite_store_commit(store.sqlite, second, &store.fence, &results, NOW_US),
		-EBUSY);
	sqlite3_close(other);
	assert_int_equal(results.n, 1);
	assert_ptr_equal(results.at[0].about, first);
	free(results.at);
	incoming_free(first);
	incoming_free(second);
	sqlite_store_close(store.sqlite);
}

static void test_an_empty_list_is_committed(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_int_equal(store_commit(&store, NULL, NOW_US), 0);
	assert_int_equal(sqlite_store_counts(store.sqlite)->commits, 1);
	assert_db_text(store.path, TABLES, "0|0|0|0|0|0|0|1");
	sqlite_store_close(store.sqlite);
}

static void test_counts_say_what_was_done(void **state)
{
	struct store store;
	store_open(state, &store);
	assert_int_equal(store_commit(&store, everything(), NOW_US), 0);
	assert_int_equal(store_commit(&store, everything(), NOW_US), 0);
	const struct counts *counts = sqlite_store_counts(store.sqlite);
	assert_int_equal(counts->messages, 6);
	assert_int_equal(counts->readings, 2002);
	assert_int_equal(counts->duplicates, 2002);
	assert_int_equal(counts->dead_letters, 1);
	assert_int_equal(counts->lost, 2);
	assert_int_equal(counts->commits, 2);
	assert_int_equal(counts->later, 0);
	sqlite_store_close(store.sqlite);
}

static void test_a_store_that_cannot_be_opened_is_an_error(void **state)
{
	struct sqlite_store *insert = NULL;
	char url[PATH_SIZE + 32], log[1024];
	struct capture capture;
	snprintf(url, sizeof(url), "sqlite://%s/absent/broker.db", (const char *)*state);
	const struct sink_options options = {.url = url};
	capture_begin(&capture, STDERR_FILENO);
	int err = sqlite_store_open(&insert, &options, NOW_US);
	capture_end(&capture, log, sizeof(log));
	assert_int_equal(err, -ENOENT);
	assert_non_null(strstr(log, "absent/broker.db"));
	sqlite_store_close(NULL);
}

#define REPLICAS 3
#define RUN 600

/* A replica that stores batches of one stream, cut by its own seed, in its own order. */
struct replica {
	struct store store;
	uint64_t random;
	unsigned failures;
	pthread_t thread;
};

static void *run_replica(void *data)
{
	struct replica *replica = data;
	for (int i = 0; i < 120; i++) {
		struct batch batch = {.first = 1 + random_below(&replica->random, RUN),
			.count = 1,
			.silent = true};
		char payload[4096];
		struct results results = {.n = 0};
		batch.count += (uint32_t)random_below(&replica->random, 20);
		if (batch.first + batch.count > RUN + 1)
			batch.count = (uint32_t)(RUN + 1 - batch.first);
		/* batch_message() has a buffer of its own only when it must make a payload.
		 */
		batch.len = payload_of(&batch, payload, sizeof(payload));
		batch.payload = payload;
		struct incoming *in = batch_message(&batch);
		replica->failures += sqlite_store_commit(replica->store.sqlite, in,
					     &replica->store.fence, &results, NOW_US) != 0;
		incoming_free(in);
	}
	return NULL;
}

static void test_replicas_that_store_the_same_readings_at_once_store_each_once(void **state)
{
	static struct replica replicas[REPLICAS];
	for (int i = 0; i < REPLICAS; i++) {
		store_open(state, &replicas[i].store);
		replicas[i].random = 20261122 + (uint64_t)i;
		replicas[i].failures = 0;
	}
	for (int i = 0; i < REPLICAS; i++)
		assert_int_equal(pthread_create(&replicas[i].thread, NULL, run_replica,
					 &replicas[i]),
			0);
	for (int i = 0; i < REPLICAS; i++)
		pthread_join(replicas[i].thread, NULL);
	for (int i = 0; i < REPLICAS; i++)
		assert_int_equal(replicas[i].failures, 0);
	/* What is still missing comes in the end. */
	store_batch(&replicas[0].store, &(struct batch){.first = 1, .count = RUN});
	assert_db_text(replicas[0].store.path,
		"SELECT count(*), count(DISTINCT ts), count(DISTINCT id), max(id),"
		" sum(abs(ts / 1000000 - 1732300000 - temperature * 10) > 0.01) FROM "
		"reading",
		"600|600|600|600|0");
	assert_intervals(&replicas[0].store, 0, "1-600");
	for (int i = 0; i < REPLICAS; i++)
		sqlite_store_close(replicas[i].store.sqlite);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_full_database_undoes_the_whole_commit),
		IN_DIRECTORY(test_a_disk_that_refuses_to_write_undoes_the_whole_commit),
		IN_DIRECTORY(test_a_locked_database_is_busy_and_nothing_is_done),
		IN_DIRECTORY(test_answers_already_gathered_survive_a_failed_commit),
		IN_DIRECTORY(test_an_empty_list_is_committed),
		IN_DIRECTORY(test_counts_say_what_was_done),
		IN_DIRECTORY(test_a_store_that_cannot_be_opened_is_an_error),
		IN_DIRECTORY(
			test_replicas_that_store_the_same_readings_at_once_store_each_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
