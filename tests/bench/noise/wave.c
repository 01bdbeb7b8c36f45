#include "wave.h"

#include <math.h>
#include <string.h>

#define FRAME_BITS 40
#define LONG_FRAME_BITS 64
/*
 * Each pulse of a sensor differs from its others by up to this, and all that follows with
 * it. In the captures it adds up to less.
 */
#define WANDER_US 0.25
/* An interrupt ends before the next one is taken. */
#define HANDLER_NS 2000
/* Of the reads whose edges may be lost. */
#define BEHEADED_SHARE 0.2

struct range {
	double min, max;
};

/*
 * Pulses in microseconds, as in the captures of tests/data and a little beyond. Between
 * sensors of a model they differ by the ranges, within one sensor by WANDER_US.
 */
static const struct {
	const char *name;
	enum dht_model model;
	int bits;
	struct range gap, response_low, response_high, low, zero_high, one_high;
	struct range byte_extra, checksum_extra; /* of the low before a byte */
} sensors[] = {
	[WAVE_DHT11] = {"DHT11", DHT_MODEL_DHT11, FRAME_BITS, {20, 46}, {50, 52}, {86, 87},
		{54, 55}, {22, 26}, {68, 72}, {0, 1}, {0, 1}},
	[WAVE_AM2301] = {"AM2301", DHT_MODEL_DHT22, LONG_FRAME_BITS, {20, 46}, {58, 60},
		{80, 82}, {58, 60}, {26, 27}, {74, 76}, {3, 5}, {3, 5}},
	[WAVE_AM2302] = {"AM2302", DHT_MODEL_DHT22, FRAME_BITS, {20, 46}, {60, 82},
		{81, 83}, {53, 54.5}, {25, 27}, {72, 74}, {12, 14}, {9.5, 11.5}},
};

const char *wave_sensor_name(enum wave_sensor sensor)
{
	return sensors[sensor].name;
}

enum dht_model wave_model(enum wave_sensor sensor)
{
	return sensors[sensor].model;
}

bool wave_trouble_find(const char *name, enum wave_trouble *trouble)
{
	static const char *const names[] = {
		[WAVE_LATE] = "late", [WAVE_HELD] = "held", [WAVE_LOST] = "lost"};
	for (int i = 0; i < WAVE_TROUBLES; i++) {
		if (strcmp(name, names[i]) == 0) {
			*trouble = (enum wave_trouble)i;
			return true;
		}
	}
	return false;
}

/* ---- chance ---- */

/* splitmix64: neighbouring numbers in, independent ones out. */
static uint64_t mix(uint64_t n)
{
	n += UINT64_C(0x9e3779b97f4a7c15);
	n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
	return n ^ n >> 31;
}

uint64_t wave_seed(uint64_t seed, uint64_t series, uint64_t n)
{
	uint64_t state = mix(mix(mix(seed) + series) + n);
	return state != 0 ? state : 1;
}

/* xorshift64* */
static uint64_t next(uint64_t *random)
{
	*random ^= *random >> 12;
	*random ^= *random << 25;
	*random ^= *random >> 27;
	return *random * UINT64_C(2685821657736338717);
}

/* In (0, 1). */
static double uniform(uint64_t *random)
{
	return ((double)(next(random) >> 12) + 0.5) * 0x1p-52;
}

static double within(struct range range, uint64_t *random)
{
	return range.min + (range.max - range.min) * uniform(random);
}

static int whole(int min, int max, uint64_t *random)
{
	return min + (int)(next(random) % (uint64_t)(max - min + 1));
}

static int64_t latency_ns(double mean_us, uint64_t *random)
{
	return (int64_t)(-mean_us * 1000 * log(uniform(random)));
}

/* ---- values ---- */

/* Most of them send no tenths. The sign stands with the tenths or with the degrees. */
static void draw_dht11(uint8_t bytes[4], uint64_t *random)
{
	bool tenths = next(random) % 2 == 0, below_zero = next(random) % 4 == 0;
	bytes[0] = (uint8_t)whole(0, 100, random);
	bytes[1] = (uint8_t)(tenths ? whole(0, 9, random) : 0);
	bytes[2] = (uint8_t)whole(0, below_zero ? 20 : 60, random);
	bytes[3] = (uint8_t)(tenths ? whole(0, 9, random) : 0);
	if (below_zero)
		bytes[next(random) % 2 == 0 ? 2 : 3] |= 0x80;
}

