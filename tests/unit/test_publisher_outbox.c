/*
 * The outbox's queue with the test as its owner, on real files and with a real loop and
 * work queue: services/publisher/outbox/queue.h.
 */
#include <glob.h>

#include "publisher/outbox/outbox_db.h"
#include "publisher/outbox/queue.h"
#include "publisher_parts.h"

struct owner {
	uv_loop_t loop;
	char path[PATH_SIZE];
	struct publisher_config config;
	struct streams streams;
	struct queue queue;
	const struct stream *page_stream;
	char page[64]; /* numbers of the last page */
	bool in_flight;
	unsigned failed;
};

static struct owner the_owner;

static void on_page(void *data, struct stream *stream, const struct outbox_page *page)
{
	struct owner *owner = data;
	owner->page_stream = stream;
	owner->page[0] = '\0';
	for (size_t i = 0; i < page->n; i++) {
		size_t len = strlen(owner->page);
		snprintf(owner->page + len, sizeof(owner->page) - len, "%d ",
			(int)page->readings[i].seq);
	}
}

static bool is_in_flight(void *data, const struct stream *stream, uint64_t seq)
{
	const struct owner *owner = data;
	assert_true(stream != NULL && seq > 0);
	return owner->in_flight;
}

static void on_failed(void *data)
{
	((struct owner *)data)->failed++;
}

static void start(struct owner *owner)
{
	const struct queue_options options = {.loop = &owner->loop,
		.clock = &test_clock,
		.config = &owner->config,
		.streams = &owner->streams,
		.data = owner,
		.page = on_page,
		.in_flight = is_in_flight,
		.failed = on_failed};
	queue_init(&owner->queue, &options);
}

static struct owner *make(void **state)
{
	struct owner *owner = &the_owner;
	memset(owner, 0, sizeof(*owner));
	require(uv_loop_init(&owner->loop) == 0);
	owner->config = test_config(path_in(state, "outbox.db", owner->path));
	start(owner);
	return owner;
}

/* Until what the work queue has is done, and what follows from it. */
static void finish_work(struct owner *owner)
{
	while (owner->queue.working != QUEUE_IDLE)
		uv_run(&owner->loop, UV_RUN_ONCE);
}

static void work_on(struct owner *owner, struct stream *stream, uint64_t seq)
{
	const struct page_want want = {stream, seq};
	uv_update_time(&owner->loop);
	queue_work(&owner->queue, &want);
	finish_work(owner);
}

static void work(struct owner *owner)
{
	work_on(owner, NULL, 0);
}

static struct owner *begin(void **state)
{
	struct owner *owner = make(state);
	queue_open(&owner->queue);
	finish_work(owner);
	assert_true(owner->queue.opened);
	return owner;
}

static void stop(struct owner *owner)
{
	queue_finish(&owner->queue);
	streams_clear(&owner->streams);
}

static void end(struct owner *owner)
{
	stop(owner);
	assert_int_equal(uv_loop_close(&owner->loop), 0);
}

/* Readings that have waited for long. */
static struct stream *fill(struct owner *owner, uint64_t first, uint64_t last)
{
	const struct dp_stream_id id = stream_id(1);
	struct stream *stream = streams_find(&owner->streams, &id);
	if (stream == NULL)
		stream = add_stream(&owner->streams, 1);
	stream->heard_low = 1;
	add_live(stream, first, last, (int64_t)uv_now(&owner->loop) - 10000);
	return stream;
}

/* ---- opening ---- */

static void test_a_new_file_is_made_and_has_a_name(void **state)
{
	struct owner *owner = make(state);
	assert_string_equal(queue_health(&owner->queue),
		"waiting for the outbox; another publisher may hold it");
	assert_true(queue_saved(&owner->queue));
	queue_open(&owner->queue);
	assert_int_equal(queue_deadline(&owner->queue), INT64_MAX);
	finish_work(owner);
	assert_true(owner->queue.opened);
	assert_null(queue_health(&owner->queue));
	assert_int_equal(strlen(owner->queue.instance), OUTBOX_INSTANCE);
	assert_int_equal(owner->streams.n, 0);
	assert_true(owner->streams.dating.floor_us > 0);
	end(owner);
}

