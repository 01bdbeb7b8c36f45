/* Leases in the database: who gets one, and what is written. */
#include <time.h>

#include "byte_lock.h"
#include "lease_turn.h"
#include "sqlite.h"
#include "store_lease.h"
#include "support.h"

#define TTL_US INT64_C(15000000)
#define NOW_US INT64_C(1800000000000000)

/* A replica: a file of its own, so its locks are its own. */
struct replica {
	struct dp_store store;
	struct dp_lease lease;
	char url[PATH_SIZE + 16];
};

static void open_replica(void **state, struct replica *replica, const char *holder)
{
	char path[PATH_SIZE];
	snprintf(replica->url, sizeof(replica->url), "sqlite://%s",
		path_in(state, "broker.db", path));
	assert_int_equal(dp_store_open(&replica->store, replica->url), 0);
	replica->lease =
		(struct dp_lease){.name = "plain", .holder = holder, .ttl_us = TTL_US};
}

static bool renew_at(struct replica *replica, int64_t now_us)
{
	int err = dp_lease_renew(&replica->store, &replica->lease, now_us);
	if (err == -ESTALE) {
		assert_int_equal(dp_store_reopen(&replica->store), 0);
		err = dp_lease_renew(&replica->store, &replica->lease, now_us);
	}
	assert_int_equal(err, 0);
	return replica->lease.held;
}

static bool renew(struct replica *replica)
{
	return renew_at(replica, NOW_US);
}

/* As SIGKILL does: the kernel closes its files. */
static void kill_replica(struct replica *replica)
{
	dp_store_close(&replica->store);
}

/* As if it had been seen so a ttl ago. */
static void let_pass(struct replica *replica)
{
	assert_true(replica->lease.seen_ns > 0);
	replica->lease.seen_ns -= TTL_US * 1000 + 1;
}

#define ROW "SELECT holder, number FROM lease WHERE name = 'plain'"
#define ROW_IS(replica, text) assert_db_text((replica).store.path, ROW, text)

static void test_a_free_lease_is_taken_and_renewed(void **state)
{
	struct replica a;
	open_replica(state, &a, "a");
	assert_true(renew(&a));
	assert_int_equal(a.lease.number, 1);
	assert_true(renew_at(&a, NOW_US + TTL_US / 2));
	/* Its holder may come late, as long as nobody else has come. */
	assert_true(renew_at(&a, NOW_US + 10 * TTL_US));
	assert_int_equal(a.lease.number, 1);
	assert_true(db_int(a.store.path, "SELECT expires FROM lease") == DP_LEASE_LOCKED);
	kill_replica(&a);
}

/* Every file of the database with its size and time, and what SQLite counts as changes. */
static void picture(void **state, const struct dp_store *store, char *text, size_t size)
{
	static const char *const names[] = {
		"broker.db", "broker.db-wal", "broker.db-shm", "broker.db-lock"};
	char path[PATH_SIZE];
	int64_t version = 0;
	size_t at = 0;
	for (size_t i = 0; i < LENGTH(names); i++) {
		struct stat status;
		assert_int_equal(stat(path_in(state, names[i], path), &status), 0);
		at += (size_t)snprintf(text + at, size - at, "%s %lld %lld.%ld ", names[i],
			(long long)status.st_size, (long long)status.st_mtim.tv_sec,
			(long)status.st_mtim.tv_nsec);
	}
	assert_int_equal(dp_sqlite_int(store->db, "PRAGMA data_version", &version), 0);
	snprintf(text + at, size - at, "%lld %d", (long long)version,
		sqlite3_total_changes(store->db));
}

static void test_renewing_and_waiting_write_nothing(void **state)
{
	char before[1024], after[1024];
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	assert_true(renew(&a));
	assert_false(renew(&b));
	picture(state, &b.store, before, sizeof(before));
	for (int i = 1; i <= 5000; i++) {
		assert_true(renew_at(&a, NOW_US + i));
		assert_false(renew_at(&b, NOW_US + i));
	}
	picture(state, &b.store, after, sizeof(after));
	assert_string_equal(after, before);
	kill_replica(&a);
	kill_replica(&b);
}

