/*
 * Payloads made shorter and whole again: RFC 1950, zlib's format, whose checksum tells a
 * damaged one. Both directions work in memory whose size is known. Pure. The only user of
 * <zlib.h>.
 */
#ifndef DP_DEFLATE_H
#define DP_DEFLATE_H

#include <stddef.h>

struct z_stream_s;

/** Deflates one payload after the other; all zero at first. */
struct dp_deflater {
	struct z_stream_s *z;
};

/** Take the memory, some 36 KB. Nothing is allocated afterwards. @return 0 or -ENOMEM */
int dp_deflater_init(struct dp_deflater *deflater);
void dp_deflater_finish(struct dp_deflater *deflater);

/** @return bytes written, or 0 when the payload needs more than `size` */
size_t dp_deflate(struct dp_deflater *deflater, const void *payload, size_t len, void *to,
	size_t size);

/** Inflates one payload after the other; all zero at first. */
struct dp_inflater {
	struct z_stream_s *z;
	char *at; /**< the last one */
	size_t len, size;
};

/**
 * Inflate what dp_deflate() wrote, or anybody else's zlib, into inflater->at. The first
 * call takes memory: `most` bytes, of which only what is written to is occupied, and some
 * 40 KB. `most` is the same in each call.
 * @param why  set to a literal unless it is 0 or -ENOMEM
 * @return 0; -EMSGSIZE more than `most` bytes; -EBADMSG damaged, cut short, followed by
 *         something else, or in need of a dictionary; -ENOMEM
 */
int dp_inflate(struct dp_inflater *inflater, const void *deflated, size_t len, size_t most,
	const char **why);

void dp_inflater_finish(struct dp_inflater *inflater);

#endif