static void test_what_is_in_the_file_is_found_again(void **state)
{
	char name[OUTBOX_INSTANCE + 1];
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 3);
	const struct dp_stream_id id = stream->id;
	work(owner);
	memcpy(name, owner->queue.instance, sizeof(name));
	stop(owner);
	start(owner);
	queue_open(&owner->queue);
	finish_work(owner);
	assert_string_equal(owner->queue.instance, name);
	stream = streams_find(&owner->streams, &id);
	assert_non_null(stream);
	assert_set(&stream->stored, "1-3");
	assert_int_equal(stream->heard_low, 1);
	assert_int_equal(owner->queue.spill.spilled, 0);
	end(owner);
}

static void test_another_publisher_is_waited_for(void **state)
{
	struct owner *owner = make(state);
	int lock = outbox_lock(owner->path);
	assert_true(lock >= 0);
	queue_open(&owner->queue);
	assert_int_equal(owner->queue.working, QUEUE_IDLE);
	assert_true(queue_deadline(&owner->queue) > (int64_t)uv_now(&owner->loop));
	assert_int_equal(owner->failed, 0);
	close(lock);
	owner->queue.opening.retry_ms = 0;
	queue_open(&owner->queue);
	finish_work(owner);
	assert_true(owner->queue.opened);
	end(owner);
}

static void test_a_folder_that_is_not_there_is_a_failure(void **state)
{
	struct owner *owner = make(state);
	owner->config.outbox = "/dev/null/outbox.db";
	start(owner);
	queue_open(&owner->queue);
	assert_int_equal(owner->failed, 1);
	assert_false(owner->queue.opened);
	end(owner);
}

static void test_a_damaged_file_is_set_aside_at_the_start(void **state)
{
	static const char noise[8192] = "this is no database";
	char pattern[PATH_SIZE + 16];
	glob_t found = {.gl_pathc = 0};
	struct owner *owner = make(state);
	write_file(owner->path, noise, sizeof(noise));
	queue_open(&owner->queue);
	finish_work(owner);
	assert_true(owner->queue.opened);
	snprintf(pattern, sizeof(pattern), "%s.corrupt-*", owner->path);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	globfree(&found);
	end(owner);
}

/* ---- spilling ---- */

static void test_what_has_waited_is_written_and_accepted(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 3);
	add_live(stream, 4, 4, (int64_t)uv_now(&owner->loop) + 60000);
	assert_true(queue_deadline(&owner->queue) <= (int64_t)uv_now(&owner->loop));
	work(owner);
	assert_set(&stream->stored, "1-3");
	assert_set(&stream->accepted, "1-3");
	assert_int_equal(stream->n_live, 1);
	assert_int_equal(owner->queue.spill.spilled, 3);
	assert_int_equal(db_int(owner->path, "SELECT count(*) FROM reading"), 3);
	assert_true(queue_deadline(&owner->queue) > (int64_t)uv_now(&owner->loop));
	end(owner);
}

static void test_what_is_answered_while_it_is_written_is_removed_again(void **state)
{
	const struct page_want none = {.stream = NULL};
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 3);
	queue_work(&owner->queue, &none);
	assert_true(queue_busy(&owner->queue));
	assert_set(&stream->spilling, "1-3");
	assert_int_equal(stream_answer(stream, 1, 2), 0);
	finish_work(owner);
	assert_set(&stream->stored, "3-3");
	assert_set(&stream->answered, "1-2");
	owner->queue.notes.removed_ms = -1000;
	work(owner);
	assert_set(&stream->answered, "");
	assert_int_equal(db_int(owner->path, "SELECT count(*) FROM reading"), 1);
	end(owner);
}

static void test_what_cannot_be_written_is_in_memory_again(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 3);
	sqlite3 *other = db_lock(owner->path);
	owner->in_flight = true;
	work(owner);
	assert_int_equal(stream->n_live, 3);
	assert_true(stream->live[2].in_flight);
	assert_set(&stream->spilling, "");
	assert_string_equal(queue_health(&owner->queue),
		"another process holds the outbox's lock; readings stay in memory");
	assert_true(queue_deadline(&owner->queue) > (int64_t)uv_now(&owner->loop));
	sqlite3_close(other);
	/* At a stop it is tried once more, whenever it failed before. */
	queue_stop(&owner->queue);
	assert_false(queue_saved(&owner->queue));
	work(owner);
	assert_true(queue_saved(&owner->queue));
	assert_set(&stream->stored, "1-3");
	assert_null(queue_health(&owner->queue));
	end(owner);
}

