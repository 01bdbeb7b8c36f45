#include "store.h"
#include "support.h"

#define TTL_US INT64_C(30000000)
#define NOW_US INT64_C(1800000000000000)

/* A database of the store in the test's directory. */
static sqlite3 *open_store(void **state, char path[PATH_SIZE])
{
	char url[PATH_SIZE + 16];
	sqlite3 *db;
	snprintf(url, sizeof(url), "sqlite://%s", path_in(state, "broker.db", path));
	assert_null(dp_check_store_url(url));
	assert_int_equal(dp_store_open(&db, url), 0);
	return db;
}

static struct dp_lease lease_of(const char *holder)
{
	return (struct dp_lease){.name = "plain", .holder = holder, .ttl_us = TTL_US};
}

static bool renew(sqlite3 *db, struct dp_lease *lease, int64_t now_us)
{
	assert_int_equal(dp_lease_renew(db, lease, now_us), 0);
	return lease->held;
}

static void test_a_store_is_an_absolute_file(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "/data/broker.db", "sqlite://", "sqlite:///",
		"sqlite://broker.db", "sqlite:/data/broker.db", "SQLITE:///a",
		"postgres://host/db", " sqlite:///a"};
	assert_null(dp_check_store_url("sqlite:///data/broker.db"));
	assert_null(dp_check_store_url("sqlite:///a"));
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_non_null(dp_check_store_url(bad[i]));
}

static void test_the_database_is_as_its_readers_expect_it(void **state)
{
	char path[PATH_SIZE];
	sqlite3_close(open_store(state, path));
	assert_int_equal(db_int(path, "PRAGMA user_version"), 1);
	assert_int_equal(db_int(path, "PRAGMA application_id"), 0x44506277);
	assert_db_text(path,
		"SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER "
		"BY name",
		"table|channel table|dead_letter view|dht table|lease table|lost "
		"table|next_id "
		"table|reading table|sensor table|stream table|stream_interval");
	assert_db_text(path, "SELECT name FROM pragma_table_info('dht')",
		"id topic temp humidity");
}

static void test_the_papers_query_shows_readings_in_the_order_they_came(void **state)
{
	char path[PATH_SIZE];
	sqlite3_close(open_store(state, path));
	db_exec(path, "INSERT INTO sensor VALUES (1, '/data/raspberrypi4', 'climate'),"
		      " (2, '/data/orangepi0', ''), (3, '/data/orangepi0', 'light');"
		      "INSERT INTO reading (sensor, ts, id, clock, temperature, humidity, "
		      "v2) VALUES"
		      " (2, 50, 14, 0, 25.7, 59.8, NULL), (1, 99, 1, 0, 25.0, 72.0, NULL),"
		      " (1, 10, 15, 0, NULL, 70.5, NULL), (3, 60, 16, 0, NULL, NULL, 400)");
	assert_db_text(path, "SELECT * FROM dht",
		"1|/data/raspberrypi4|25.0|72.0 14|/data/orangepi0|25.7|59.8 "
		"15|/data/raspberrypi4|NULL|70.5");
}

static void test_a_free_lease_is_taken_and_renewed(void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease lease = lease_of("a");
	assert_true(renew(db, &lease, NOW_US));
	assert_int_equal(lease.number, 1);
	assert_true(renew(db, &lease, NOW_US + TTL_US / 2));
	assert_int_equal(lease.number, 1);
	assert_true(
		db_int(path, "SELECT expires FROM lease") == NOW_US + TTL_US / 2 + TTL_US);
	/* Its holder may come late, as long as nobody else has come. */
	assert_true(renew(db, &lease, NOW_US + 10 * TTL_US));
	assert_int_equal(lease.number, 1);
	sqlite3_close(db);
}

static void test_a_held_lease_is_not_given_to_another(void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease a = lease_of("a"), b = lease_of("b");
	assert_true(renew(db, &a, NOW_US));
	assert_false(renew(db, &b, NOW_US));
	assert_false(renew(db, &b, NOW_US + TTL_US));
	assert_db_text(path, "SELECT holder, number FROM lease", "a|1");
	sqlite3_close(db);
}

static void test_a_lease_that_is_over_changes_hands_with_a_new_number(void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease a = lease_of("a"), b = lease_of("b");
	assert_true(renew(db, &a, NOW_US));
	assert_true(renew(db, &b, NOW_US + TTL_US + 1));
	assert_int_equal(b.number, 2);
	/* The former holder wakes up: it has nothing, and cannot take it back. */
	assert_false(renew(db, &a, NOW_US + TTL_US + 2));
	assert_true(renew(db, &b, NOW_US + TTL_US + 3));
	assert_true(renew(db, &a, NOW_US + 3 * TTL_US));
	assert_int_equal(a.number, 3);
	sqlite3_close(db);
}

