#include "store_lease.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "aside.h"
#include "byte_lock.h"
#include "lease_turn.h"
#include "log.h"
#include "sqlite.h"

#define PLACES_MAX 4096

/* Their areas of the lock file, from 1. Append, never change. */
static const char *const areas[] = {"plain", "prune"};

_Static_assert(sizeof(areas) / sizeof(areas[0]) <= DP_BYTE_AREA_MAX, "more than there are");

/* @return 0: it has none */
static unsigned area_of(const struct dp_lease *lease)
{
	for (unsigned i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
		if (strcmp(areas[i], lease->name) == 0)
			return i + 1;
	return 0;
}

static int64_t boot_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- the row ---- */

static int read_row(const struct dp_store *store, const struct dp_lease *lease,
	struct dp_lease_row *row)
{
	sqlite3_stmt *statement = NULL;
	*row = (struct dp_lease_row){.there = false};
	int code = sqlite3_prepare_v2(store->db,
		"SELECT holder IS ?2, number, expires,"
		" typeof(number) = 'integer' AND typeof(expires) = 'integer'"
		" FROM lease WHERE name = ?1",
		-1, &statement, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_text(statement, 1, lease->name, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 2, lease->holder, -1, SQLITE_STATIC);
		code = sqlite3_step(statement);
	}
	if (code == SQLITE_ROW) {
		row->there = true;
		row->ours = sqlite3_column_int(statement, 0) != 0;
		row->number = sqlite3_column_int64(statement, 1);
		row->expires = sqlite3_column_int64(statement, 2);
		row->whole = sqlite3_column_int(statement, 3) != 0;
		row->byte = dp_byte_look(store->lock, area_of(lease), row->number);
	}
	sqlite3_finalize(statement);
	return dp_sqlite_error(code);
}

static int write_row(
	sqlite3 *db, const struct dp_lease *lease, int64_t number, int64_t expires)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db,
		"INSERT INTO lease (name, holder, number, expires) VALUES (?1, ?2, ?3, ?4)"
		" ON CONFLICT (name) DO UPDATE SET"
		"  holder = ?2, number = ?3, expires = ?4",
		-1, &statement, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_text(statement, 1, lease->name, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 2, lease->holder, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, number);
		sqlite3_bind_int64(statement, 4, expires);
		code = sqlite3_step(statement);
	}
	sqlite3_finalize(statement);
	return dp_sqlite_error(code);
}

/* ---- taking and renewing ---- */

/*
 * The next number whose place in the lock file is free. It may be locked by a process that
 * got the same number from an earlier database file and has been frozen since.
 */
static int64_t next_number(
	const struct dp_store *store, const struct dp_lease *lease, int64_t number)
{
	for (int i = 0; i < PLACES_MAX; i++) {
		number = number > 0 && number < INT64_MAX ? number + 1 : 1;
		if (dp_byte_look(store->lock, area_of(lease), number) < 0)
			break;
	}
	return number;
}

static void move_lock(const struct dp_store *store, struct dp_lease *lease, int64_t number)
{
	int err = dp_byte_lock(store->lock, area_of(lease), number, ++lease->step);
	if (err != 0 && err != lease->lock_err)
		dp_log(DP_LOG_WARN,
			"cannot lock a byte of the lock file; the lease is renewed in the "
			"database",
			"file=%s-lock lease=%s error=\"%s\"", store->path, lease->name,
			strerror(-err));
	lease->lock_err = err;
}

/* Within a transaction. @param number  of the holding, 0: it is somebody else's */
static int renew_row(
	struct dp_store *store, struct dp_lease *lease, int64_t now_us, int64_t *number)
{
	struct dp_lease_row row;
	int err = read_row(store, lease, &row);
	if (err != 0)
		return err;
	enum dp_lease_turn turn = dp_lease_judge(lease, &row, now_us, boot_ns());
	*number = turn == DP_LEASE_OTHERS ? 0
		  : turn == DP_LEASE_OURS ? row.number
					  : next_number(store, lease, row.number);
	if (turn == DP_LEASE_OTHERS)
		return 0;
	move_lock(store, lease, *number);
	int64_t expires = dp_lease_expires(lease, &row, now_us);
	if (turn == DP_LEASE_OURS && expires == row.expires)
		return 0;
	return write_row(store->db, lease, *number, expires);
}

int dp_lease_renew(struct dp_store *store, struct dp_lease *lease, int64_t now_us)
{
	int64_t number = 0;
	int err = area_of(lease) != 0 ? dp_store_begin(store) : -EINVAL;
	if (err != 0)
		return err;
	/* Once in a while is enough; who replaces it has a lease as well. */
	err = dp_store_is_suspect(store) ? -EUCLEAN
					 : renew_row(store, lease, now_us, &number);
	if (err == 0)
		err = dp_store_commit(store);
	else
		dp_store_rollback(store);
	if (err == 0) {
		lease->held = number != 0;
		lease->number = number != 0 ? number : lease->number;
	}
	/* Not ours any more; or not yet, as the row that says so could not be written. */
	bool lost = err == 0 && number == 0;
	bool not_taken = err != 0 && number != 0 && number != lease->number;
	if (lost || not_taken)
		dp_byte_free(store->lock, area_of(lease));
	return err;
}

/* ---- giving it up ---- */

static int release(sqlite3 *db, const struct dp_lease *lease)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db,
		"UPDATE lease SET expires = 0 WHERE name = ?1 AND holder = ?2 AND number = "
		"?3",
		-1, &statement, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_text(statement, 1, lease->name, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 2, lease->holder, -1, SQLITE_STATIC);
		sqlite3_bind_int64(statement, 3, lease->number);
		code = sqlite3_step(statement);
	}
	sqlite3_finalize(statement);
	return dp_sqlite_error(code);
}

int dp_lease_release(struct dp_store *store, struct dp_lease *lease)
{
	lease->held = false;
	int err = dp_store_begin(store);
	if (err == 0) {
		err = release(store->db, lease);
		if (err == 0)
			err = dp_store_commit(store);
		else
			dp_store_rollback(store);
	}
	/* If it could not be written: whoever comes next finds the byte free. */
	if (store->lock >= 0)
		dp_byte_free(store->lock, area_of(lease));
	return err;
}