static void draw_dht22(uint8_t bytes[4], uint64_t *random)
{
	int rh = whole(0, 1000, random), temp = whole(-400, 800, random);
	int magnitude = temp < 0 ? -temp : temp;
	bytes[0] = (uint8_t)(rh >> 8);
	bytes[1] = (uint8_t)rh;
	bytes[2] = (uint8_t)(magnitude >> 8 | (temp < 0 ? 0x80 : 0));
	bytes[3] = (uint8_t)magnitude;
}

/* Any values of the model's range but those that are refused as known junk. */
static void draw_values(uint8_t bytes[5], enum dht_model model, uint64_t *random)
{
	const struct dht_options options = {.model = model};
	int32_t temp_mdegc, rh_mpct;
	do {
		if (model == DHT_MODEL_DHT11)
			draw_dht11(bytes, random);
		else
			draw_dht22(bytes, random);
	} while (!dht_values(&options, bytes, &temp_mdegc, &rh_mpct));
	bytes[4] = (uint8_t)(bytes[0] + bytes[1] + bytes[2] + bytes[3]);
}

/* ---- pulses ---- */

static int64_t pulse_ns(double base_us, uint64_t *random)
{
	return (int64_t)((base_us + WANDER_US * (2 * uniform(random) - 1)) * 1000);
}

void wave_draw(struct wave *wave, enum wave_sensor sensor, uint64_t *random)
{
	double low = within(sensors[sensor].low, random);
	double zero_high = within(sensors[sensor].zero_high, random);
	double one_high = within(sensors[sensor].one_high, random);
	double byte_extra = within(sensors[sensor].byte_extra, random);
	double checksum_extra = within(sensors[sensor].checksum_extra, random);
	uint8_t *bytes = wave->bytes;
	draw_values(bytes, sensors[sensor].model, random);

	int64_t t = wave->release_ns = INT64_C(1000000000);
	t += pulse_ns(within(sensors[sensor].gap, random), random);
	wave->count = 0;
	wave->fall_ns[wave->count++] = t;
	t += pulse_ns(within(sensors[sensor].response_low, random), random);
	t += pulse_ns(within(sensors[sensor].response_high, random), random);
	wave->fall_ns[wave->count++] = t;
	for (int i = 0; i < sensors[sensor].bits; i++) {
		bool one = i < FRAME_BITS && (bytes[i / 8] >> (7 - i % 8) & 1) != 0;
		if (i > 0 && i % 8 == 0)
			t += (int64_t)(1000 * (i == 32 ? checksum_extra : byte_extra));
		t += pulse_ns(low, random) + pulse_ns(one ? one_high : zero_high, random);
		wave->fall_ns[wave->count++] = t;
	}
}

/* ---- trouble ---- */

/*
 * Held: a delay holds up the next interrupt as well, half as long, and every second one
 * meets a cause of its own besides. That keeps the distribution exponential with the same
 * mean (Gaver and Lewis, First-order autoregressive gamma sequences, 1980).
 */
static void delay(struct wave *wave, bool held, double mean_us, uint64_t *random)
{
	int64_t last = INT64_MIN, late = 0;
	for (size_t i = 0; i < wave->count; i++) {
		int64_t fresh = latency_ns(mean_us, random);
		if (i == 0 || !held)
			late = fresh;
		else
			late = late / 2 + (next(random) % 2 == 0 ? fresh : 0);
		int64_t seen = wave->fall_ns[i] + late;
		if (i > 0 && seen < last + HANDLER_NS)
			seen = last + HANDLER_NS;
		wave->fall_ns[i] = last = seen;
	}
}

/* A pin remembers one edge: one that comes before that was taken is the same to it. */
static void delay_and_lose(struct wave *wave, double mean_us, uint64_t *random)
{
	int64_t last = INT64_MIN;
	size_t kept = 0;
	size_t beheaded = uniform(random) < BEHEADED_SHARE ? 1 + next(random) % 2 : 0;
	for (size_t i = 0; i < wave->count; i++) {
		if (i < beheaded || wave->fall_ns[i] < last)
			continue;
		last = wave->fall_ns[i] + latency_ns(mean_us, random);
		wave->fall_ns[kept++] = last;
	}
	wave->count = kept;
}

void wave_trouble(
	struct wave *wave, enum wave_trouble trouble, double mean_us, uint64_t *random)
{
	if (trouble == WAVE_LOST)
		delay_and_lose(wave, mean_us, random);
	else
		delay(wave, trouble == WAVE_HELD, mean_us, random);
	/* The program looks at the clock after the release. */
	wave->release_ns += latency_ns(mean_us, random);
}
