#include "deflate.h"

#include <errno.h>
#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

/*
 * A window of 4 KB and tables to match: 36 KB instead of 268 with zlib's own choice. A
 * batch repeats itself within a reading or a few, so it becomes no longer: README.md.
 */
#define WINDOW_BITS 12
#define MEM_LEVEL 5

int dp_deflater_init(struct dp_deflater *deflater)
{
	z_stream *z = calloc(1, sizeof(*z));
	if (z == NULL)
		return -ENOMEM;
	if (deflateInit2(z, Z_BEST_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL,
		    Z_DEFAULT_STRATEGY) != Z_OK) {
		free(z);
		return -ENOMEM;
	}
	deflater->z = z;
	return 0;
}

void dp_deflater_finish(struct dp_deflater *deflater)
{
	if (deflater->z != NULL)
		(void)deflateEnd(deflater->z); /* says whether output was pending */
	free(deflater->z);
	deflater->z = NULL;
}

size_t dp_deflate(struct dp_deflater *deflater, const void *payload, size_t len, void *to,
	size_t size)
{
	z_stream *z = deflater->z;
	z->next_in = payload;
	z->avail_in = (uInt)len;
	z->next_out = to;
	z->avail_out = (uInt)size;
	/* Only a stream that was never begun cannot be reset. */
	if (deflateReset(z) != Z_OK || deflate(z, Z_FINISH) != Z_STREAM_END)
		return 0;
	return size - z->avail_out;
}

static int inflater_init(struct dp_inflater *inflater, size_t most)
{
	inflater->size = most + 1; /* one more, to see that it is too much */
	inflater->at = malloc(inflater->size);
	z_stream *z = inflater->at != NULL ? calloc(1, sizeof(*z)) : NULL;
	if (z != NULL && inflateInit(z) == Z_OK) {
		inflater->z = z;
		return 0;
	}
	free(z);
	free(inflater->at);
	inflater->at = NULL;
	return -ENOMEM;
}

void dp_inflater_finish(struct dp_inflater *inflater)
{
	if (inflater->z != NULL)
		(void)inflateEnd(inflater->z);
	free(inflater->z);
	free(inflater->at);
	*inflater = (struct dp_inflater){.z = NULL};
}

/* In one call, so zlib needs no window of its own but for what is not whole. */
int dp_inflate(struct dp_inflater *inflater, const void *deflated, size_t len, size_t most,
	const char **why)
{
	if (inflater->z == NULL && inflater_init(inflater, most) != 0)
		return -ENOMEM;
	z_stream *z = inflater->z;
	z->next_in = deflated;
	z->avail_in = (uInt)len;
	z->next_out = (Bytef *)inflater->at;
	z->avail_out = (uInt)inflater->size;
	int code = inflateReset(z);
	if (code == Z_OK)
		code = inflate(z, Z_FINISH);
	inflater->len = inflater->size - z->avail_out;
	if (code == Z_MEM_ERROR)
		return -ENOMEM;
	if (inflater->len > most) {
		*why = "larger than MAX_MESSAGE_BYTES when inflated";
		return -EMSGSIZE;
	}
	if (code == Z_STREAM_END && z->avail_in == 0)
		return 0;
	*why = code == Z_STREAM_END  ? "something follows the deflated payload"
	       : code == Z_NEED_DICT ? "the deflated payload needs a dictionary"
	       : code == Z_BUF_ERROR ? "the deflated payload is cut short"
				     : "the payload is not deflated, or damaged";
	return -EBADMSG;
}
