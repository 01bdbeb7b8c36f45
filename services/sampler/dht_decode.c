#include "dht_decode.h"

#include <string.h>

#define FRAME_BITS 40
/* Falling edges from the end of the response to the end of the last bit. */
#define DATA_FALLS (FRAME_BITS + 1)
#define LONG_DATA_FALLS (64 + 1)

/* Longest silence within a frame, and from the release to the first edge. */
#define IDLE_NS 1000000U

/* All in microseconds, falling edge to falling edge. */
#define THRESHOLD_US 108.0
#define ZERO_MIN_US 65.0
#define ZERO_MAX_US 105.0
#define ONE_MIN_US 112.0
#define ONE_MAX_US 150.0
#define RESPONSE_MAX_US 190.0 /* 137 to 165 seen, its end may be late */
#define HIGH_MIDDLE_US 49.0   /* a high pulse is 22 to 27 (0) or 68 to 76 (1) */
#define HIGH_MARGIN_US 13.0

/* A 1 lasts 46 to 49 longer than a 0 in every sensor of the family. */
#define ZERO_US 80.0
#define ONE_EXTRA_US 47.0
#define ONE_EXTRA_TOLERANCE_US 10.0
#define BYTE_GAP_MAX_US 16.0

/* From the release to the end of the response: 181 to 194. */
#define HEAD_US 187.0
#define HEAD_TOLERANCE_US 40.0
#define HEAD_LATEST_US 250.0

/*
 * How much timing noise is accepted. Latency is exponential: an edge is never early,
 * and late by t with probability exp(-t/mean). Two edges, each late by the 46 us that
 * turn 01 into 10, in a data byte and in the checksum, make a wrong value with a right
 * checksum. With a true mean of 10 us that happens in one of 10,000 frames; that all the
 * other edges then look as if the mean were below LATENESS_MAX_US is as improbable again.
 *
 * Lateness sees the frame as a whole, and so any single bit misread, which moves all that
 * follows by 46 us. Scatter compares intervals one by one, to pass a sensor whose own
 * clock wanders. There two 0s that end 30 us late would pass for 1s that are 17 us short,
 * and in the same bit of two bytes the checksum would not notice: one interval may be
 * DEVIATION_MAX_US off, the others must be nearer.
 */
#define LATENESS_MAX_US 4.5
#define SCATTER_MAX_US 3.5
#define DEVIATION_MAX_US 20.0
#define DEVIATION_USUAL_US 8.0
/* An interval that is nearer to the middle between 0 and 1 may be either. */
#define MIDDLE_MARGIN_US 3.0
#define STRICT_LATENESS_MAX_US 3.0
#define STRICT_SCATTER_MAX_US 2.0
/* An interval this many times the mean error off is no noise but a lost edge. */
#define STRAY_FACTOR 10.0
/* A checksum's gap differs from those of the other bytes by less than this. */
#define CHECKSUM_GAP_MAX_US 10.0

#define FIT_ROUNDS 8
#define FIT_TERMS 5
#define NO_FIT_US 1000.0

/* The data part of a frame, microseconds since its first edge. */
struct dht_timing {
	size_t missed; /* bits before the first edge: bit[0..missed) are 0 */
	double at_us[DATA_FALLS];
	double high_us[FRAME_BITS]; /* the high part of each bit, if known */
	bool highs_known;
	bool bit[FRAME_BITS];
	/* The sensor's own durations, from this frame. */
	double zero_us, one_us, byte_gap_us;
};

const char *dht_status_name(enum dht_status status)
{
	static const char *const names[] = {
		[DHT_OK] = "ok",
		[DHT_RECOVERED] = "recovered",
		[DHT_NO_RESPONSE] = "no-response",
		[DHT_SHORT] = "short",
		[DHT_SYNC] = "sync",
		[DHT_CHECKSUM] = "checksum",
		[DHT_RANGE] = "range",
	};
	return names[status];
}

bool dht_status_has_value(enum dht_status status)
{
	return status == DHT_OK || status == DHT_RECOVERED;
}

static double absolute(double value)
{
	return value < 0 ? -value : value;
}

static double clamp(double value, double min, double max)
{
	return value < min ? min : value > max ? max : value;
}

/* Unsigned, so that any two timestamps have a difference. A step back is 0. */
static uint64_t elapsed_ns(int64_t from, int64_t to)
{
	return to > from ? (uint64_t)to - (uint64_t)from : 0;
}

static double elapsed_us(int64_t from, int64_t to)
{
	return (double)elapsed_ns(from, to) / 1000.0;
}

