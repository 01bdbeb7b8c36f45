#include "identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "number.h"

static void add(struct dp_identity_text *text, const char *name, const char *value)
{
	text->properties[text->n++] = (struct dp_property){name, value};
}

/* By enum dp_encoding. */
static const char *const encodings[] = {NULL, "deflate"};

const char *dp_encoding_name(enum dp_encoding encoding)
{
	return encodings[encoding];
}

void dp_identity_encode(const struct dp_identity *identity, struct dp_identity_text *text)
{
	text->n = 0;
	dp_hex_encode(identity->stream.bytes, DP_STREAM_BYTES, text->stream);
	snprintf(text->first, sizeof(text->first), "%" PRIu64, identity->first);
	snprintf(text->count, sizeof(text->count), "%" PRIu32, identity->count);
	add(text, "v",
		identity->encoding == DP_ENCODING_NONE ? DP_CONTRACT_VERSION
						       : DP_CONTRACT_ENCODED);
	add(text, "stream", text->stream);
	add(text, "first", text->first);
	add(text, "count", text->count);
	if (identity->low != 0) {
		snprintf(text->low, sizeof(text->low), "%" PRIu64, identity->low);
		add(text, "low", text->low);
	}
	if (identity->clock != DP_CLOCK_SYNCED)
		add(text, "clock", dp_clock_mark_name(identity->clock));
	if (identity->wait_ms != 0) {
		snprintf(text->wait, sizeof(text->wait), "%" PRIu32, identity->wait_ms);
		add(text, "wait", text->wait);
	}
	if (identity->encoding != DP_ENCODING_NONE)
		add(text, "encoding", encodings[identity->encoding]);
	if (identity->offer != DP_ENCODING_NONE)
		add(text, "offer", encodings[identity->offer]);
	if (identity->clock == DP_CLOCK_NONE) {
		snprintf(text->boottime, sizeof(text->boottime), "%" PRId64,
			identity->boottime_ns);
		add(text, "boot", identity->boot);
		add(text, "boottime", text->boottime);
	}
}

enum field {
	V,
	STREAM,
	FIRST,
	COUNT,
	LOW,
	CLOCK,
	BOOT,
	BOOTTIME,
	WAIT,
	ENCODING,
	OFFER,
	FIELDS
};

static const char *const field_names[FIELDS] = {"v", "stream", "first", "count", "low",
	"clock", "boot", "boottime", "wait", "encoding", "offer"};

static int collect(
	const struct dp_property *properties, size_t n, const char *values[FIELDS])
{
	for (size_t i = 0; i < n; i++) {
		for (int f = 0; f < FIELDS; f++) {
			if (strcmp(properties[i].name, field_names[f]) != 0)
				continue;
			if (values[f] != NULL)
				return -EBADMSG;
			values[f] = properties[i].value;
		}
	}
	return 0;
}

static int decode_range(
	const char *values[FIELDS], struct dp_identity *out, const char **why)
{
	uint64_t count;
	*why = "stream property is missing or not 32 lower-case hexadecimal digits";
	if (values[STREAM] == NULL || dp_hex_decode(values[STREAM], strlen(values[STREAM]),
					      out->stream.bytes, DP_STREAM_BYTES) != 0)
		return -EBADMSG;
	*why = "first property is missing or not within 1 and 2^53";
	if (values[FIRST] == NULL || dp_parse_u64(values[FIRST], &out->first) != 0 ||
		out->first == 0 || out->first > DP_SEQ_MAX)
		return -EBADMSG;
	*why = "count property is missing or not within 0 and 10000";
	if (values[COUNT] == NULL || dp_parse_u64(values[COUNT], &count) != 0 ||
		count > DP_COUNT_MAX || out->first + count > DP_SEQ_MAX + 1)
		return -EBADMSG;
	out->count = (uint32_t)count;
	return 0;
}

static int decode_clock(
	const char *values[FIELDS], struct dp_identity *out, const char **why)
{
	if (values[CLOCK] == NULL)
		return 0;
	*why = "clock property is not unsynced, guessed or none";
	if (dp_clock_parse_mark(values[CLOCK], &out->clock) != 0)
		return -EBADMSG;
	if (out->clock != DP_CLOCK_NONE)
		return 0;
	*why = "clock none needs the boot and boottime properties";
	if (values[BOOT] == NULL || strlen(values[BOOT]) > DP_BOOT_ID_LEN ||
		values[BOOTTIME] == NULL ||
		dp_parse_i64(values[BOOTTIME], 0, INT64_MAX, &out->boottime_ns) != 0)
		return -EBADMSG;
	memcpy(out->boot, values[BOOT], strlen(values[BOOT]) + 1);
	return 0;
}

/* A wish: what it says wrongly does not cost a reading. */
static void decode_wait(const char *value, struct dp_identity *out)
{
	uint64_t wait_ms;
	if (value == NULL)
		return;
	if (dp_parse_u64(value, &wait_ms) != 0) {
		out->odd_wait = true;
	} else if (wait_ms > DP_WAIT_MAX_MS) {
		out->odd_wait = true;
		out->wait_ms = DP_WAIT_MAX_MS;
	} else {
		out->wait_ms = (uint32_t)wait_ms;
	}
}

/* @return false: none of ours */
static bool decode_encoding(const char *value, enum dp_encoding *out)
{
	if (value == NULL)
		return true;
	for (size_t i = 1; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		if (strcmp(value, encodings[i]) == 0) {
			*out = (enum dp_encoding)i;
			return true;
		}
	}
	return false;
}

/* Who sent it has to keep it. */
static int decode_unknown(const char *values[FIELDS], const char *reason,
	struct dp_identity *identity, const char **why)
{
	struct dp_identity out = {.clock = DP_CLOCK_SYNCED};
	if (decode_range(values, &out, why) != 0)
		out.count = 0;
	*identity = out;
	*why = reason;
	return -EPROTONOSUPPORT;
}

int dp_identity_decode(const struct dp_property *properties, size_t n,
	struct dp_identity *identity, const char **why)
{
	const char *values[FIELDS] = {NULL};
	struct dp_identity out = {.clock = DP_CLOCK_SYNCED};
	*why = "a property comes twice";
	if (collect(properties, n, values) != 0)
		return -EBADMSG;
	*why = "v property is missing";
	if (values[V] == NULL)
		return -EBADMSG;
	if (strcmp(values[V], DP_CONTRACT_VERSION) != 0 &&
		strcmp(values[V], DP_CONTRACT_ENCODED) != 0)
		return decode_unknown(values,
			"contract version is not " DP_CONTRACT_VERSION
			" or " DP_CONTRACT_ENCODED,
			identity, why);
	if (!decode_encoding(values[ENCODING], &out.encoding))
		return decode_unknown(
			values, "the encoding is not known here", identity, why);
	/* One that is not known is not taken up. */
	decode_encoding(values[OFFER], &out.offer);
	decode_wait(values[WAIT], &out);
	int err = decode_range(values, &out, why);
	if (err == 0)
		err = decode_clock(values, &out, why);
	if (err != 0)
		return err;
	if (values[LOW] != NULL) {
		*why = "low property is not within 1 and first";
		if (dp_parse_u64(values[LOW], &out.low) != 0 || out.low == 0 ||
			out.low > out.first)
			return -EBADMSG;
	}
	*why = "count 0 without low says nothing";
	if (out.count == 0 && out.low == 0)
		return -EBADMSG;
	*identity = out;
	return 0;
}
