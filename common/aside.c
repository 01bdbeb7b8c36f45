#include "aside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMES 100

static int dated_name(
	const char *path, int64_t now_us, unsigned number, char *name, size_t size)
{
	char date[32], suffix[16] = "";
	time_t now_s = (time_t)(now_us / 1000000);
	struct tm utc;
	if (gmtime_r(&now_s, &utc) == NULL ||
		strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &utc) == 0)
		return -EINVAL;
	if (number > 0)
		snprintf(suffix, sizeof(suffix), "-%u", number);
	int n = snprintf(name, size, "%s.corrupt-%s%s", path, date, suffix);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int beside(const char *path, const char *suffix, char name[PATH_MAX])
{
	int n = snprintf(name, PATH_MAX, "%s%s", path, suffix);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* @return 0, -EEXIST when the new name is taken, -ENOENT when the old one is not */
static int move(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* A file system without that flag: the caller's lock keeps others away. */
	if (access(to, F_OK) == 0)
		return -EEXIST;
	return rename(from, to) == 0 ? 0 : -errno;
}

static int sync_folder(const char *path)
{
	char folder[PATH_MAX];
	int err = beside(path, "", folder);
	if (err != 0)
		return err;
	char *slash = strrchr(folder, '/');
	if (slash == NULL)
		memcpy(folder, ".", 2);
	else
		slash[slash == folder] = '\0';
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return err;
}

/*
 * The log goes first: one that stayed behind would be taken for the log of whatever
 * file is made at that path next.
 */
static int move_both(const char *path, const char *name)
{
	char from[PATH_MAX], to[PATH_MAX];
	int err = beside(path, "-wal", from);
	if (err == 0)
		err = beside(name, "-wal", to);
	if (err == 0 && access(name, F_OK) == 0)
		err = -EEXIST;
	if (err == 0)
		err = move(from, to);
	if (err == -ENOENT)
		err = 0;
	return err != 0 ? err : move(path, name);
}

int dp_remove_shm(const char *path)
{
	char shared[PATH_MAX];
	int err = beside(path, "-shm", shared);
	if (err == 0 && unlink(shared) != 0 && errno != ENOENT)
		err = -errno;
	return err;
}

int dp_set_aside(const char *path, int64_t now_us, char *name, size_t size)
{
	int err = access(path, F_OK) == 0 ? dp_remove_shm(path) : -errno;
	if (err != 0)
		return err;
	err = -EEXIST;
	for (unsigned i = 0; i < NAMES && err == -EEXIST; i++) {
		err = dated_name(path, now_us, i, name, size);
		if (err == 0)
			err = move_both(path, name);
	}
	return err != 0 ? err : sync_folder(path);
}

static bool marked(int lock)
{
	struct stat status;
	return fstat(lock, &status) == 0 && status.st_size > 0;
}

enum dp_file_state dp_file_state(int lock, const char *path)
{
	struct stat status;
	if (!marked(lock))
		return DP_FILE_FINE;
	if (stat(path, &status) != 0)
		return errno == ENOENT ? DP_FILE_GONE : DP_FILE_FINE;
	return status.st_size == 0 ? DP_FILE_EMPTIED : DP_FILE_FINE;
}

int dp_file_mark(int lock)
{
	static const char text[] = "in use\n";
	if (marked(lock))
		return 0;
	ssize_t n = pwrite(lock, text, strlen(text), 0);
	return n == (ssize_t)strlen(text) ? 0 : n < 0 ? -errno : -ENOSPC;
}

/* ---- what is suspected ---- */

#define SUSPECT "-suspect"

static int suspect_path(char note[PATH_MAX], const char *path)
{
	int n = snprintf(note, PATH_MAX, "%s" SUSPECT, path);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int suspect_text(char *text, size_t size, uint64_t device, uint64_t inode)
{
	return snprintf(text, size, "%llu %llu\n", (unsigned long long)device,
		(unsigned long long)inode);
}

int dp_suspect(const char *path, uint64_t device, uint64_t inode)
{
	char note[PATH_MAX], text[64];
	int err = suspect_path(note, path);
	if (err != 0)
		return err;
	int fd = open(note, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	int n = suspect_text(text, sizeof(text), device, inode);
	ssize_t written = write(fd, text, (size_t)n);
	err = written == n ? 0 : written < 0 ? -errno : -ENOSPC;
	close(fd);
	return err;
}

bool dp_is_suspect(const char *path, uint64_t device, uint64_t inode)
{
	char note[PATH_MAX], text[64], found[64];
	if (suspect_path(note, path) != 0)
		return false;
	int fd = open(note, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	int n = suspect_text(text, sizeof(text), device, inode);
	ssize_t got = read(fd, found, sizeof(found));
	close(fd);
	return got == n && memcmp(found, text, (size_t)n) == 0;
}

void dp_suspect_clear(const char *path)
{
	char note[PATH_MAX];
	if (suspect_path(note, path) == 0)
		unlink(note);
}
