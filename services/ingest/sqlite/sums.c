#include "sums.h"

#include "fnv.h"

/* Four bytes of a row, not six. A flipped bit changes the lowest byte in any case: neither
 * the multiplications nor the bytes that follow move its lowest trace. */
static int64_t sum_as_stored(uint32_t sum)
{
	return sum & INT32_MAX;
}

int64_t sum_of_stream(const struct dp_stream_id *stream, const char *node, size_t node_len)
{
	uint32_t sum = dp_fnv(DP_FNV_BASIS, stream->bytes, DP_STREAM_BYTES);
	return sum_as_stored(dp_fnv(sum, node, node_len));
}

int64_t sum_of_interval(int64_t stream, uint64_t first, uint64_t last)
{
	uint32_t sum = dp_fnv_number(DP_FNV_BASIS, (uint64_t)stream);
	return sum_as_stored(dp_fnv_number(dp_fnv_number(sum, first), last));
}

int64_t sum_of_next_id(int64_t next_id)
{
	return sum_as_stored(dp_fnv_number(DP_FNV_BASIS, (uint64_t)next_id));
}

bool sum_is(sqlite3_stmt *statement, int column, int64_t sum)
{
	int type = sqlite3_column_type(statement, column);
	return type == SQLITE_NULL ||
	       (type == SQLITE_INTEGER && sqlite3_column_int64(statement, column) == sum);
}
