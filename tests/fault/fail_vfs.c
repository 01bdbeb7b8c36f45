#include "fail_vfs.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

struct fail_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static struct {
	sqlite3_vfs vfs, *real;
	sqlite3_mem_methods memory;
	enum fail_as as;
	/* Services use SQLite on their work queue. */
	_Atomic unsigned kinds; /* 0: not armed */
	_Atomic uint64_t calls, first, last;
	const char *_Atomic name;
} failing = {.name = "nothing"};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fail_vfs: %s\n", what);
	exit(2);
}

/* ---- counting ---- */

void fail_arm(unsigned kinds, uint64_t k, uint64_t n)
{
	failing.kinds = 0;
	failing.calls = 0;
	failing.first = k;
	failing.last = n > UINT64_MAX - k ? UINT64_MAX : k + n - 1;
	failing.name = "nothing";
	failing.kinds = kinds;
}

void fail_as(enum fail_as as)
{
	failing.as = as;
}

void fail_disarm(void)
{
	failing.kinds = 0;
}

bool fail_happened(void)
{
	return failing.calls >= failing.first;
}

const char *fail_name(void)
{
	return failing.name;
}

uint64_t fail_count(void)
{
	return failing.calls;
}

bool fail_here(enum fail_kind kind, const char *name)
{
	if ((failing.kinds & kind) == 0)
		return false;
	uint64_t call = ++failing.calls;
	if (call < failing.first || call > failing.last)
		return false;
	if (call == failing.first)
		failing.name = name;
	return true;
}

/* ---- files ---- */

static bool fails(const char *name)
{
	return fail_here(FAIL_FILES, name);
}

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct fail_file *)file)->real;
}

static int x_close(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);
	int code = real->pMethods->xClose(real);
	free(real);
	return code;
}

static int x_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
	sqlite3_file *real = real_of(file);
	return fails("read") ? SQLITE_IOERR_READ
			     : real->pMethods->xRead(real, data, len, at);
}

static int x_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
	sqlite3_file *real = real_of(file);
	if (!fails("write"))
		return real->pMethods->xWrite(real, data, len, at);
	/* Half of it is there, as on a disk that fills up. */
	real->pMethods->xWrite(real, data, len / 2, at);
	return failing.as == FAIL_AS_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	sqlite3_file *real = real_of(file);
	return fails("truncate") ? SQLITE_IOERR_TRUNCATE
				 : real->pMethods->xTruncate(real, size);
}

static int x_sync(sqlite3_file *file, int flags)
{
	sqlite3_file *real = real_of(file);
	(void)real, (void)flags; /* the system's own is not needed: no power is lost */
	return fails("sync") ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int x_size(sqlite3_file *file, sqlite3_int64 *size)
{
	sqlite3_file *real = real_of(file);
	return fails("filesize") ? SQLITE_IOERR_FSTAT
				 : real->pMethods->xFileSize(real, size);
}

static int x_lock(sqlite3_file *file, int level)
{
	sqlite3_file *real = real_of(file);
	return fails("lock") ? SQLITE_BUSY : real->pMethods->xLock(real, level);
}

static int x_unlock(sqlite3_file *file, int level)
{
	sqlite3_file *real = real_of(file);
	return real->pMethods->xUnlock(real, level);
}

static int x_reserved(sqlite3_file *file, int *out)
{
	sqlite3_file *real = real_of(file);
	return fails("reserved") ? SQLITE_IOERR_CHECKRESERVEDLOCK
				 : real->pMethods->xCheckReservedLock(real, out);
}

static int x_control(sqlite3_file *file, int op, void *arg)
{
	sqlite3_file *real = real_of(file);
	/* Not to be grown or mapped behind our back. */
	if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE ||
		op == SQLITE_FCNTL_MMAP_SIZE)
		return SQLITE_NOTFOUND;
	return real->pMethods->xFileControl(real, op, arg);
}

static int x_sector(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);
	return real->pMethods->xSectorSize(real);
}

