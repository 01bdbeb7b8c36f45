/*
 * The broker's database: opening it, its transactions. ingest inserts, the pruner
 * deletes; both do so with statements of their own on the handle from here. Its leases are
 * in store_lease.h.
 *
 * The file may be damaged. ingest then sets it aside and begins a new one, and nobody
 * may go on with the old: who writes holds a lock (a file beside the database) shared
 * for the length of a transaction and looks, inside it, whether the file is still the
 * one at the path; who sets it aside holds the lock alone. The lock file stays; if somebody
 * deletes it, all go over to the one that is made next.
 */
#ifndef DP_STORE_H
#define DP_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

/** What STORE_URL may be, when the value is none; else NULL. For config tables. */
const char *dp_check_store_url(const char *value);

#define DP_STORE_ID 33 /* 128 bits in hexadecimal, and the end */

struct dp_store {
	sqlite3 *db;	  /**< NULL while it is not open */
	const char *path; /**< of the database */
	sqlite3_stmt *version;
	int lock; /**< descriptor of the lock file; -1 while there is none */
	uint64_t device, inode;
	char id[DP_STORE_ID]; /**< which store it is, hexadecimal; empty until it is open */
};

/**
 * Open the database at a checked STORE_URL, which outlives the store.
 * Waits for other processes for a second or two, no longer.
 * @return 0; -EBUSY another process has it locked (not logged): the store is closed, try
 *         again later; -EUCLEAN it is damaged (not logged): dp_store_replace() or
 *         dp_store_close() may follow; otherwise as dp_sqlite_open(), logged, and the
 *         store is closed
 */
int dp_store_open(struct dp_store *store, const char *url);

/** With the statements of the caller finalized. Harmless when it is closed already. */
void dp_store_close(struct dp_store *store);

/**
 * Close it, unless it is closed, and open what is at its path now.
 * @return as dp_store_open()
 */
int dp_store_reopen(struct dp_store *store);

/**
 * It is damaged: set it aside, unless somebody else has done so, and open a new one.
 * Logs one line. For ingest alone; its statements are finalized.
 * @return 0; -EBUSY somebody is using it just now, try again; as dp_store_open()
 */
int dp_store_replace(struct dp_store *store, int64_t now_us);

/**
 * It is damaged, says who may not replace it: from here on dp_lease_renew() returns
 * -EUCLEAN to everybody, ingest too, until ingest has looked through all of the file and
 * replaced it or found it sound. (The note cannot tell a file from a good copy that was
 * written over it.) @return 0 or a negative errno
 */
int dp_store_suspect(struct dp_store *store);

/** Whether the file that was opened last, or found damaged, is still the one at the path.
 */
bool dp_store_is_there(const struct dp_store *store);

/** Whether somebody has called dp_store_suspect() for the file that was opened last. */
bool dp_store_is_suspect(const struct dp_store *store);

/** It was looked through, and nothing is wrong with it: it is suspected no longer. Logged.
 */
void dp_store_found_sound(const struct dp_store *store);

/**
 * Begin a transaction that may write.
 * @return 0; -ESTALE the file at the path, or the lock file, is another one now:
 *         dp_store_reopen();
 *         -EPROTO a newer version has been there meanwhile, logged; -EBUSY; otherwise as
 *         dp_sqlite_error()
 */
int dp_store_begin(struct dp_store *store);

/** End it. @return 0, or as dp_sqlite_error() with nothing done */
int dp_store_commit(struct dp_store *store);
void dp_store_rollback(struct dp_store *store);

#endif