static void test_a_stop_writes_what_has_just_come(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 1);
	add_live(stream, 2, 5, (int64_t)uv_now(&owner->loop));
	queue_stop(&owner->queue);
	work(owner);
	assert_set(&stream->stored, "1-5");
	assert_true(queue_saved(&owner->queue));
	assert_int_equal(queue_deadline(&owner->queue) < INT64_MAX, false);
	end(owner);
}

static void test_a_full_file_leaves_them_in_memory_or_drops_the_oldest(void **state)
{
	struct owner *owner = begin(state);
	owner->config.outbox_max_bytes = 45000;
	struct stream *stream = fill(owner, 1, 600);
	work(owner);
	assert_true(stream->n_live > 0 && stream->stored.n == 1);
	assert_true(queue_health(&owner->queue) != NULL &&
		    strstr(queue_health(&owner->queue), "is full") != NULL);
	owner->config.outbox_full = SETTINGS_DROP_OLDEST;
	owner->queue.spill.full = false;
	/* More at once than the file may hold. */
	fill(owner, 601, 1800);
	while (queue_deadline(&owner->queue) <= (int64_t)uv_now(&owner->loop))
		work(owner);
	assert_null(queue_health(&owner->queue));
	assert_int_equal(stream->n_live, 0);
	assert_true(owner->queue.spill.dropped > 0);
	assert_true(stream->stored.at[0].first > 1);
	assert_int_equal(stream->stored.at[0].last, 1800);
	assert_int_equal(stream_low(stream), 1);
	end(owner);
}

/* ---- pages, notes and damage ---- */

static void test_a_page_is_loaded_from_the_number_that_is_wanted(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 5);
	work(owner);
	work_on(owner, stream, 3);
	assert_ptr_equal(owner->page_stream, stream);
	assert_string_equal(owner->page, "3 4 5 ");
	end(owner);
}

static void test_what_is_missing_in_the_file_is_given_up(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 5);
	work(owner);
	db_exec(owner->path, "DELETE FROM reading WHERE seq <= 2");
	work_on(owner, stream, 1);
	assert_string_equal(owner->page, "3 4 5 ");
	assert_int_equal(owner->queue.damaged, 2);
	assert_set(&stream->stored, "3-5");
	end(owner);
}

static void test_a_last_word_is_written_and_forgotten_when_it_was_heard(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 1);
	work(owner);
	stream->heard_ms = (int64_t)uv_now(&owner->loop) - 10000;
	stream->low_due = true;
	work(owner);
	assert_true(stream->outbox.low_written);
	assert_int_equal(db_int(owner->path, "SELECT closed FROM stream"), 1);
	stream->low_due = false;
	work(owner);
	assert_int_equal(db_int(owner->path, "SELECT closed FROM stream"), 0);
	end(owner);
}

static void test_a_last_word_that_cannot_be_written_is_due_again(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 1);
	work(owner);
	stream->heard_ms = (int64_t)uv_now(&owner->loop) - 10000;
	stream->low_due = true;
	sqlite3 *other = db_lock(owner->path);
	work(owner);
	assert_false(stream->outbox.low_written);
	assert_string_equal(queue_health(&owner->queue),
		"the outbox cannot be written; its volume may be full");
	sqlite3_close(other);
	owner->queue.notes.retry_ms = 0;
	work(owner);
	assert_true(stream->outbox.low_written);
	assert_null(queue_health(&owner->queue));
	end(owner);
}

static void test_a_file_that_is_damaged_in_use_is_replaced(void **state)
{
	static const uint8_t noise[65536] = {1, 2, 3};
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 5);
	work(owner);
	db_exec(owner->path, "PRAGMA wal_checkpoint(TRUNCATE)");
	write_file(owner->path, noise, sizeof(noise));
	sqlite3_db_release_memory(owner->queue.outbox->db);
	fill(owner, 6, 6);
	work(owner);
	assert_set(&stream->stored, "");
	assert_true(stream->low_due);
	assert_int_equal(stream->outbox.row, 0);
	assert_int_equal(stream->n_live, 1);
	assert_non_null(owner->queue.outbox);
	/* Into the new one. */
	owner->queue.spill.retry_ms = 0;
	work(owner);
	assert_set(&stream->stored, "6-6");
	assert_null(queue_health(&owner->queue));
	end(owner);
}