static int x_device(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);
	return real->pMethods->xDeviceCharacteristics(real);
}

static int x_shm_map(
	sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	sqlite3_file *real = real_of(file);
	if (!fails("shm map"))
		return real->pMethods->xShmMap(real, page, size, extend, out);
	*out = NULL;
	return SQLITE_IOERR_SHMMAP;
}

static int x_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	sqlite3_file *real = real_of(file);
	if ((flags & SQLITE_SHM_UNLOCK) == 0 && fails("shm lock"))
		return SQLITE_BUSY;
	return real->pMethods->xShmLock(real, offset, n, flags);
}

static void x_shm_barrier(sqlite3_file *file)
{
	sqlite3_file *real = real_of(file);
	real->pMethods->xShmBarrier(real);
}

static int x_shm_unmap(sqlite3_file *file, int remove)
{
	sqlite3_file *real = real_of(file);
	return real->pMethods->xShmUnmap(real, remove);
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = x_close,
	.xRead = x_read,
	.xWrite = x_write,
	.xTruncate = x_truncate,
	.xSync = x_sync,
	.xFileSize = x_size,
	.xLock = x_lock,
	.xUnlock = x_unlock,
	.xCheckReservedLock = x_reserved,
	.xFileControl = x_control,
	.xSectorSize = x_sector,
	.xDeviceCharacteristics = x_device,
	.xShmMap = x_shm_map,
	.xShmLock = x_shm_lock,
	.xShmBarrier = x_shm_barrier,
	.xShmUnmap = x_shm_unmap,
};

static int x_open(
	sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	struct fail_file *f = (struct fail_file *)file;
	(void)vfs;
	*f = (struct fail_file){.base = {NULL}};
	if (fails("open"))
		return SQLITE_CANTOPEN;
	f->real = calloc(1, (size_t)failing.real->szOsFile);
	must(f->real != NULL, "out of memory");
	int code = failing.real->xOpen(failing.real, name, f->real, flags, out);
	if (code != SQLITE_OK) {
		free(f->real);
		return code;
	}
	f->base.pMethods = &methods;
	return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
	(void)vfs;
	return fails("delete") ? SQLITE_IOERR_DELETE
			       : failing.real->xDelete(failing.real, name, sync_folder);
}

static int x_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs;
	return fails("access") ? SQLITE_IOERR_ACCESS
			       : failing.real->xAccess(failing.real, name, flags, out);
}

static int x_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return us;
}

/* ---- memory ---- */

static void *x_malloc(int size)
{
	return fail_here(FAIL_MEMORY, "malloc") ? NULL : failing.memory.xMalloc(size);
}

static void *x_realloc(void *memory, int size)
{
	return fail_here(FAIL_MEMORY, "realloc") ? NULL
						 : failing.memory.xRealloc(memory, size);
}

static void count_allocations(void)
{
	must(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &failing.memory) == SQLITE_OK,
		"SQLite was used before fail_vfs_install()");
	sqlite3_mem_methods counted = failing.memory;
	counted.xMalloc = x_malloc;
	counted.xRealloc = x_realloc;
	must(sqlite3_config(SQLITE_CONFIG_MALLOC, &counted) == SQLITE_OK,
		"SQLite's allocations cannot be counted");
	/* Not from a pool of its own, in which nothing can fail. */
	sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
}

void fail_vfs_install(void)
{
	count_allocations();
	failing.real = sqlite3_vfs_find(NULL);
	failing.vfs = *failing.real;
	failing.vfs.pNext = NULL;
	failing.vfs.zName = "fail";
	failing.vfs.szOsFile = sizeof(struct fail_file);
	failing.vfs.xOpen = x_open;
	failing.vfs.xDelete = x_delete;
	failing.vfs.xAccess = x_access;
	failing.vfs.xSleep = x_sleep;
	must(sqlite3_vfs_register(&failing.vfs, 1) == SQLITE_OK, "cannot be registered");
}