static void test_a_held_lease_is_not_given_to_another(void **state)
{
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	assert_true(renew(&a));
	assert_false(renew(&b));
	/* Whatever the wall clocks say. */
	assert_false(renew_at(&b, NOW_US + 1000 * TTL_US));
	assert_false(renew_at(&b, 0));
	ROW_IS(a, "a|1");
	kill_replica(&a);
	kill_replica(&b);
}

static void test_a_holder_that_died_is_followed_at_once(void **state)
{
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	assert_true(renew(&a));
	assert_false(renew(&b));
	kill_replica(&a);
	assert_true(renew(&b));
	ROW_IS(b, "b|2");
	kill_replica(&b);
}

static void test_a_holder_that_comes_back_under_its_name_gets_a_new_number(void **state)
{
	struct replica a, again;
	open_replica(state, &a, "a");
	open_replica(state, &again, "a");
	assert_true(renew(&a));
	/* It is another one as long as the first one lives. */
	assert_false(renew(&again));
	kill_replica(&a);
	assert_true(renew(&again));
	ROW_IS(again, "a|2");
	kill_replica(&again);
}

static void test_a_frozen_holder_is_followed_after_a_ttl_and_finds_out(void **state)
{
	struct replica a, b, c;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	open_replica(state, &c, "c");
	assert_true(renew(&a));
	assert_false(renew(&b));
	assert_false(renew(&b));
	let_pass(&b);
	assert_true(renew(&b));
	ROW_IS(b, "b|2");
	/* Its lock, which it has still, says nothing of the present holder. */
	assert_false(renew(&c));
	assert_true(renew(&b));
	let_pass(&c);
	assert_false(renew(&c));
	/* It wakes up, and has nothing. */
	assert_true(a.lease.held);
	assert_false(renew(&a));
	assert_int_equal(dp_byte_look(b.store.lock, 1, a.lease.number), DP_BYTE_FREE);
	ROW_IS(b, "b|2");
	kill_replica(&a);
	kill_replica(&b);
	kill_replica(&c);
}

static void test_a_lock_that_moves_is_alive_however_often_one_looks(void **state)
{
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	assert_true(renew(&a));
	assert_false(renew(&b));
	for (int i = 1; i < 200; i++) {
		let_pass(&b);
		for (int j = 0; j < i; j++)
			assert_true(renew(&a));
		assert_false(renew(&b));
	}
	ROW_IS(a, "a|1");
	kill_replica(&a);
	kill_replica(&b);
}

static void test_a_released_lease_can_be_taken_at_once(void **state)
{
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	assert_true(renew(&a));
	assert_false(renew(&b));
	assert_int_equal(dp_lease_release(&a.store, &a.lease), 0);
	assert_false(a.lease.held);
	assert_true(renew(&b));
	ROW_IS(b, "b|2");
	assert_false(renew(&a));
	kill_replica(&a);
	kill_replica(&b);
}

static void test_only_its_holder_can_release_a_lease(void **state)
{
	struct replica a, b, c;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	open_replica(state, &c, "c");
	assert_true(renew(&a));
	assert_false(renew(&b));
	let_pass(&b);
	assert_true(renew(&b));
	assert_int_equal(dp_lease_release(&a.store, &a.lease), 0);
	assert_false(renew(&c));
	/* Nor can an earlier holding of the same one. */
	struct dp_lease earlier = b.lease;
	earlier.number--;
	assert_int_equal(dp_lease_release(&a.store, &earlier), 0);
	assert_false(renew(&c));
	assert_int_equal(dp_lease_release(&b.store, &b.lease), 0);
	assert_true(renew(&c));
	kill_replica(&a);
	kill_replica(&b);
	kill_replica(&c);
}