static void test_a_released_lease_can_be_taken_at_once(void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease a = lease_of("a"), b = lease_of("b");
	assert_true(renew(db, &a, NOW_US));
	assert_int_equal(dp_lease_release(db, &a), 0);
	assert_false(a.held);
	assert_true(renew(db, &b, NOW_US));
	assert_int_equal(b.number, 2);
	sqlite3_close(db);
}

static void test_only_its_holder_can_release_a_lease(void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease a = lease_of("a"), b = lease_of("b"), c = lease_of("c");
	assert_true(renew(db, &a, NOW_US));
	assert_true(renew(db, &b, NOW_US + 2 * TTL_US));
	assert_int_equal(dp_lease_release(db, &a), 0);
	assert_false(renew(db, &c, NOW_US + 2 * TTL_US));
	/* Nor can an earlier holding of the same one. */
	b.number--;
	assert_int_equal(dp_lease_release(db, &b), 0);
	assert_false(renew(db, &c, NOW_US + 2 * TTL_US));
	assert_int_equal(dp_lease_release(db, &c), 0);
	assert_false(renew(db, &c, NOW_US + 2 * TTL_US));
	sqlite3_close(db);
}

static void test_a_holder_whose_clock_was_far_ahead_does_not_keep_the_lease_for_ever(
	void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease a = lease_of("a"), b = lease_of("b");
	assert_true(renew(db, &a, NOW_US + 1000 * TTL_US));
	assert_true(renew(db, &b, NOW_US));
	assert_int_equal(b.number, 2);
	sqlite3_close(db);
}

static void test_a_holder_whose_clock_is_a_little_ahead_keeps_the_lease(void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease a = lease_of("a"), b = lease_of("b");
	assert_true(renew(db, &a, NOW_US + TTL_US));
	assert_false(renew(db, &b, NOW_US));
	sqlite3_close(db);
}

static void test_leases_of_different_names_are_independent(void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease plain = lease_of("a"), prune = lease_of("b");
	prune.name = "prune";
	assert_true(renew(db, &plain, NOW_US));
	assert_true(renew(db, &prune, NOW_US));
	assert_int_equal(prune.number, 1);
	assert_int_equal(dp_lease_release(db, &prune), 0);
	struct dp_lease other = lease_of("c");
	assert_false(renew(db, &other, NOW_US));
	sqlite3_close(db);
}

static void test_a_lease_that_cannot_be_renewed_now_stays_as_it_was(void **state)
{
	char path[PATH_SIZE];
	sqlite3 *db = open_store(state, path);
	struct dp_lease lease = lease_of("a"), none = lease_of("b");
	assert_true(renew(db, &lease, NOW_US));
	sqlite3 *other = db_open(path);
	assert_int_equal(
		sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_busy_timeout(db, 0);
	assert_int_equal(dp_lease_renew(db, &lease, NOW_US), -EBUSY);
	assert_true(lease.held);
	assert_int_equal(lease.number, 1);
	assert_int_equal(dp_lease_renew(db, &none, NOW_US), -EBUSY);
	assert_false(none.held);
	assert_int_equal(dp_lease_release(db, &lease), -EBUSY);
	sqlite3_close(other);
	assert_true(renew(db, &lease, NOW_US));
	sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_store_is_an_absolute_file),
		IN_DIRECTORY(test_the_database_is_as_its_readers_expect_it),
		IN_DIRECTORY(test_the_papers_query_shows_readings_in_the_order_they_came),
		IN_DIRECTORY(test_a_free_lease_is_taken_and_renewed),
		IN_DIRECTORY(test_a_held_lease_is_not_given_to_another),
		IN_DIRECTORY(test_a_lease_that_is_over_changes_hands_with_a_new_number),
		IN_DIRECTORY(test_a_released_lease_can_be_taken_at_once),
		IN_DIRECTORY(test_only_its_holder_can_release_a_lease),
		IN_DIRECTORY(
			test_a_holder_whose_clock_was_far_ahead_does_not_keep_the_lease_for_ever),
		IN_DIRECTORY(test_a_holder_whose_clock_is_a_little_ahead_keeps_the_lease),
		IN_DIRECTORY(test_leases_of_different_names_are_independent),
		IN_DIRECTORY(test_a_lease_that_cannot_be_renewed_now_stays_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
