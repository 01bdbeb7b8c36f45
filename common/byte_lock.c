#include "byte_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define AREA_BITS 24
#define HOLDING_BITS 12
#define HOLDING (INT64_C(1) << HOLDING_BITS)
#define MASK 0xfff

static int64_t holding_start(unsigned area, int64_t number)
{
	uint64_t place = (uint64_t)number & MASK;
	return ((int64_t)area << AREA_BITS) + (int64_t)(place << HOLDING_BITS);
}

static struct flock range(short type, int64_t from, int64_t until)
{
	return (struct flock){.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)from,
		.l_len = (off_t)(until - from)};
}

static int set(int fd, short type, int64_t from, int64_t until)
{
	if (from == until)
		return 0; /* a length of 0 would be all the rest of the file */
	struct flock lock = range(type, from, until);
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

int dp_byte_lock(int fd, unsigned area, int64_t number, unsigned step)
{
	int64_t start = (int64_t)area << AREA_BITS, end = start + (1 << AREA_BITS);
	int64_t at = holding_start(area, number) + (step & MASK);
	/* In this order: who looks meanwhile sees two, never none. */
	int err = set(fd, F_WRLCK, at, at + 1);
	if (err == 0)
		err = set(fd, F_UNLCK, start, at);
	if (err == 0)
		err = set(fd, F_UNLCK, at + 1, end);
	return err;
}

int64_t dp_byte_look(int fd, unsigned area, int64_t number)
{
	int64_t start = holding_start(area, number);
	struct flock lock = range(F_WRLCK, start, start + HOLDING);
	if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
		return DP_BYTE_UNKNOWN;
	return lock.l_type == F_UNLCK ? DP_BYTE_FREE : (int64_t)lock.l_start;
}

void dp_byte_free(int fd, unsigned area)
{
	int64_t start = (int64_t)area << AREA_BITS;
	/* A lock that stayed would stand still, and its lease be over after the ttl. */
	(void)set(fd, F_UNLCK, start, start + (1 << AREA_BITS));
}
