#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aside.h"
#include "log.h"
#include "schema_check.h"
#include "sqlite.h"

#define SCHEME "sqlite://"
#define LOCK_WAIT_MS 1000
#define LOCK_RETRY_MS 20
#define APPLICATION_ID 0x44506277 /* "DPbw" */

/*
 * A commit writes each page that it changes as a whole, and readings of many sensors change
 * a page each. Half of SQLite's own size: larger files are read no slower for it.
 */
#define PAGE_BYTES 2048
#define LOG_BYTES INT64_C(12288000) /* of the write-ahead log */

/* Append, never change: files of every version are out there. */
static const char *const migrations[] = {
#include "schema.sql.h"
};

static const struct dp_schema schema = {
	.what = "database",
	.application_id = APPLICATION_ID,
	.migrations = migrations,
	.version = sizeof(migrations) / sizeof(migrations[0]),
	.page_bytes = PAGE_BYTES,
};

const char *dp_check_store_url(const char *value)
{
	size_t scheme = strlen(SCHEME);
	if (strncmp(value, SCHEME, scheme) == 0 && value[scheme] == '/' &&
		value[scheme + 1] != '\0')
		return NULL;
	return "sqlite:///absolute/path/of/file.db";
}

/* ---- the lock file ---- */

static int open_lock(struct dp_store *store)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s-lock", store->path);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	return store->lock >= 0 ? 0 : -errno;
}

static void close_lock(struct dp_store *store)
{
	if (store->lock >= 0)
		close(store->lock);
	store->lock = -1;
}

/* Whether the lock file that is open is the one that others open. */
static bool same_lock(const struct dp_store *store)
{
	char path[PATH_MAX];
	struct stat there, ours;
	snprintf(path, sizeof(path), "%s-lock", store->path);
	return store->lock >= 0 && stat(path, &there) == 0 &&
	       fstat(store->lock, &ours) == 0 && there.st_dev == ours.st_dev &&
	       there.st_ino == ours.st_ino;
}

/* A lock in a file that was deleted keeps nobody away, and frees no lease. */
static int follow_lock(struct dp_store *store)
{
	if (same_lock(store))
		return 0;
	if (store->lock >= 0)
		dp_log(DP_LOG_WARN, "the lock file was deleted or replaced", "file=%s-lock",
			store->path);
	close_lock(store);
	return open_lock(store);
}

static int lock(struct dp_store *store, int how)
{
	int waited = 0, err = follow_lock(store);
	if (err != 0)
		return err;
	while (flock(store->lock, how | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK || waited >= LOCK_WAIT_MS)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		sqlite3_sleep(LOCK_RETRY_MS);
		waited += LOCK_RETRY_MS;
	}
	return 0;
}

static void unlock(struct dp_store *store)
{
	flock(store->lock, LOCK_UN);
}

/* ---- opening ---- */

bool dp_store_is_there(const struct dp_store *store)
{
	struct stat status;
	return stat(store->path, &status) == 0 && status.st_dev == store->device &&
	       status.st_ino == store->inode;
}

static int mark_used(struct dp_store *store)
{
	int err = dp_file_mark(store->lock);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot write the lock file",
			"file=%s-lock error=\"%s\"", store->path, strerror(-err));
	return err;
}

static int find_identity(struct dp_store *store)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db,
		"SELECT lower(hex(id)) FROM store WHERE typeof(id) = 'blob' AND"
		" length(id) = 16 ORDER BY id LIMIT 1",
		-1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	const unsigned char *id =
		code == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
	if (id != NULL)
		snprintf(store->id, sizeof(store->id), "%s", (const char *)id);
	sqlite3_finalize(statement);
	if (code == SQLITE_ROW)
		return id != NULL ? 0 : -ENOMEM;
	return code == SQLITE_DONE ? -ENOENT : dp_sqlite_error(code);
}

/* If somebody has emptied the table, the database gets another identity. */
static int read_identity(struct dp_store *store)
{
	int err = find_identity(store);
	if (err != -ENOENT)
		return err;
	dp_log(DP_LOG_WARN, "the database had lost its identity and gets a new one",
		"file=%s", store->path);
	err = dp_sqlite_exec(store->db,
		"BEGIN IMMEDIATE; DELETE FROM store; INSERT INTO store VALUES"
		" (randomblob(16)); COMMIT");
	if (err != 0 && sqlite3_get_autocommit(store->db) == 0)
		dp_sqlite_exec(store->db, "ROLLBACK");
	return err != 0 ? err : find_identity(store);
}

static int open_database(struct dp_store *store)
{
	int err = dp_sqlite_open(&store->db, store->path, &schema);
	if (err != -EUCLEAN)
		return err;
	int mended = dp_schema_mend_file(store->path, &schema);
	if (mended > 0)
		return dp_sqlite_open(&store->db, store->path, &schema);
	/* There are some, and it may be possible later. */
	return mended == -EBUSY || mended == -ENOSPC ? mended : err;
}

/* Pages that are written again and again reach the file once in so many bytes. */
static int limit_log(sqlite3 *db)
{
	int64_t page_bytes;
	char sql[48];
	int err = dp_sqlite_int(db, "PRAGMA page_size", &page_bytes);
	if (err != 0)
		return err;
	snprintf(sql, sizeof(sql), "PRAGMA wal_autocheckpoint=%" PRId64,
		LOG_BYTES / page_bytes);
	return dp_sqlite_exec(db, sql);
}

