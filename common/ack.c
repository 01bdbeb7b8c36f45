#include "ack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yyjson.h>

#include "number.h"

#define RANGE_TEXT 256 /* bytes one encoded range needs at most */
#define REASON_MAX 120

static const char *const kind_names[] = {"stored", "rejected", "later"};

static size_t put(char *at, const char *format, ...) __attribute__((format(printf, 2, 3)));

static size_t put(char *at, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(at, RANGE_TEXT, format, args);
	va_end(args);
	return n < 0 ? 0 : n >= RANGE_TEXT ? RANGE_TEXT - 1 : (size_t)n;
}

static size_t put_range(char *at, const struct dp_ack_range *range)
{
	char hex[DP_STREAM_HEX + 1];
	dp_hex_encode(range->stream.bytes, DP_STREAM_BYTES, hex);
	if (range->kind == DP_ACK_STORED)
		return put(at, "[\"%s\",%" PRIu64 ",%" PRIu64 "]", hex, range->first,
			range->count);
	return put(at, "[\"%s\",%" PRIu64 ",%" PRIu64 ",\"%.*s\"]", hex, range->first,
		range->count, REASON_MAX, range->reason);
}

int dp_ack_encode(const struct dp_ack_range *ranges, size_t n, char **out, size_t *len)
{
	return dp_ack_encode_takes(ranges, n, DP_ENCODING_NONE, out, len);
}

int dp_ack_encode_takes(const struct dp_ack_range *ranges, size_t n, enum dp_encoding takes,
	char **out, size_t *len)
{
	char *text = malloc((n + DP_ACK_KINDS + 2) * RANGE_TEXT);
	if (text == NULL)
		return -ENOMEM;
	size_t used = put(text, "{");
	for (int kind = 0; kind < DP_ACK_KINDS; kind++) {
		size_t of_kind = 0;
		for (size_t i = 0; i < n; i++) {
			if ((int)ranges[i].kind != kind)
				continue;
			if (of_kind++ == 0)
				used += put(text + used, "%s\"%s\":[", used > 1 ? "," : "",
					kind_names[kind]);
			else
				used += put(text + used, ",");
			used += put_range(text + used, &ranges[i]);
		}
		if (of_kind > 0)
			used += put(text + used, "]");
	}
	if (takes != DP_ENCODING_NONE)
		used += put(text + used, "%s\"takes\":[\"%s\"]", used > 1 ? "," : "",
			dp_encoding_name(takes));
	used += put(text + used, "}");
	*out = text;
	*len = used;
	return 0;
}

int dp_ack_encode_error(const char *reason, char **out, size_t *len)
{
	*out = malloc(RANGE_TEXT);
	if (*out == NULL)
		return -ENOMEM;
	*len = put(*out, "{\"error\":\"%.*s\"}", REASON_MAX, reason);
	return 0;
}

static int decode_range(yyjson_val *val, struct dp_ack_range *range)
{
	yyjson_val *stream = yyjson_arr_get(val, 0);
	yyjson_val *first = yyjson_arr_get(val, 1);
	yyjson_val *count = yyjson_arr_get(val, 2);
	yyjson_val *reason = yyjson_arr_get(val, 3);
	if (!yyjson_is_str(stream) || !yyjson_is_uint(first) || !yyjson_is_uint(count) ||
		dp_hex_decode(yyjson_get_str(stream), yyjson_get_len(stream),
			range->stream.bytes, DP_STREAM_BYTES) != 0)
		return -EBADMSG;
	range->first = yyjson_get_uint(first);
	range->count = yyjson_get_uint(count);
	if (range->first == 0 || range->first > DP_SEQ_MAX || range->count == 0 ||
		range->count > DP_SEQ_MAX)
		return -EBADMSG;
	range->reason = yyjson_is_str(reason) ? yyjson_get_str(reason) : "";
	return 0;
}

static yyjson_doc *read_json(const char *json, size_t len, yyjson_read_err *err)
{
	/* yyjson does not write to its input without YYJSON_READ_INSITU. */
	return yyjson_read_opts((char *)(uintptr_t)json, len, 0, NULL, err);
}

int dp_ack_decode(const char *json, size_t len,
	void (*each)(void *data, const struct dp_ack_range *range),
	void (*error)(void *data, const char *reason), void *data)
{
	yyjson_read_err err;
	yyjson_doc *doc = read_json(json, len, &err);
	if (doc == NULL)
		return err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? -ENOMEM : -EBADMSG;
	yyjson_val *root = yyjson_doc_get_root(doc);
	int result = yyjson_is_obj(root) ? 0 : -EBADMSG;
	yyjson_val *reason = yyjson_obj_get(root, "error");
	if (yyjson_is_str(reason))
		error(data, yyjson_get_str(reason));
	for (int kind = 0; kind < DP_ACK_KINDS && result == 0; kind++) {
		yyjson_val *ranges = yyjson_obj_get(root, kind_names[kind]);
		size_t i, max;
		yyjson_val *val;
		yyjson_arr_foreach(ranges, i, max, val)
		{
			struct dp_ack_range range = {.kind = (enum dp_ack_kind)kind};
			result = decode_range(val, &range);
			if (result != 0)
				break;
			each(data, &range);
		}
	}
	yyjson_doc_free(doc);
	return result;
}

bool dp_ack_takes(const char *json, size_t len, enum dp_encoding encoding)
{
	yyjson_read_err err;
	yyjson_doc *doc = read_json(json, len, &err);
	yyjson_val *name;
	size_t i, max;
	bool takes = false;
	yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "takes"), i, max, name)
	{
		takes = takes || yyjson_equals_str(name, dp_encoding_name(encoding));
	}
	yyjson_doc_free(doc);
	return takes;
}
