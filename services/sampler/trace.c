#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US_NS UINT64_C(1000)

/* No pause within a frame is as long. */
#define QUIET_NS (1000 * US_NS)
/* What no sensor sends: its longest low is 82 us. */
#define START_NS (300 * US_NS)
#define SHORT_START_NS (90 * US_NS)
/* A sensor's shortest pulse is 22 us; a glitch is a few samples of an analyser. */
#define PULSE_MIN_NS (5 * US_NS)
/* Falling edges worth looking at: 66 with 64 bits. */
#define FALLS_MAX ((size_t)128)
/* Fewer edges than this before the first start pulse are noise, not half a frame. */
#define HEADLESS_EDGES_MIN 20

#define ROW_MAX 48

/* Edges of one frame by direction, as the decoder wants them. */
struct trace_frame {
	int64_t edge_ns[2 * FALLS_MAX]; /* falling first */
	int64_t fall_ns[FALLS_MAX], rise_ns[FALLS_MAX];
	size_t falls;
	bool filtered;
};

enum row {
	ROW_EDGE,
	ROW_EMPTY,
	ROW_HEADER,
	ROW_BAD_TIME,
	ROW_BAD_LEVEL,
	ROW_NO_LEVEL,
};

static uint64_t elapsed_ns(int64_t from, int64_t to)
{
	return (uint64_t)to - (uint64_t)from;
}

static char *skip_blanks(char *at)
{
	return at + strspn(at, " \t\r");
}

/* Take one row apart. A row that stops before its level is ROW_NO_LEVEL. */
static enum row parse_row(char *row, int64_t *t_ns, int *level)
{
	char *at = skip_blanks(row), *end;

	if (*at == '\0')
		return ROW_EMPTY;
	if (strncmp(at, "t_ns,level", 10) == 0 && *skip_blanks(at + 10) == '\0')
		return ROW_HEADER;
	if (*at == '-' && at[1] == '\0')
		return ROW_NO_LEVEL;
	errno = 0;
	*t_ns = strtoll(at, &end, 10);
	if (end == at || errno != 0)
		return ROW_BAD_TIME;
	at = skip_blanks(end);
	if (*at == '\0')
		return ROW_NO_LEVEL;
	if (*at != ',')
		return ROW_BAD_TIME;
	at = skip_blanks(at + 1);
	if (*at == '\0')
		return ROW_NO_LEVEL;
	if ((*at != '0' && *at != '1') || *skip_blanks(at + 1) != '\0')
		return ROW_BAD_LEVEL;
	*level = *at - '0';
	return ROW_EDGE;
}

/* Say why row `line` is refused, with as much of it as is fit to print. */
static int refuse(char *why, size_t line, const char *reason, const char *row)
{
	char shown[28];
	size_t n = 0;

	for (; row[n] != '\0' && row[n] != '\r' && n < sizeof(shown) - 1; n++)
		shown[n] = row[n] >= ' ' && row[n] <= '~' ? row[n] : '?';
	shown[n] = '\0';
	snprintf(why, TRACE_WHY_MAX, "line %zu: %s: \"%s\"", line, reason, shown);
	return -EBADMSG;
}