/* With the lock held: nobody replaces the file between the steps. */
static int open_locked(struct dp_store *store, enum dp_file_state state)
{
	struct stat status;
	int err = state == DP_FILE_EMPTIED ? -EUCLEAN : open_database(store);
	if ((err == 0 || err == -EUCLEAN) && stat(store->path, &status) == 0) {
		store->device = status.st_dev;
		store->inode = status.st_ino;
	}
	if (err == 0)
		err = dp_schema_check(store->db, &schema, store->path);
	if (err == 0)
		err = limit_log(store->db);
	if (err == 0)
		err = dp_sqlite_prepare(store->db, "PRAGMA user_version", &store->version);
	if (err == 0)
		err = read_identity(store);
	if (err == 0)
		err = mark_used(store);
	return err;
}

static void close_database(struct dp_store *store)
{
	sqlite3_finalize(store->version);
	sqlite3_close(store->db);
	store->version = NULL;
	store->db = NULL;
}

int dp_store_open(struct dp_store *store, const char *url)
{
	*store = (struct dp_store){.path = url + strlen(SCHEME), .lock = -1};
	int err = open_lock(store);
	if (err != 0)
		dp_log(DP_LOG_ERROR,
			"cannot open the file; its folder must exist and be writable",
			"what=database file=%s-lock error=\"%s\"", store->path,
			strerror(-err));
	if (err == 0)
		err = dp_store_reopen(store);
	if (err != 0 && err != -EUCLEAN)
		dp_store_close(store);
	return err;
}

void dp_store_close(struct dp_store *store)
{
	close_database(store);
	close_lock(store);
}

/* With the lock held alone: what a deleted database has left is not for the next one. */
static int clean_up_deleted(struct dp_store *store)
{
	dp_log(DP_LOG_WARN, "the database that was here is gone; a new one is begun",
		"file=%s", store->path);
	dp_suspect_clear(store->path);
	int err = dp_remove_shm(store->path);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot remove the deleted database's shared memory",
			"file=%s-shm error=\"%s\"", store->path, strerror(-err));
	return err;
}

int dp_store_reopen(struct dp_store *store)
{
	close_database(store);
	int err = lock(store, LOCK_SH);
	if (err != 0)
		return err;
	enum dp_file_state state = dp_file_state(store->lock, store->path);
	if (state == DP_FILE_GONE) {
		unlock(store);
		err = lock(store, LOCK_EX);
		if (err != 0)
			return err;
		/* Somebody else may have begun one meanwhile. */
		state = dp_file_state(store->lock, store->path);
		if (state == DP_FILE_GONE)
			err = clean_up_deleted(store);
	}
	if (err == 0)
		err = open_locked(store, state);
	if (err != 0)
		close_database(store);
	unlock(store);
	return err;
}

int dp_store_replace(struct dp_store *store, int64_t now_us)
{
	char name[PATH_MAX];
	close_database(store);
	int err = lock(store, LOCK_EX);
	if (err != 0)
		return err;
	if (dp_store_is_there(store)) {
		err = dp_set_aside(store->path, now_us, name, sizeof(name));
		if (err == 0)
			dp_suspect_clear(store->path);
		if (err == 0)
			dp_log(DP_LOG_ERROR,
				"the database is damaged and was set aside; a new one is "
				"begun, what only the old one has can be read there",
				"file=%s aside=%s", store->path, name);
		else
			dp_log(DP_LOG_ERROR,
				"the database is damaged and cannot be set aside",
				"file=%s error=\"%s\"", store->path, strerror(-err));
	}
	if (err == 0)
		err = open_locked(store, dp_file_state(store->lock, store->path));
	if (err != 0)
		close_database(store);
	unlock(store);
	return err;
}

int dp_store_suspect(struct dp_store *store)
{
	return dp_suspect(store->path, store->device, store->inode);
}

bool dp_store_is_suspect(const struct dp_store *store)
{
	return dp_is_suspect(store->path, store->device, store->inode);
}

void dp_store_found_sound(const struct dp_store *store)
{
	dp_suspect_clear(store->path);
	dp_log(DP_LOG_WARN, "the database was taken for damaged and is not; it is kept",
		"file=%s", store->path);
}

/* ---- transactions ---- */

static int check_version(struct dp_store *store)
{
	int code = sqlite3_step(store->version);
	int64_t version = code == SQLITE_ROW ? sqlite3_column_int64(store->version, 0) : 0;
	sqlite3_reset(store->version);
	if (code != SQLITE_ROW)
		return dp_sqlite_error(code);
	if (version <= schema.version)
		return 0;
	dp_log(DP_LOG_ERROR,
		"a newer version of a service has changed the database; upgrade this one",
		"file=%s database_version=%lld known_version=%d", store->path,
		(long long)version, schema.version);
	return -EPROTO;
}

int dp_store_begin(struct dp_store *store)
{
	if (!same_lock(store))
		return -ESTALE;
	int err = lock(store, LOCK_SH);
	if (err != 0)
		return err;
	/* Before anything is read: the file may have been set aside or deleted. */
	if (!dp_store_is_there(store)) {
		unlock(store);
		return -ESTALE;
	}
	err = dp_sqlite_exec(store->db, "BEGIN IMMEDIATE");
	if (err == 0)
		err = check_version(store);
	if (err != 0)
		dp_store_rollback(store);
	return err;
}

int dp_store_commit(struct dp_store *store)
{
	int err = dp_sqlite_exec(store->db, "COMMIT");
	if (err != 0)
		dp_store_rollback(store);
	else
		unlock(store);
	return err;
}

void dp_store_rollback(struct dp_store *store)
{
	/* SQLite may have rolled back by itself; then there is nothing to do. */
	if (sqlite3_get_autocommit(store->db) == 0)
		dp_sqlite_exec(store->db, "ROLLBACK");
	unlock(store);
}