/* The falling edges before the first pause. */
static size_t count_falls(const struct dht_frame *frame)
{
	size_t n = 1;

	if (frame->count == 0 ||
		(frame->release_ns != DHT_RELEASE_UNKNOWN &&
			elapsed_ns(frame->release_ns, frame->fall_ns[0]) > IDLE_NS))
		return 0;
	while (n < frame->count &&
		elapsed_ns(frame->fall_ns[n - 1], frame->fall_ns[n]) <= IDLE_NS)
		n++;
	return n;
}

/*
 * Where the data begins: *first is the edge that ends the response, or the first one
 * seen, and *missed the number of bits before it.
 */
static enum dht_status find_head(const struct dht_options *options,
	const struct dht_frame *frame, size_t n, size_t *first, size_t *missed)
{
	bool release_known = frame->release_ns != DHT_RELEASE_UNKNOWN;
	double head_us =
		release_known ? elapsed_us(frame->release_ns, frame->fall_ns[0]) : 0;
	double interval_us = n > 1 ? elapsed_us(frame->fall_ns[0], frame->fall_ns[1]) : 0;
	bool on_time = head_us <= HEAD_LATEST_US;
	enum dht_status failure = n <= DATA_FALLS ? DHT_SHORT : DHT_SYNC;
	size_t all = n < DATA_FALLS ? DATA_FALLS : LONG_DATA_FALLS;

	*first = 0;
	*missed = 0;
	/* No bit 0 is as long: it is always a 0. */
	if (on_time && interval_us > THRESHOLD_US && interval_us < RESPONSE_MAX_US) {
		*first = 1;
		/*
		 * Edges after the frame do not matter. But if the release is not known,
		 * this may be a 1 of a frame without its begin: then the count must fit.
		 */
		if (n == DATA_FALLS + 1 || n == LONG_DATA_FALLS + 1 ||
			(release_known && n > DATA_FALLS))
			return DHT_OK;
		return failure;
	}
	if (interval_us <= THRESHOLD_US && (n == DATA_FALLS || n == LONG_DATA_FALLS))
		return on_time ? DHT_OK : DHT_SYNC;
	if (n >= all || all - n > dht_zero_bits(options->model) || !release_known)
		return failure;
	/*
	 * The count alone could also mean edges lost at the end, and a DHT11's frame
	 * shifted by one bit may well have a right checksum.
	 */
	*missed = all - n;
	if (absolute(head_us - HEAD_US - (double)*missed * ZERO_US) > HEAD_TOLERANCE_US)
		return failure;
	return DHT_RECOVERED;
}

static void measure(struct dht_timing *timing, const struct dht_frame *frame, size_t first)
{
	timing->highs_known = frame->rise_ns != NULL;
	for (size_t i = timing->missed; i < DATA_FALLS; i++) {
		size_t edge = first + i - timing->missed;
		timing->at_us[i] = elapsed_us(frame->fall_ns[first], frame->fall_ns[edge]);
		if (timing->highs_known && i > timing->missed)
			timing->high_us[i - 1] =
				elapsed_us(frame->rise_ns[edge], frame->fall_ns[edge]);
	}
}

/* The low before a byte is longer; the first byte follows the response, not a bit. */
static bool starts_byte(size_t bit)
{
	return bit % 8 == 0 && bit != 0;
}

static double interval(const struct dht_timing *timing, size_t bit)
{
	return timing->at_us[bit + 1] - timing->at_us[bit];
}

static double ideal(const struct dht_timing *timing, size_t bit)
{
	return (timing->bit[bit] ? timing->one_us : timing->zero_us) +
	       (starts_byte(bit) ? timing->byte_gap_us : 0);
}

/* The sensor's durations, from the bits as they are read so far. */
static void estimate_durations(struct dht_timing *timing)
{
	double sum[2] = {0, 0}, gap = 0;
	double n[2] = {0, 0}, gaps = 0;

	for (size_t i = timing->missed; i < FRAME_BITS; i++) {
		if (!starts_byte(i)) {
			sum[timing->bit[i]] += interval(timing, i);
			n[timing->bit[i]]++;
		}
	}
	timing->zero_us = n[0] > 0 ? sum[0] / n[0] : ZERO_US;
	timing->one_us = timing->zero_us + ONE_EXTRA_US;
	if (n[1] > 0)
		timing->one_us =
			clamp(sum[1] / n[1], timing->one_us - ONE_EXTRA_TOLERANCE_US,
				timing->one_us + ONE_EXTRA_TOLERANCE_US);
	for (size_t i = 8; i < FRAME_BITS; i += 8) {
		gap += interval(timing, i) -
		       (timing->bit[i] ? timing->one_us : timing->zero_us);
		gaps++;
	}
	timing->byte_gap_us = clamp(gap / gaps, 0, BYTE_GAP_MAX_US);
}

