#include "cut_vfs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#define SECTOR 512
#define FILES 16
#define NAME_SIZE 512

/* A write since the last sync; data NULL: a truncation to `at`. */
struct pending {
	struct pending *next;
	int64_t at;
	int len;
	char *data;
};

struct track {
	char name[NAME_SIZE];
	char *durable;
	int64_t size;
	bool synced; /* ever */
	struct pending *first, **end;
};

struct cut_file {
	sqlite3_file base;
	struct track *track; /* NULL: a temporary file */
	sqlite3_file *real;
};

static struct {
	sqlite3_vfs vfs, *real;
	uint64_t random;
	bool ignore_sync, dead;
	unsigned countdown; /* 0: not armed */
	struct track tracks[FILES];
	unsigned n;
} cut;

static uint64_t draw(uint64_t n)
{
	cut.random ^= cut.random << 13;
	cut.random ^= cut.random >> 7;
	cut.random ^= cut.random << 17;
	return (cut.random >> 11) % n;
}

static void *must(void *memory)
{
	if (memory != NULL)
		return memory;
	fprintf(stderr, "cut_vfs: out of memory\n");
	exit(2);
}

/* ---- what is durable ---- */

static struct track *track_of(const char *name)
{
	for (unsigned i = 0; i < cut.n; i++) {
		if (strcmp(cut.tracks[i].name, name) == 0)
			return &cut.tracks[i];
	}
	if (cut.n == FILES || strlen(name) >= NAME_SIZE) {
		fprintf(stderr, "cut_vfs: too many files\n");
		exit(2);
	}
	struct track *track = &cut.tracks[cut.n++];
	*track = (struct track){.end = &track->first};
	snprintf(track->name, sizeof(track->name), "%s", name);
	return track;
}

static void note(struct track *track, const void *data, int len, int64_t at)
{
	struct pending *pending = must(calloc(1, sizeof(*pending)));
	pending->at = at;
	pending->len = len;
	if (data != NULL)
		pending->data = memcpy(must(malloc((size_t)len + 1)), data, (size_t)len);
	*track->end = pending;
	track->end = &pending->next;
}

static void resize(struct track *track, int64_t size)
{
	if (size == track->size)
		return;
	track->durable = must(realloc(track->durable, (size_t)size + 1));
	if (size > track->size)
		memset(track->durable + track->size, 0, (size_t)(size - track->size));
	track->size = size;
}

static void apply_bytes(struct track *track, const char *data, int64_t at, int64_t len)
{
	if (at + len > track->size)
		resize(track, at + len);
	memcpy(track->durable + at, data, (size_t)len);
}

/* By chance, sector by sector. */
static void apply_torn(struct track *track, const struct pending *pending)
{
	uint64_t fate = draw(3); /* all, nothing, or some of it */
	for (int64_t done = 0; done < pending->len;) {
		int64_t len = SECTOR - (pending->at + done) % SECTOR;
		if (len > pending->len - done)
			len = pending->len - done;
		if (fate == 0 || (fate == 2 && draw(2) == 0))
			apply_bytes(track, pending->data + done, pending->at + done, len);
		done += len;
	}
}

/* Make the pending writes durable, all of them or those that chance leaves. */
static void settle(struct track *track, bool torn)
{
	while (track->first != NULL) {
		struct pending *pending = track->first;
		track->first = pending->next;
		if (pending->data == NULL && (!torn || draw(2) == 0))
			resize(track, pending->at);
		else if (pending->data != NULL && !torn)
			apply_bytes(track, pending->data, pending->at, pending->len);
		else if (pending->data != NULL)
			apply_torn(track, pending);
		free(pending->data);
		free(pending);
	}
	track->end = &track->first;
}

static void forget(struct track *track)
{
	settle(track, false);
	free(track->durable);
	track->durable = NULL;
	track->size = 0;
	track->synced = false;
}

/* One operation more. @return whether the power is gone */
static bool power_gone(void)
{
	if (!cut.dead && cut.countdown > 0) {
		cut.countdown--;
		cut.dead = cut.countdown == 0;
	}
	return cut.dead;
}

/* ---- files ---- */

static struct cut_file *self(sqlite3_file *file)
{
	return (struct cut_file *)file;
}

static int x_close(sqlite3_file *file)
{
	sqlite3_file *real = self(file)->real;
	int code = real->pMethods->xClose(real);
	free(real);
	return code;
}

static int x_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
	sqlite3_file *real = self(file)->real;
	return cut.dead ? SQLITE_IOERR_READ : real->pMethods->xRead(real, data, len, at);
}

static int x_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
	struct cut_file *f = self(file);
	if (cut.dead)
		return SQLITE_IOERR_WRITE;
	if (f->track != NULL)
		note(f->track, data, len, at);
	if (power_gone())
		return SQLITE_IOERR_WRITE;
	return f->real->pMethods->xWrite(f->real, data, len, at);
}

static int x_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct cut_file *f = self(file);
	if (cut.dead)
		return SQLITE_IOERR_TRUNCATE;
	if (f->track != NULL)
		note(f->track, NULL, 0, size);
	if (power_gone())
		return SQLITE_IOERR_TRUNCATE;
	return f->real->pMethods->xTruncate(f->real, size);
}