/* The page that the first reading is on. */
static void damage_first_page_of_readings(struct owner *owner)
{
	static const uint8_t noise[64] = {0xff, 0xff, 0xff};
	db_exec(owner->path, "PRAGMA wal_checkpoint(TRUNCATE)");
	int64_t page =
		db_int(owner->path, "SELECT min(pageno) FROM dbstat WHERE name = 'reading'"
				    " AND pagetype = 'leaf'");
	int fd = open(owner->path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(
		pwrite(fd, noise, sizeof(noise), (page - 1) * 4096), sizeof(noise));
	close(fd);
	sqlite3_db_release_memory(owner->queue.outbox->db);
}

/* A step after the append meets the damage: nobody has been told that they are there. */
static void test_what_went_into_a_file_that_proves_damaged_is_in_memory_again(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 400);
	work(owner);
	damage_first_page_of_readings(owner);
	dp_intervals_clear(&stream->accepted);
	fill(owner, 401, 402);
	work(owner);
	assert_set(&stream->stored, "");
	assert_set(&stream->accepted, "");
	assert_int_equal(stream->n_live, 2);
	owner->queue.spill.retry_ms = 0;
	work(owner);
	assert_set(&stream->stored, "401-402");
	assert_set(&stream->accepted, "401-402");
	end(owner);
}

/* A stop tries once more what had failed, and begins no tidying. */
static void test_a_stop_while_a_job_fails_tries_again(void **state)
{
	const struct page_want none = {.stream = NULL};
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 3);
	sqlite3 *other = db_lock(owner->path);
	uv_update_time(&owner->loop);
	queue_work(&owner->queue, &none);
	assert_int_equal(owner->queue.working, QUEUE_RUNS_JOB);
	queue_stop(&owner->queue);
	finish_work(owner);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	assert_false(queue_saved(&owner->queue));
	owner->queue.usage.free_pages = 100000;
	work(owner);
	assert_set(&stream->stored, "1-3");
	assert_true(queue_saved(&owner->queue));
	queue_work(&owner->queue, &none);
	assert_int_equal(owner->queue.working, QUEUE_IDLE);
	end(owner);
}

/* It is not written, and what fits as a number fits no sum. */
static void test_what_is_given_up_at_the_start_is_counted_and_told(void **state)
{
	struct owner *owner = begin(state);
	struct stream *stream = fill(owner, 1, 3);
	const struct dp_stream_id id = stream->id;
	work(owner);
	stop(owner);
	db_exec(owner->path, "UPDATE reading SET seq = 6 WHERE seq = 2");
	start(owner);
	queue_open(&owner->queue);
	finish_work(owner);
	stream = streams_find(&owner->streams, &id);
	assert_set(&stream->stored, "1-1 3-3");
	assert_true(stream->low_due);
	assert_int_equal(owner->queue.damaged, 1);
	end(owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_new_file_is_made_and_has_a_name),
		IN_DIRECTORY(test_what_is_in_the_file_is_found_again),
		IN_DIRECTORY(test_another_publisher_is_waited_for),
		IN_DIRECTORY(test_a_folder_that_is_not_there_is_a_failure),
		IN_DIRECTORY(test_a_damaged_file_is_set_aside_at_the_start),
		IN_DIRECTORY(test_what_has_waited_is_written_and_accepted),
		IN_DIRECTORY(test_what_is_answered_while_it_is_written_is_removed_again),
		IN_DIRECTORY(test_what_cannot_be_written_is_in_memory_again),
		IN_DIRECTORY(test_a_stop_writes_what_has_just_come),
		IN_DIRECTORY(test_a_full_file_leaves_them_in_memory_or_drops_the_oldest),
		IN_DIRECTORY(test_a_page_is_loaded_from_the_number_that_is_wanted),
		IN_DIRECTORY(test_what_is_missing_in_the_file_is_given_up),
		IN_DIRECTORY(test_a_last_word_is_written_and_forgotten_when_it_was_heard),
		IN_DIRECTORY(test_a_last_word_that_cannot_be_written_is_due_again),
		IN_DIRECTORY(test_a_file_that_is_damaged_in_use_is_replaced),
		IN_DIRECTORY(
			test_what_went_into_a_file_that_proves_damaged_is_in_memory_again),
		IN_DIRECTORY(test_a_stop_while_a_job_fails_tries_again),
		IN_DIRECTORY(test_what_is_given_up_at_the_start_is_counted_and_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