static void test_leases_of_different_names_are_independent(void **state)
{
	struct replica plain, prune, other;
	open_replica(state, &plain, "a");
	open_replica(state, &prune, "b");
	open_replica(state, &other, "c");
	prune.lease.name = "prune";
	assert_true(renew(&plain));
	assert_true(renew(&prune));
	assert_int_equal(prune.lease.number, 1);
	assert_int_equal(dp_lease_release(&prune.store, &prune.lease), 0);
	assert_false(renew(&other));
	other.lease.name = "nobody's";
	assert_int_equal(dp_lease_renew(&other.store, &other.lease, NOW_US), -EINVAL);
	kill_replica(&plain);
	kill_replica(&prune);
	kill_replica(&other);
}

static void test_a_lease_that_cannot_be_renewed_now_stays_as_it_was(void **state)
{
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	assert_true(renew(&a));
	sqlite3 *other = db_lock(a.store.path);
	sqlite3_busy_timeout(a.store.db, 0);
	sqlite3_busy_timeout(b.store.db, 0);
	assert_int_equal(dp_lease_renew(&a.store, &a.lease, NOW_US), -EBUSY);
	assert_true(a.lease.held);
	assert_int_equal(a.lease.number, 1);
	assert_int_equal(dp_lease_renew(&b.store, &b.lease, NOW_US), -EBUSY);
	assert_false(b.lease.held);
	sqlite3_close(other);
	assert_false(renew(&b));
	assert_true(renew(&a));
	/* Giving it up does not depend on the row: the lock is gone. */
	other = db_lock(a.store.path);
	assert_int_equal(dp_lease_release(&a.store, &a.lease), -EBUSY);
	sqlite3_close(other);
	assert_true(renew(&b));
	kill_replica(&a);
	kill_replica(&b);
}

static void test_a_lease_whose_row_cannot_be_written_is_not_taken(void **state)
{
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	db_exec(a.store.path, "CREATE TRIGGER full BEFORE INSERT ON lease"
			      " BEGIN SELECT raise(ABORT, 'no'); END");
	assert_int_equal(dp_lease_renew(&a.store, &a.lease, NOW_US), -EIO);
	assert_false(a.lease.held);
	assert_int_equal(dp_byte_look(b.store.lock, 1, 1), DP_BYTE_FREE);
	kill_replica(&a);
	kill_replica(&b);
}

static void test_a_lock_file_that_is_deleted_takes_no_lease_along(void **state)
{
	char lock[PATH_SIZE];
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	assert_true(renew(&a));
	assert_false(renew(&b));
	assert_int_equal(unlink(path_in(state, "broker.db-lock", lock)), 0);
	/* The holder, if it comes first, locks its byte in the next one. */
	assert_true(renew(&a));
	assert_false(renew(&b));
	ROW_IS(a, "a|1");
	assert_int_equal(unlink(lock), 0);
	/* Otherwise the lease changes hands, once. */
	assert_true(renew(&b));
	assert_false(renew(&a));
	assert_true(renew(&b));
	ROW_IS(a, "b|2");
	kill_replica(&a);
	kill_replica(&b);
}

/* The numbers of the next file begin anew, where the frozen one still has its lock. */
static void test_a_holder_frozen_since_an_earlier_file_is_not_the_present_one(void **state)
{
	struct replica a, b, c;
	open_replica(state, &a, "a");
	assert_true(renew(&a));
	open_replica(state, &b, "b");
	assert_int_equal(dp_store_replace(&b.store, NOW_US), 0);
	assert_true(renew(&b));
	ROW_IS(b, "b|2");
	open_replica(state, &c, "c");
	assert_false(renew(&c));
	let_pass(&c);
	assert_true(renew(&b));
	assert_false(renew(&c));
	assert_false(renew(&a));
	kill_replica(&a);
	kill_replica(&b);
	kill_replica(&c);
}

/* ---- where the kernel gives no such locks ---- */

/* A descriptor that cannot be locked for writing: EBADF. */
static int block_locks(struct replica *replica)
{
	char lock[PATH_SIZE + 8];
	int saved = dup(replica->store.lock);
	snprintf(lock, sizeof(lock), "%s-lock", replica->store.path);
	int fd = open(lock, O_RDONLY | O_CLOEXEC);
	require(saved >= 0 && fd >= 0);
	require(dup2(fd, replica->store.lock) >= 0);
	close(fd);
	return saved;
}

