/*
 * The file calls of common/aside.c and outbox_lock(), which can be made to fail like
 * SQLite's: linked with --wrap for each of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "../fail_vfs.h"

/* The linker's --wrap gives these names.
 * NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c) */

#define WRAP(type, name, parameters, arguments)                                            \
	type __real_##name parameters;                                                     \
	type __wrap_##name parameters;                                                     \
	type __wrap_##name parameters                                                      \
	{                                                                                  \
		if (!fail_here(FAIL_CALLS, #name))                                         \
			return __real_##name arguments;                                    \
		errno = EIO;                                                               \
		return -1;                                                                 \
	}

WRAP(int, access, (const char *path, int mode), (path, mode))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, renameat2,
	(int from_folder, const char *from, int to_folder, const char *to, unsigned flags),
	(from_folder, from, to_folder, to, flags))
WRAP(int, unlink, (const char *path), (path))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, flock, (int fd, int operation), (fd, operation))
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	if (fail_here(FAIL_CALLS, "open")) {
		errno = EIO;
		return -1;
	}
	va_list args;
	va_start(args, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __real_open(path, flags, mode);
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c) */