static int append(struct trace *trace, size_t *size, int64_t t_ns)
{
	if (trace->count == *size) {
		size_t wanted = *size == 0 ? 256 : *size * 2;
		int64_t *grown = realloc(trace->t_ns, wanted * sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		trace->t_ns = grown;
		*size = wanted;
	}
	trace->t_ns[trace->count++] = t_ns;
	return 0;
}

/* One row of text, without its end of line; `last` if there was none. */
static int take_row(
	struct trace *trace, size_t *size, size_t line, char *row, bool last, char *why)
{
	int64_t t_ns = 0;
	int level = 0, rc;

	switch (parse_row(row, &t_ns, &level)) {
	case ROW_EMPTY:
		return 0;
	case ROW_HEADER:
		return line == 1 ? 0 : refuse(why, line, "header in the middle", row);
	case ROW_NO_LEVEL:
		if (!last)
			return refuse(why, line, "no level", row);
		trace->cut_line = line;
		return 0;
	case ROW_BAD_TIME:
		return refuse(why, line, "time is no whole number of nanoseconds", row);
	case ROW_BAD_LEVEL:
		return refuse(why, line, "level must be 0 or 1", row);
	case ROW_EDGE:
		break;
	}
	if (trace->count == TRACE_EDGES_MAX) {
		snprintf(why, TRACE_WHY_MAX, "line %zu: more than %d edges", line,
			TRACE_EDGES_MAX);
		return -EFBIG;
	}
	if (trace->count == 0)
		trace->first_level = level;
	else if (t_ns < trace->t_ns[trace->count - 1])
		return refuse(why, line, "time runs backwards", row);
	else if (level == trace_level(trace, trace->count - 1))
		return refuse(why, line, "level is that of the edge before", row);
	rc = append(trace, size, t_ns);
	if (rc < 0)
		snprintf(why, TRACE_WHY_MAX, "line %zu: out of memory", line);
	trace->last_line = line;
	return rc;
}

int trace_parse(const char *text, size_t len, struct trace *out, char *why)
{
	struct trace trace = {0};
	size_t size = 0, line = 0;
	int rc = 0;

	*out = trace;
	for (size_t at = 0; at < len && rc == 0;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end == NULL ? len - at : (size_t)(end - text) - at;
		char row[ROW_MAX] = {0};

		line++;
		memcpy(row, text + at, n < ROW_MAX ? n : ROW_MAX - 1);
		if (n >= ROW_MAX || strlen(row) != n)
			rc = refuse(why, line, "no row t_ns,level", row);
		else
			rc = take_row(&trace, &size, line, row, end == NULL, why);
		at += n + 1;
	}
	if (rc == 0 && trace.count == 0) {
		snprintf(why, TRACE_WHY_MAX, "line %zu: the capture has no edge",
			line > 0 ? line : 1);
		rc = -EBADMSG;
	}
	if (rc == 0)
		*out = trace;
	else
		trace_finish(&trace);
	return rc;
}

void trace_finish(struct trace *trace)
{
	free(trace->t_ns);
	*trace = (struct trace){0};
}

int trace_level(const struct trace *trace, size_t i)
{
	return trace->first_level ^ (int)(i & 1);
}

static uint64_t pulse_ns(const struct trace *trace, size_t edge)
{
	return elapsed_ns(trace->t_ns[edge], trace->t_ns[edge + 1]);
}

static bool is_start(const struct trace *trace, size_t edge)
{
	bool quiet = edge == 0 || pulse_ns(trace, edge - 1) >= QUIET_NS;

	if (trace_level(trace, edge) != 0)
		return false;
	if (edge + 1 == trace->count)
		return quiet;
	return pulse_ns(trace, edge) >= START_NS ||
	       (quiet && pulse_ns(trace, edge) >= SHORT_START_NS);
}

/* The falling edge of the next start pulse, or the end of the capture. */
static size_t next_start(const struct trace *trace, size_t from)
{
	size_t edge = from;

	while (edge < trace->count && !is_start(trace, edge))
		edge++;
	/* A glitch at its beginning does not make it begin later. */
	while (edge < trace->count && edge >= from + 2 &&
		pulse_ns(trace, edge - 1) < PULSE_MIN_NS)
		edge -= 2;
	return edge;
}

/* The first edge after `edge` that does not follow within a frame's pace. */
static size_t burst_end(const struct trace *trace, size_t edge)
{
	while (edge + 1 < trace->count && pulse_ns(trace, edge) <= QUIET_NS)
		edge++;
	return edge + 1;
}

/* What stands before the first start pulse, if it looks like a transaction. */
static bool headless(const struct trace *trace, size_t end, struct trace_transaction *out)
{
	bool released = trace->first_level == 1;

	out->t_ns = trace->t_ns[0];
	out->release_ns = released ? trace->t_ns[0] : DHT_RELEASE_UNKNOWN;
	out->first = released ? 1 : 0;
	out->end = end;
	out->at_end = end == trace->count && end > out->first && burst_end(trace, 0) == end;
	return released || burst_end(trace, 0) >= HEADLESS_EDGES_MIN;
}

bool trace_next(const struct trace *trace, size_t *at, struct trace_transaction *out)
{
	size_t start = next_start(trace, *at), release;

	if (*at == 0 && start > 0) {
		*at = start;
		if (headless(trace, start, out))
			return true;
	}
	release = start + 1;
	if (release >= trace->count) {
		*at = trace->count;
		return false;
	}
	/* A glitch in the pulse does not make it two. */
	while (release + 2 < trace->count && pulse_ns(trace, release) < PULSE_MIN_NS &&
		is_start(trace, release + 1))
		release += 2;
	out->t_ns = trace->t_ns[start];
	out->release_ns = trace->t_ns[release];
	out->first = release + 1;
	out->end = next_start(trace, release + 1);
	out->at_end = out->end == trace->count && out->end > out->first &&
		      burst_end(trace, release) == out->end;
	*at = out->end;
	return true;
}

/* The edges of the frame by direction, without pulses shorter than min_ns. */
static void collect(const struct trace *trace, const struct trace_transaction *transaction,
	uint64_t min_ns, struct trace_frame *frame)
{
	size_t n = 0, end = transaction->end;

	if (transaction->first > 0 && burst_end(trace, transaction->first - 1) < end)
		end = burst_end(trace, transaction->first - 1);
	frame->filtered = false;
	for (size_t i = transaction->first; i < end && n < 2 * FALLS_MAX; i++) {
		if (n > 0 && elapsed_ns(frame->edge_ns[n - 1], trace->t_ns[i]) < min_ns) {
			n--;
			frame->filtered = true;
		} else {
			frame->edge_ns[n++] = trace->t_ns[i];
		}
	}
	frame->falls = (n + 1) / 2;
	for (size_t i = 0; i < frame->falls; i++) {
		frame->fall_ns[i] = frame->edge_ns[2 * i];
		frame->rise_ns[i] = i > 0 ? frame->edge_ns[2 * i - 1] : frame->fall_ns[i];
	}
}

/*
 * The last 40 of 64 bits are a byte of the temperature, the checksum and three zeros; of
 * some frames their sum is right. Where the capture began before them, nothing tells them
 * apart from 40 that are all.
 */
static bool may_be_tail(
	const struct trace_transaction *transaction, const struct dht_reading *reading)
{
	const uint8_t *bytes = reading->bytes;

	return transaction->first < 2 && reading->bits == 40 && bytes[2] == 0 &&
	       bytes[3] == 0 && bytes[4] == 0;
}

static enum dht_status decode(const struct trace_transaction *transaction,
	const struct dht_options *options, const struct trace_frame *edges,
	struct dht_reading *out)
{
	struct dht_frame frame = {
		.fall_ns = edges->fall_ns,
		.rise_ns = edges->rise_ns,
		.count = edges->falls,
		.release_ns = transaction->release_ns,
		.repaired = edges->filtered,
	};

	enum dht_status status = dht_decode(options, &frame, out);
	if (!dht_status_has_value(status) || !may_be_tail(transaction, out))
		return status;
	out->temp_mdegc = out->rh_mpct = 0;
	return DHT_SHORT;
}

enum dht_status trace_decode(const struct trace *trace,
	const struct trace_transaction *transaction, const struct dht_options *options,
	struct dht_reading *out)
{
	struct trace_frame edges;
	enum dht_status status;

	collect(trace, transaction, 0, &edges);
	status = decode(transaction, options, &edges, out);
	if (dht_status_has_value(status))
		return status;
	/* Not at once: timing noise makes short pulses too, which are none the less real.
	 */
	collect(trace, transaction, PULSE_MIN_NS, &edges);
	return edges.filtered ? decode(transaction, options, &edges, out) : status;
}

bool trace_ends_within(const struct trace *trace,
	const struct trace_transaction *transaction, enum dht_status status,
	const struct dht_reading *reading)
{
	if (!transaction->at_end)
		return false;
	return trace_level(trace, trace->count - 1) == 0 || status == DHT_SHORT ||
	       (reading->bits != 40 && reading->bits != 64);
}
