/*
 * The k-th call fails, for every k until the scenario of store_scene.c runs through: with a
 * new file, with one of schema version 1, and with one that is damaged. After each run
 * what was accepted is stored; and once calls succeed again everything is taken, nothing
 * twice, and no file was set aside that was whole.
 *
 *     store_ladder DIRECTORY files|full|memory|calls EVERY FAILING
 *
 * EVERY: each so many-th k. FAILING: so many calls fail in a row.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fail_vfs.h"
#include "log.h"
#include "number.h"
#include "store_scene.h"

#define LIMIT_S 120 /* for one run; it takes milliseconds */

/* Calls of the store's own, beside SQLite's; the linker puts these in their place.
 * NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c) */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __real_fcntl(int fd, int how, void *lock);
int __wrap_fcntl(int fd, int how, void *lock);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_pwrite(int fd, const void *bytes, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t at);

static bool refuse(const char *name, int error)
{
	if (!fail_here(FAIL_CALLS, name))
		return false;
	errno = error;
	return true;
}

int __wrap_open(const char *path, int flags, ...)
{
	va_list list;
	va_start(list, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
	va_end(list);
	return refuse("open", EMFILE) ? -1 : __real_open(path, flags, mode);
}

int __wrap_flock(int fd, int how)
{
	/* Unlocking does not fail. */
	return how != LOCK_UN && refuse("flock", EWOULDBLOCK) ? -1 : __real_flock(fd, how);
}

/* For byte locks alone. */
int __wrap_fcntl(int fd, int how, void *lock)
{
	return refuse("fcntl", ENOLCK) ? -1 : __real_fcntl(fd, how, lock);
}

int __wrap_rename(const char *from, const char *to)
{
	return refuse("rename", EIO) ? -1 : __real_rename(from, to);
}

int __wrap_unlink(const char *path)
{
	return refuse("unlink", EIO) ? -1 : __real_unlink(path);
}

int __wrap_fsync(int fd)
{
	return refuse("fsync", EIO) ? -1 : __real_fsync(fd);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	return refuse("pwrite", ENOSPC) ? -1 : __real_pwrite(fd, bytes, n, at);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c) */

/* ---- the files to begin with ---- */

/* Of all versions, one a line of the array. */
static const char *const migrations[] = {
#include "schema.sql.h"
};

static void make_version_1(const struct scene *scene)
{
	sqlite3 *db = NULL;
	if (sqlite3_open(scene->path, &db) != SQLITE_OK ||
		sqlite3_exec(db, migrations[0], NULL, NULL, NULL) != SQLITE_OK ||
		sqlite3_exec(db,
			"PRAGMA user_version=1; PRAGMA application_id=0x44506277;"
			"INSERT INTO stream VALUES (1, zeroblob(16), 'n', 1, 1, 0)",
			NULL, NULL, NULL) != SQLITE_OK)
		exit(2);
	sqlite3_close(db);
}

static void make_damaged(const struct scene *scene)
{
	static const uint8_t bytes[4096] = "no database";
	scene_write(scene->path, bytes, sizeof(bytes));
}

enum begin { NEW, VERSION_1, DAMAGED, BEGINS };

static const char *const begins[] = {"a new file", "a file of version 1", "a damaged file"};

/* ---- */

static bool run_once(
	struct scene *scene, enum begin begin, unsigned kinds, uint64_t k, uint64_t failing)
{
	scene_clear(scene);
	if (begin == VERSION_1)
		make_version_1(scene);
	else if (begin == DAMAGED)
		make_damaged(scene);
	alarm(LIMIT_S);
	fail_arm(kinds, k, failing);
	scene_run(scene, 3);
	fail_disarm();
	bool happened = fail_happened();
	snprintf(scene->what, sizeof(scene->what), "%s, call %" PRIu64 " (%s)",
		begins[begin], k, fail_name());
	if (scene_ask(scene, "SELECT count(*) FROM reading") >= 0)
		scene_judge(scene, false);
	/* No failing call is a damage of the file. */
	if (scene->last_error == -EPROTO || scene->last_error == -ENODATA)
		scene_wrong(scene, "a wrong reason", scene->last_error);
	int err = scene_run(scene, 1);
	if (err != 0)
		scene_wrong(scene, "it does not open, now that all works", err);
	/* What came before another message was accepted comes after it. */
	scene_run(scene, 1);
	scene_judge(scene, true);
	if (scene_aside(scene) != (begin == DAMAGED ? 1 : 0))
		scene_wrong(scene, "files set aside", (int64_t)scene_aside(scene));
	alarm(0);
	return happened;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned kinds;
		enum fail_as as;
	} modes[] = {{"files", FAIL_FILES, FAIL_AS_BROKEN},
		{"full", FAIL_FILES, FAIL_AS_FULL}, {"memory", FAIL_MEMORY, FAIL_AS_BROKEN},
		{"calls", FAIL_CALLS, FAIL_AS_BROKEN}};
	static struct scene scene;
	int64_t every, failing;
	size_t mode = 0;
	while (argc == 5 && mode < 4 && strcmp(argv[2], modes[mode].name) != 0)
		mode++;
	if (argc != 5 || mode == 4 || dp_parse_i64(argv[3], 1, 1000000, &every) != 0 ||
		dp_parse_i64(argv[4], 1, 1000000, &failing) != 0) {
		fputs("usage: store_ladder DIRECTORY files|full|memory|calls EVERY "
		      "FAILING\n",
			stderr);
		return 2;
	}
	fail_vfs_install();
	fail_as(modes[mode].as);
	dp_log_init("store_ladder", DP_LOG_ERROR);
	scene_init(&scene, argv[1]);
	/* When everything fails from a commit's sync on, the transaction may be in the log
	 * that is opened again: as after a crash, a plain message that was not acknowledged
	 * comes again, and has no number by which it would be known. */
	scene.again = failing > 1;
	unsigned runs = 0;
	for (enum begin begin = NEW; begin < BEGINS; begin++) {
		for (uint64_t k = 1;
			run_once(&scene, begin, modes[mode].kinds, k, (uint64_t)failing);
			k += (uint64_t)every)
			runs++;
	}
	scene_clear(&scene);
	printf("store_ladder %s failing=%" PRId64 " runs=%u wrong=%u\n", argv[2], failing,
		runs, scene.failures);
	return scene.failures == 0 ? 0 : 1;
}
