/*
 * A file system of which the k-th call fails: an SQLite VFS above the system's own,
 * SQLite's allocations, and whatever else a program counts in with fail_here(). As SQLite's
 * own tests do it (sqlite.org/testing.html, "Anomaly Testing"): run a scenario with the
 * first call failing, then with the second, and so on until it ends before anything has
 * failed.
 *
 *     fail_vfs_install();
 *     for (uint64_t k = 1; fail_happened(); k++) {
 *         fail_arm(FAIL_FILES, k, 1);
 *         scenario();
 *         fail_disarm();
 *         ... and judge what is there now
 *     }
 *
 * Nothing is counted and nothing fails while it is not armed. What cannot fail, or whose
 * failure SQLite is not told of (closing, unlocking), does not. SQLite does not sleep: what
 * is busy is so for as many calls as it tries.
 */
#ifndef FAIL_VFS_H
#define FAIL_VFS_H

#include <stdbool.h>
#include <stdint.h>

/** What is counted, to be joined with |. */
enum fail_kind {
	FAIL_FILES = 1,	 /**< SQLite's calls of the file system; locks are busy */
	FAIL_MEMORY = 2, /**< SQLite's allocations */
	FAIL_CALLS = 4,	 /**< the program's own, by fail_here() */
};

/** What a write says that fails. */
enum fail_as { FAIL_AS_BROKEN, FAIL_AS_FULL };

/** Make it SQLite's default. Before SQLite is used for the first time. */
void fail_vfs_install(void);

/** Of the calls of these kinds from now on, the k-th and `n` - 1 after it fail; k from 1.
 */
void fail_arm(unsigned kinds, uint64_t k, uint64_t n);
void fail_as(enum fail_as as);
void fail_disarm(void);

/** Whether anything has failed since fail_arm(). */
bool fail_happened(void);

/** Name of the first call that failed since fail_arm(), for messages: a literal; never
 * NULL. */
const char *fail_name(void);

/** How many calls were counted since fail_arm(). */
uint64_t fail_count(void);

/** Count a call of the program's own. @return whether it is to fail */
bool fail_here(enum fail_kind kind, const char *name);

#endif
