/*
 * Who holds a lease is alive while its lock moves: one byte of a file is locked, and each
 * renewal locks the next one. The kernel writes nothing for it, and frees the lock of a
 * process that ends, however it ends; one that is frozen keeps its lock, which stands
 * still.
 *
 * The locks are those of F_OFD_SETLK: of an open file, not of a process. flock() knows
 * nothing of them. They lie behind whatever the file contains, so:
 *
 *     offset of a byte  =  area << 24  |  (number & 0xfff) << 12  |  (step & 0xfff)
 *
 * An area is a lease (store_lease.c says which), a number one holding of it, a step one
 * renewal. Holdings have places of their own, so that a former holder who is frozen is not
 * taken for the present one. A ring of 4,096 steps, as with two of them somebody who looks
 * half as often as they alternate would see no change. All below 2^31.
 *
 * No call waits.
 */
#ifndef DP_BYTE_LOCK_H
#define DP_BYTE_LOCK_H

#include <stdint.h>

#define DP_BYTE_FREE (-1)    /**< nobody else has locked one */
#define DP_BYTE_UNKNOWN (-2) /**< the kernel does not say */
#define DP_BYTE_AREA_MAX 127 /**< areas count from 1 */

/**
 * Lock the byte of this step, and free whatever else of the area is ours.
 * @return 0; -EAGAIN somebody else has it; otherwise what fcntl() says, as ENOLCK: others
 *         may see no lock of ours, or one that stands still
 */
int dp_byte_lock(int fd, unsigned area, int64_t number, unsigned step);

/** Which byte of a holding somebody else has locked: an offset, or one of the above. */
int64_t dp_byte_look(int fd, unsigned area, int64_t number);

/** Free what is ours of an area. It may fail where locking does; closing the file frees it.
 */
void dp_byte_free(int fd, unsigned area);

#endif