/* Halfway between a 0 and a 1 of this sensor. */
static double middle(const struct dht_timing *timing, size_t bit)
{
	return (timing->zero_us + timing->one_us) / 2 +
	       (starts_byte(bit) ? timing->byte_gap_us : 0);
}

/*
 * Between the ranges the fixed threshold is a compromise: too high for the bits within a
 * byte, too low for the first one. What it finds tells the sensor's durations, and these
 * the bits.
 */
static void read_bits(struct dht_timing *timing)
{
	for (size_t i = 0; i < FRAME_BITS; i++)
		timing->bit[i] = i >= timing->missed && interval(timing, i) > THRESHOLD_US;
	estimate_durations(timing);
	for (size_t i = timing->missed; i < FRAME_BITS; i++)
		timing->bit[i] = interval(timing, i) >
				 clamp(middle(timing, i), ZERO_MAX_US, ONE_MIN_US);
	estimate_durations(timing);
}

/* Mean deviation of an interval from the sensor's duration; the worst, and the next. */
static double scatter(const struct dht_timing *timing, double *worst_us, double *second_us)
{
	double sum = 0;

	*worst_us = *second_us = 0;
	for (size_t i = timing->missed; i < FRAME_BITS; i++) {
		double off = absolute(interval(timing, i) - ideal(timing, i));

		sum += off;
		if (off > *worst_us) {
			*second_us = *worst_us;
			*worst_us = off;
		} else if (off > *second_us) {
			*second_us = off;
		}
	}
	return sum / (double)(FRAME_BITS - timing->missed);
}

/* Solve the symmetric positive definite m * x = m[][FIT_TERMS]. */
static void solve(double m[FIT_TERMS][FIT_TERMS + 1], double x[FIT_TERMS])
{
	for (size_t p = 0; p < FIT_TERMS; p++) {
		for (size_t row = p + 1; row < FIT_TERMS; row++) {
			double factor = m[row][p] / m[p][p];
			for (size_t col = p; col <= FIT_TERMS; col++)
				m[row][col] -= factor * m[p][col];
		}
	}
	for (size_t p = FIT_TERMS; p-- > 0;) {
		x[p] = m[p][FIT_TERMS];
		for (size_t col = p + 1; col < FIT_TERMS; col++)
			x[p] -= m[p][col] * x[col];
		x[p] /= m[p][p];
	}
}

/*
 * Mean lateness of an edge: how far the edges are behind a timeline that runs along the
 * earliest of them. The timeline is start + bits * zero + ones * extra + bytes * gap, and
 * once more a term for the gap before the checksum, which is shorter; fitted by least
 * squares in which an early edge weighs more than a late one.
 */
static double lateness(const struct dht_timing *timing)
{
	double term[DATA_FALLS][FIT_TERMS], late[DATA_FALLS], weight[DATA_FALLS];
	double x[FIT_TERMS], ones = 0, bytes = 0, sum = 0, earliest = 0;
	size_t from = timing->missed;

	for (size_t i = from; i < DATA_FALLS; i++) {
		term[i][0] = 1;
		term[i][1] = (double)(i - from);
		term[i][2] = ones;
		term[i][3] = bytes;
		term[i][4] = bytes > 3 ? 1 : 0;
		weight[i] = 1;
		if (i < FRAME_BITS) {
			ones += timing->bit[i] ? 1 : 0;
			bytes += starts_byte(i) ? 1 : 0;
		}
	}
	for (int round = 0; round < FIT_ROUNDS; round++) {
		double m[FIT_TERMS][FIT_TERMS + 1] = {{0}};
		/* Gently at first: until the fit is near, early and late are guesses. */
		double late_weight = round < 2 ? 0.2 : 0.05;

		/* What is known beforehand; it also keeps a frame of only zeros solvable.
		 */
		m[2][2] = m[4][4] = late_weight;
		m[2][FIT_TERMS] = late_weight * ONE_EXTRA_US;
		for (size_t i = from; i < DATA_FALLS; i++) {
			for (size_t p = 0; p < FIT_TERMS; p++) {
				for (size_t q = 0; q < FIT_TERMS; q++)
					m[p][q] += weight[i] * term[i][p] * term[i][q];
				m[p][FIT_TERMS] +=
					weight[i] * term[i][p] * timing->at_us[i];
			}
		}
		solve(m, x);
		for (size_t i = from; i < DATA_FALLS; i++) {
			late[i] = timing->at_us[i];
			for (size_t p = 0; p < FIT_TERMS; p++)
				late[i] -= x[p] * term[i][p];
			weight[i] = late[i] < 0 ? 1 : late_weight;
		}
	}
	/* No sensor has such a timeline: misread bits have bent it. */
	if (absolute(x[2] - ONE_EXTRA_US) > ONE_EXTRA_TOLERANCE_US ||
		absolute(x[3] - BYTE_GAP_MAX_US / 2) > BYTE_GAP_MAX_US ||
		absolute(x[4]) > CHECKSUM_GAP_MAX_US)
		return NO_FIT_US;
	for (size_t i = from; i < DATA_FALLS; i++) {
		sum += late[i];
		if (late[i] < earliest)
			earliest = late[i];
	}
	return sum / (double)(DATA_FALLS - from) - earliest;
}