static int x_sync(sqlite3_file *file, int flags)
{
	struct cut_file *f = self(file);
	(void)flags; /* the system's own is not needed: no power is really lost */
	if (power_gone())
		return SQLITE_IOERR_FSYNC;
	if (f->track != NULL && !cut.ignore_sync) {
		settle(f->track, false);
		f->track->synced = true;
	}
	return SQLITE_OK;
}

static int x_size(sqlite3_file *file, sqlite3_int64 *size)
{
	sqlite3_file *real = self(file)->real;
	return real->pMethods->xFileSize(real, size);
}

static int x_lock(sqlite3_file *file, int level)
{
	sqlite3_file *real = self(file)->real;
	return real->pMethods->xLock(real, level);
}

static int x_unlock(sqlite3_file *file, int level)
{
	sqlite3_file *real = self(file)->real;
	return real->pMethods->xUnlock(real, level);
}

static int x_reserved(sqlite3_file *file, int *out)
{
	sqlite3_file *real = self(file)->real;
	return real->pMethods->xCheckReservedLock(real, out);
}

static int x_control(sqlite3_file *file, int op, void *arg)
{
	sqlite3_file *real = self(file)->real;
	/* Not to be grown or mapped behind our back. */
	if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE ||
		op == SQLITE_FCNTL_MMAP_SIZE)
		return SQLITE_NOTFOUND;
	return real->pMethods->xFileControl(real, op, arg);
}

static int x_sector(sqlite3_file *file)
{
	sqlite3_file *real = self(file)->real;
	return real->pMethods->xSectorSize(real);
}

static int x_device(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int x_shm_map(
	sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	sqlite3_file *real = self(file)->real;
	return real->pMethods->xShmMap(real, page, size, extend, out);
}

static int x_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	sqlite3_file *real = self(file)->real;
	return real->pMethods->xShmLock(real, offset, n, flags);
}

static void x_shm_barrier(sqlite3_file *file)
{
	sqlite3_file *real = self(file)->real;
	real->pMethods->xShmBarrier(real);
}

static int x_shm_unmap(sqlite3_file *file, int remove)
{
	sqlite3_file *real = self(file)->real;
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
	struct cut_file *f = self(file);
	(void)vfs;
	*f = (struct cut_file){.base = {NULL}};
	if (cut.dead)
		return SQLITE_CANTOPEN;
	/* A new file has nothing of the one that was deleted. */
	if (name != NULL && access(name, F_OK) != 0)
		forget(track_of(name));
	f->real = must(calloc(1, (size_t)cut.real->szOsFile));
	int code = cut.real->xOpen(cut.real, name, f->real, flags, out);
	if (code != SQLITE_OK) {
		free(f->real);
		return code;
	}
	f->track = name != NULL ? track_of(name) : NULL;
	f->base.pMethods = &methods;
	return SQLITE_OK;
}

/* SQLite syncs the folder when it matters to it; else a deleted file may come back. */
static int x_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
	(void)vfs;
	if (power_gone())
		return SQLITE_IOERR_DELETE;
	if (sync_folder || draw(2) == 0)
		forget(track_of(name));
	return cut.real->xDelete(cut.real, name, sync_folder);
}

/* ---- power ---- */

void cut_vfs_install(uint64_t seed, bool ignore_sync)
{
	cut.real = sqlite3_vfs_find(NULL);
	cut.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	cut.ignore_sync = ignore_sync;
	cut.vfs = *cut.real;
	cut.vfs.pNext = NULL;
	cut.vfs.zName = "cut";
	cut.vfs.szOsFile = sizeof(struct cut_file);
	cut.vfs.xOpen = x_open;
	cut.vfs.xDelete = x_delete;
	if (sqlite3_vfs_register(&cut.vfs, 1) != SQLITE_OK)
		exit(2);
}

void cut_arm(unsigned n)
{
	cut.countdown = n;
}

bool cut_happened(void)
{
	return cut.dead;
}

static void write_back(const struct track *track)
{
	FILE *file = fopen(track->name, "wb");
	bool ok = file != NULL &&
		  (track->size == 0 ||
			  fwrite(track->durable, (size_t)track->size, 1, file) == 1);
	if (file != NULL && fclose(file) != 0)
		ok = false;
	if (ok)
		return;
	fprintf(stderr, "cut_vfs: cannot write %s\n", track->name);
	exit(2);
}

void cut_restore(void)
{
	for (unsigned i = 0; i < cut.n; i++) {
		struct track *track = &cut.tracks[i];
		char shared[NAME_SIZE + 8];
		bool exists = track->synced || (track->first != NULL && draw(2) == 0);
		settle(track, true);
		if (exists)
			write_back(track);
		else
			forget(track);
		if (!exists)
			unlink(track->name);
		/* What is found after a restart is durable. */
		track->synced = exists;
		snprintf(shared, sizeof(shared), "%s-shm", track->name);
		unlink(shared);
	}
	cut.dead = false;
	cut.countdown = 0;
}
