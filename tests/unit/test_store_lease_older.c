/* Leases in the database, beside a replica of a version without byte locks. */
#include "lease_replica.h"

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
	kill_two(&new, &old);
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
	kill_two(&new, &old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(test_beside_an_older_version_the_lease_stays_with_it),
		IN_DIRECTORY(test_an_older_version_that_stops_or_stands_still_is_followed),
		IN_DIRECTORY(test_an_older_holder_whose_clock_is_ahead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