static void test_without_locks_the_row_is_renewed(void **state)
{
	char log[1024];
	struct capture capture;
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	int saved = block_locks(&a);
	capture_begin(&capture, STDERR_FILENO);
	assert_true(renew(&a));
	int64_t first = db_int(a.store.path, "SELECT expires FROM lease");
	assert_true(renew(&a));
	int64_t second = db_int(a.store.path, "SELECT expires FROM lease");
	assert_true(renew_at(&a, NOW_US + TTL_US));
	capture_end(&capture, log, sizeof(log));
	/* Said once. */
	char *said = strstr(log, "cannot lock a byte");
	assert_non_null(said);
	assert_null(strstr(said + 1, "cannot lock a byte"));
	/* Of one instant twice: it changes nevertheless. */
	assert_true(first == NOW_US + TTL_US && second == first + 1);
	assert_true(
		db_int(a.store.path, "SELECT expires FROM lease") == NOW_US + 2 * TTL_US);
	assert_false(renew_at(&b, NOW_US + 2 * TTL_US));
	/* It can lock again: the row is written once more, and no more. */
	require(dup2(saved, a.store.lock) >= 0);
	close(saved);
	assert_true(renew(&a));
	assert_true(db_int(a.store.path, "SELECT expires FROM lease") == DP_LEASE_LOCKED);
	assert_false(renew(&b));
	kill_replica(&a);
	assert_true(renew(&b));
	ROW_IS(b, "b|2");
	kill_replica(&b);
}

static void test_without_locks_a_holder_that_is_gone_is_followed_by_the_clock(void **state)
{
	struct replica a, b;
	open_replica(state, &a, "a");
	open_replica(state, &b, "b");
	close(block_locks(&a));
	assert_true(renew(&a));
	kill_replica(&a);
	assert_false(renew_at(&b, NOW_US + TTL_US));
	assert_true(renew_at(&b, NOW_US + TTL_US + 1));
	kill_replica(&b);
}

/* ---- an older version beside this one ---- */

