/*
 * Setting a damaged database file aside: nothing is overwritten, nothing thrown away. All
 * of it waits for the disk: not on the loop's thread.
 */
#ifndef DP_ASIDE_H
#define DP_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Rename `path` to `path.corrupt-20261123T022400Z`, and its write-ahead log along with
 * it, so that both can still be opened there; the shared memory beside it is removed.
 * A number follows where a name is taken. To be called by one process, which holds a
 * lock for it, with every connection of its own closed.
 * @param now_us  wall clock, for the name
 * @param name    what the file is called now
 * @return 0; -ENOENT there is no such file; -ENAMETOOLONG; another negative errno
 */
int dp_set_aside(const char *path, int64_t now_us, char *name, size_t size);

/**
 * Remove the shared memory (-shm) that a database at `path` had. It outlives a database
 * which was deleted under its users, and must not be taken for that of the next one.
 * To be called as dp_set_aside() is. @return 0 or a negative errno
 */
int dp_remove_shm(const char *path);

/**
 * Note beside `path`, in `path-suspect`, that the file of this device and number is
 * damaged: for whoever may replace it and has not met the damage. @return 0 or a negative
 * errno
 */
int dp_suspect(const char *path, uint64_t device, uint64_t inode);

/** Whether dp_suspect() has noted exactly this file, not one that had the path before. */
bool dp_is_suspect(const char *path, uint64_t device, uint64_t inode);

/** Remove the note: the file is replaced. */
void dp_suspect_clear(const char *path);

/** A file as its lock file knows it. */
enum dp_file_state {
	DP_FILE_FINE,
	DP_FILE_GONE,	 /**< it was in use once and is not there */
	DP_FILE_EMPTIED, /**< it was in use once and has no content: a damage like others */
};

/** @param lock  descriptor of the lock file beside `path` */
enum dp_file_state dp_file_state(int lock, const char *path);

/** Note in the lock file that the file is in use. @return 0 or a negative errno */
int dp_file_mark(int lock);

#endif
