/* Leases in the database: who gets one, and what is written. */
#include "byte_lock.h"
#include "lease_replica.h"
#include "lease_turn.h"
#include "sqlite.h"

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
	open_pair(state, &a, &b);
	picture(state, &b.store, before, sizeof(before));
	for (int i = 1; i <= 5000; i++) {
		assert_true(renew_at(&a, NOW_US + i));
		assert_false(renew_at(&b, NOW_US + i));
	}
	picture(state, &b.store, after, sizeof(after));
	assert_string_equal(after, before);
	kill_two(&a, &b);
}

static void test_a_held_lease_is_not_given_to_another(void **state)
{
	struct replica a, b;
	open_pair(state, &a, &b);
	/* Whatever the wall clocks say. */
	assert_false(renew_at(&b, NOW_US + 1000 * TTL_US));
	assert_false(renew_at(&b, 0));
	ROW_IS(a, "a|1");
	kill_two(&a, &b);
}

static void test_a_holder_that_died_is_followed_at_once(void **state)
{
	struct replica a, b;
	open_pair(state, &a, &b);
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
	open_pair(state, &a, &b);
	open_replica(state, &c, "c");
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
	kill_two(&a, &b);
	kill_replica(&c);
}

static void test_a_lock_that_moves_is_alive_however_often_one_looks(void **state)
{
	struct replica a, b;
	open_pair(state, &a, &b);
	for (int i = 1; i < 200; i++) {
		let_pass(&b);
		for (int j = 0; j < i; j++)
			assert_true(renew(&a));
		assert_false(renew(&b));
	}
	ROW_IS(a, "a|1");
	kill_two(&a, &b);
}

static void test_a_released_lease_can_be_taken_at_once(void **state)
{
	struct replica a, b;
	open_pair(state, &a, &b);
	assert_int_equal(dp_lease_release(&a.store, &a.lease), 0);
	assert_false(a.lease.held);
	assert_true(renew(&b));
	ROW_IS(b, "b|2");
	assert_false(renew(&a));
	kill_two(&a, &b);
}

static void test_only_its_holder_can_release_a_lease(void **state)
{
	struct replica a, b, c;
	open_pair(state, &a, &b);
	open_replica(state, &c, "c");
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
	kill_two(&a, &b);
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
	open_two(state, &a, &b);
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
	kill_two(&a, &b);
}

static void test_a_lease_whose_row_cannot_be_written_is_not_taken(void **state)
{
	struct replica a, b;
	open_two(state, &a, &b);
	db_exec(a.store.path, "CREATE TRIGGER full BEFORE INSERT ON lease"
			      " BEGIN SELECT raise(ABORT, 'no'); END");
	assert_int_equal(dp_lease_renew(&a.store, &a.lease, NOW_US), -EIO);
	assert_false(a.lease.held);
	assert_int_equal(dp_byte_look(b.store.lock, 1, 1), DP_BYTE_FREE);
	kill_two(&a, &b);
}

static void test_a_lock_file_that_is_deleted_takes_no_lease_along(void **state)
{
	char lock[PATH_SIZE];
	struct replica a, b;
	open_pair(state, &a, &b);
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
	kill_two(&a, &b);
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
	kill_two(&a, &b);
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
	open_two(state, &a, &b);
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
	open_two(state, &a, &b);
	close(block_locks(&a));
	assert_true(renew(&a));
	kill_replica(&a);
	assert_false(renew_at(&b, NOW_US + TTL_US));
	assert_true(renew_at(&b, NOW_US + TTL_US + 1));
	kill_replica(&b);
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