/* As versions without byte locks renew: word for word. @return whether it has it then */
static bool old_renew(struct replica *old, int64_t now_us, bool still)
{
	static const char sql[] =
		"INSERT INTO lease (name, holder, number, expires) VALUES (?1, ?2, 1, ?3 + "
		"?4)"
		" ON CONFLICT (name) DO UPDATE SET"
		"  number = CASE typeof(number) WHEN 'integer' THEN number ELSE 0 END"
		"   + (holder IS NOT ?2), holder = ?2,"
		"  expires = CASE WHEN holder = ?2 AND typeof(expires) = 'integer'"
		"   AND expires BETWEEN ?3 + ?4 AND ?3 + 2 * ?4 THEN expires + 1 ELSE ?3 + "
		"?4 "
		"END"
		" WHERE holder = ?2 OR expires < ?3 OR expires > ?3 + 2 * ?4"
		"  OR typeof(expires) <> 'integer' OR ?5"
		" RETURNING number";
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = db_open(old->store.path);
	require(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
	sqlite3_bind_text(statement, 1, old->lease.name, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, old->lease.holder, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, now_us);
	sqlite3_bind_int64(statement, 4, old->lease.ttl_us);
	sqlite3_bind_int(statement, 5, still);
	int code = sqlite3_step(statement);
	bool held = code == SQLITE_ROW;
	if (held) {
		old->lease.number = sqlite3_column_int64(statement, 0);
		code = sqlite3_step(statement);
	}
	require(code == SQLITE_DONE);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return held;
}

static void test_beside_an_older_version_the_lease_stays_with_it(void **state)
{
	struct replica new, other, old;
	open_replica(state, &new, "new");
	open_replica(state, &other, "other");
	open_replica(state, &old, "old");
	assert_true(renew(&new));
	/* What the new one writes the older one takes for a clock that was far ahead. */
	assert_true(old_renew(&old, NOW_US, false));
	ROW_IS(new, "old|2");
	assert_false(renew(&new));
	/* From here on it changes hands no more. */
	for (int64_t i = 1; i < 100; i++) {
		int64_t now_us = NOW_US + i * TTL_US / 3;
		assert_false(renew_at(&new, now_us));
		assert_false(renew_at(&other, now_us));
		assert_true(old_renew(&old, now_us, false));
	}
	ROW_IS(new, "old|2");
	/* Its clock stands still: what it writes changes nevertheless. */
	for (int i = 0; i < 10; i++) {
		assert_true(old_renew(&old, NOW_US, false));
		assert_false(renew(&new));
		let_pass(&new);
	}
	ROW_IS(new, "old|2");
	assert_true(old_renew(&old, NOW_US, false));
	/* It is gone: its time is over. */
	assert_false(renew_at(&new, NOW_US + TTL_US / 2));
	assert_true(renew_at(&new, NOW_US + 2 * TTL_US));
	assert_false(renew_at(&other, NOW_US + 2 * TTL_US));
	ROW_IS(new, "new|3");
	kill_replica(&new);
	kill_replica(&other);
	kill_replica(&old);
}

static void test_an_older_version_that_stops_or_stands_still_is_followed(void **state)
{
	struct replica new, old;
	open_replica(state, &new, "new");
	open_replica(state, &old, "old");
	assert_true(old_renew(&old, NOW_US, false));
	assert_false(renew(&new));
	/* It gives the lease up, in the same words as this version. */
	assert_int_equal(dp_lease_release(&old.store, &old.lease), 0);
	assert_true(renew(&new));
	assert_true(old_renew(&old, NOW_US, false));
	assert_false(renew(&new));
	/* Nobody's wall clock goes on, and it is frozen. */
	let_pass(&new);
	assert_true(renew(&new));
	ROW_IS(new, "new|4");
	kill_replica(&new);
	kill_replica(&old);
}

static void test_an_older_holder_whose_clock_is_ahead(void **state)
{
	struct replica new, old;
	open_replica(state, &new, "new");
	open_replica(state, &old, "old");
	/* A little: it is respected. Far: it is not waited for. */
	assert_true(old_renew(&old, NOW_US + TTL_US, false));
	assert_false(renew(&new));
	assert_true(old_renew(&old, NOW_US + 1000 * TTL_US, false));
	assert_true(renew(&new));
	kill_replica(&new);
	kill_replica(&old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_a_free_lease_is_taken_and_renewed),
		IN_DIRECTORY(test_renewing_and_waiting_write_nothing),
		IN_DIRECTORY(test_a_held_lease_is_not_given_to_another),
		IN_DIRECTORY(test_a_holder_that_died_is_followed_at_once),
		IN_DIRECTORY(
			test_a_holder_that_comes_back_under_its_name_gets_a_new_number),
		IN_DIRECTORY(test_a_frozen_holder_is_followed_after_a_ttl_and_finds_out),
		IN_DIRECTORY(test_a_lock_that_moves_is_alive_however_often_one_looks),
		IN_DIRECTORY(test_a_released_lease_can_be_taken_at_once),
		IN_DIRECTORY(test_only_its_holder_can_release_a_lease),
		IN_DIRECTORY(test_leases_of_different_names_are_independent),
		IN_DIRECTORY(test_a_lease_that_cannot_be_renewed_now_stays_as_it_was),
		IN_DIRECTORY(test_a_lease_whose_row_cannot_be_written_is_not_taken),
		IN_DIRECTORY(test_a_lock_file_that_is_deleted_takes_no_lease_along),
		IN_DIRECTORY(
			test_a_holder_frozen_since_an_earlier_file_is_not_the_present_one),
		IN_DIRECTORY(test_without_locks_the_row_is_renewed),
		IN_DIRECTORY(
			test_without_locks_a_holder_that_is_gone_is_followed_by_the_clock),
		IN_DIRECTORY(test_beside_an_older_version_the_lease_stays_with_it),
		IN_DIRECTORY(test_an_older_version_that_stops_or_stands_still_is_followed),
		IN_DIRECTORY(test_an_older_holder_whose_clock_is_ahead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