static bool in_range(bool bit, double us)
{
	return bit ? us >= ONE_MIN_US && us <= ONE_MAX_US
		   : us >= ZERO_MIN_US && us <= ZERO_MAX_US;
}

/* Whether the timing leaves no reasonable doubt about any bit. */
static bool timing_holds(const struct dht_timing *timing, bool strict, uint32_t *noise_ns)
{
	double worst_us, second_us, stray_us;
	double noise_us = scatter(timing, &worst_us, &second_us);
	bool even = worst_us <= DEVIATION_MAX_US && second_us <= DEVIATION_USUAL_US &&
		    noise_us <= (strict ? STRICT_SCATTER_MAX_US : SCATTER_MAX_US);

	stray_us = noise_us * STRAY_FACTOR;
	if (!even)
		noise_us = lateness(timing);
	*noise_ns = (uint32_t)(noise_us * 1000.0);
	if (!even && noise_us > (strict ? STRICT_LATENESS_MAX_US : LATENESS_MAX_US))
		return false;
	if (strict)
		stray_us = 0;
	for (size_t i = timing->missed; i < FRAME_BITS; i++) {
		double us = interval(timing, i), expected = ideal(timing, i);

		if (!in_range(timing->bit[i], expected) ||
			timing->bit[i] != (us > middle(timing, i)) ||
			absolute(us - middle(timing, i)) < MIDDLE_MARGIN_US)
			return false;
		if (!in_range(timing->bit[i], us) && absolute(us - expected) > stray_us)
			return false;
		/* Rising edges must say the same, far off the middle: they have noise. */
		if (timing->highs_known &&
			(timing->bit[i] ? timing->high_us[i] <
						  HIGH_MIDDLE_US - HIGH_MARGIN_US
					: timing->high_us[i] >
						  HIGH_MIDDLE_US + HIGH_MARGIN_US))
			return false;
	}
	return true;
}

enum dht_status dht_decode(const struct dht_options *options, const struct dht_frame *frame,
	struct dht_reading *out)
{
	struct dht_timing timing = {0};
	size_t n = count_falls(frame), first;
	enum dht_status head, failure;
	bool strict;

	memset(out, 0, sizeof(*out));
	out->falls = (unsigned int)n;
	if (n == 0)
		return DHT_NO_RESPONSE;
	head = find_head(options, frame, n, &first, &timing.missed);
	out->bits = (unsigned int)(n - first - 1 + timing.missed);
	out->missed = (unsigned int)timing.missed;
	if (!dht_status_has_value(head))
		return head;

	measure(&timing, frame, first);
	read_bits(&timing);
	for (size_t i = 0; i < FRAME_BITS; i++) {
		if (timing.bit[i])
			out->bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
	}
	if (frame->repaired)
		head = DHT_RECOVERED;
	strict = head == DHT_RECOVERED || options->two_byte_checksum;
	if (!timing_holds(&timing, strict, &out->noise_ns))
		failure = DHT_SYNC;
	else if (!dht_checksum_fits(options, out->bytes))
		failure = DHT_CHECKSUM;
	else if (!dht_values(options, out->bytes, &out->temp_mdegc, &out->rh_mpct))
		failure = DHT_RANGE;
	else
		return head;
	/* If edges are missing, that is the reason, whatever else does not fit. */
	return n < DATA_FALLS ? DHT_SHORT : failure;
}
