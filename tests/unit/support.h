/* What unit tests share: a directory of their own, a look into a database, randomness. */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define PATH_SIZE 128

/* xorshift64: the same numbers on every run; *state is the seed, never 0. */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x;
}

/* 0 to n - 1. */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	return (next_random(state) >> 11) % n;
}

/*
 * cmocka's setup and teardown: *state is the path of an empty directory, in memory
 * where there is a file system in memory.
 */
static inline int make_directory(void **state)
{
	const char *parent = getenv("TMPDIR");
	char *path = malloc(PATH_SIZE);
	if (path == NULL)
		return -1;
	if (parent == NULL)
		parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(path, PATH_SIZE, "%.64s/dewpoint-test-XXXXXX", parent);
	*state = mkdtemp(path);
	if (*state == NULL)
		free(path);
	return *state == NULL ? -1 : 0;
}

static inline int remove_entry(
	const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status, (void)kind, (void)where;
	return remove(path);
}

static inline int remove_directory(void **state)
{
	if (*state == NULL)
		return -1;
	int err = nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return err;
}

#define IN_DIRECTORY(test)                                                                 \
	cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

/* A file in that directory. */
static inline const char *path_in(void **state, const char *name, char path[PATH_SIZE])
{
	assert_true(
		snprintf(path, PATH_SIZE, "%s/%s", (const char *)*state, name) < PATH_SIZE);
	return path;
}

/* As assert_true() where what follows makes no sense otherwise. */
static inline void require(bool ok)
{
	if (!ok) {
		fail_msg("%s", strerror(errno));
		abort();
	}
}

static inline void write_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	require(fd >= 0);
	ssize_t n = write(fd, bytes, len);
	close(fd);
	require(n == (ssize_t)len);
}

/* Another file comes to be where a database is, as when a backup is put there. */
static inline void replace_file(const char *path, const char *with)
{
	char beside[PATH_SIZE + 8];
	for (int i = 0; i < 2; i++) {
		snprintf(beside, sizeof(beside), "%s%s", path, i == 0 ? "-wal" : "-shm");
		unlink(beside);
	}
	require(rename(with, path) == 0);
}

/* A connection beside the one under test. */
static inline sqlite3 *db_open(const char *path)
{
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	return db;
}

static inline void db_exec(const char *path, const char *sql)
{
	sqlite3 *db = db_open(path);
	int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		print_error("%s: %s\n", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
	assert_int_equal(code, SQLITE_OK);
}

/* One that nobody else can write beside, until it is closed. */
static inline sqlite3 *db_lock(const char *path)
{
	sqlite3 *db = db_open(path);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

/* The rows of a query, columns joined by | and rows by a space, as sqlite3 prints them. */
static inline void db_text(const char *path, const char *sql, char *text, size_t size)
{
	sqlite3 *db = db_open(path);
	sqlite3_stmt *statement = NULL;
	size_t len = 0;
	text[0] = '\0';
	int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
	if (code != SQLITE_OK)
		print_error("%s: %s\n", sql, sqlite3_errmsg(db));
	while (code == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(statement) && len < size; i++) {
			const char *value = (const char *)sqlite3_column_text(statement, i);
			const char *separator = i > 0 ? "|" : len > 0 ? " " : "";
			len += (size_t)snprintf(text + len, size - len, "%s%s", separator,
				value != NULL ? value : "NULL");
		}
	}
	sqlite3_finalize(statement);
	sqlite3_close(db);
	assert_int_equal(code, SQLITE_OK);
	assert_true(len < size);
}

static inline int64_t db_int(const char *path, const char *sql)
{
	char text[64];
	db_text(path, sql, text, sizeof(text));
	assert_string_not_equal(text, "");
	return strtoll(text, NULL, 10);
}

#define assert_db_text(path, sql, expected)                                                \
	do {                                                                               \
		char text_[4096];                                                          \
		db_text(path, sql, text_, sizeof(text_));                                  \
		assert_string_equal(text_, expected);                                      \
	} while (0)

/* The same database in a file beside it. */
static inline void db_copy(const char *path, const char *to)
{
	char sql[PATH_SIZE + 32];
	snprintf(sql, sizeof(sql), "VACUUM INTO '%s'", to);
	db_exec(path, sql);
}

/* What a descriptor (1, 2) is given between the two calls. No assertion in between. */
struct capture {
	int descriptor, saved, memory;
};

static inline void capture_begin(struct capture *capture, int descriptor)
{
	fflush(stdout);
	capture->descriptor = descriptor;
	capture->saved = dup(descriptor);
	capture->memory = memfd_create("capture", MFD_CLOEXEC);
	require(capture->saved >= 0 && capture->memory >= 0);
	dup2(capture->memory, descriptor);
}

static inline void capture_end(struct capture *capture, char *text, size_t size)
{
	fflush(stdout);
	dup2(capture->saved, capture->descriptor);
	close(capture->saved);
	ssize_t n = pread(capture->memory, text, size - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(capture->memory);
}

#endif
