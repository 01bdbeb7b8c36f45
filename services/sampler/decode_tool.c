#include "decode_tool.h"

#include "dht_decode.h"
#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define COMMAND "sampler --decode"

/* Read all of a stream, at most TRACE_TEXT_MAX bytes. @return 0 or -errno */
static int read_text(FILE *in, char **text, size_t *len)
{
	size_t size = 1 << 16;

	*text = NULL;
	*len = 0;
	for (;;) {
		char *grown = realloc(*text, size);
		if (grown == NULL)
			return -ENOMEM;
		*text = grown;
		*len += fread(*text + *len, 1, size - *len, in);
		if (ferror(in))
			return -EIO;
		if (*len < size)
			return 0;
		if (size > TRACE_TEXT_MAX)
			return -EFBIG;
		size *= 2;
	}
}

static const char *tenths(char buf[16], int32_t milli)
{
	int32_t magnitude = milli < 0 ? -milli : milli;

	snprintf(buf, 16, "%s%" PRId32 ".%" PRId32, milli < 0 ? "-" : "", magnitude / 1000,
		magnitude % 1000 / 100);
	return buf;
}

static void print_transaction(
	FILE *out, int64_t t_ns, enum dht_status status, const struct dht_reading *reading)
{
	char humidity[16] = "-", temperature[16] = "-";

	if (dht_status_has_value(status)) {
		tenths(humidity, reading->rh_mpct);
		tenths(temperature, reading->temp_mdegc);
	}
	fprintf(out, "%" PRId64 "\t%s\t%s\t%s\n", t_ns, humidity, temperature,
		dht_status_name(status));
}

/* Print every transaction. @return exit code, the reason on stderr */
static int decode_trace(
	const struct trace *trace, const struct dht_options *options, FILE *out)
{
	struct trace_transaction transaction;
	struct dht_reading reading;
	size_t at = 0, found = 0;
	bool truncated = trace->cut_line > 0 || trace_level(trace, trace->count - 1) == 0;

	while (trace_next(trace, &at, &transaction)) {
		enum dht_status status =
			trace_decode(trace, &transaction, options, &reading);

		print_transaction(out, transaction.t_ns, status, &reading);
		truncated |= trace_ends_within(trace, &transaction, status, &reading);
		found++;
	}
	if (fflush(out) != 0 || ferror(out)) {
		fprintf(stderr, COMMAND ": writing failed: %s\n", strerror(errno));
		return 1;
	}
	if (truncated) {
		fprintf(stderr,
			COMMAND
			": line %zu: truncated: the capture ends in the middle of a "
			"transaction\n",
			trace->cut_line > 0 ? trace->cut_line : trace->last_line);
		return 1;
	}
	if (found == 0) {
		fprintf(stderr,
			COMMAND ": line %zu: no start pulse up to the end of the capture\n",
			trace->last_line);
		return 1;
	}
	return 0;
}

int decode_tool(const char *model, FILE *in, FILE *out)
{
	struct dht_options options = {0};
	struct trace trace = {0};
	char *text, why[TRACE_WHY_MAX];
	size_t len;
	int rc, code = 1;

	if (!dht_model_find(model, &options.model)) {
		fprintf(stderr, COMMAND ": unknown model \"%.40s\": it must be one of %s\n",
			model, DHT_MODEL_NAMES);
		return EX_CONFIG;
	}
	rc = read_text(in, &text, &len);
	if (rc < 0) {
		fprintf(stderr, COMMAND ": reading the capture failed: %s\n",
			strerror(-rc));
		goto out;
	}
	if (trace_parse(text, len, &trace, why) < 0) {
		fprintf(stderr, COMMAND ": malformed capture: %s\n", why);
		goto out;
	}
	code = decode_trace(&trace, &options, out);
out:
	trace_finish(&trace);
	free(text);
	return code;
}
