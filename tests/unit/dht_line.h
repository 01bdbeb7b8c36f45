/* Frames as a sensor would send them, for the tests of the DHT decoder. */
#ifndef TEST_DHT_LINE_H
#define TEST_DHT_LINE_H

#include "sampler/dht_decode.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LINE_FALLS_MAX 160
#define LINE_US INT64_C(1000)

/* A sensor's pulses, microseconds. */
struct dht_shape {
	int response_low, response_high;
	int bit_low, byte_low, zero_high, one_high;
};

static const struct dht_shape shape_dht11 = {51, 86, 54, 54, 24, 71};
static const struct dht_shape shape_am2301 = {59, 81, 59, 63, 26, 75};
static const struct dht_shape shape_am2302 = {79, 81, 54, 67, 26, 73};

/* Both edges of what follows a start pulse; rise_ns[i] is the edge before fall_ns[i]. */
struct dht_line {
	int64_t release_ns;
	int64_t fall_ns[LINE_FALLS_MAX], rise_ns[LINE_FALLS_MAX];
	int64_t last_rise_ns;
	size_t count;
};

struct dht_bytes {
	uint8_t at[5];
};

/* A frame's bytes with the right checksum. */
static inline struct dht_bytes dht_bytes(int a, int b, int c, int d)
{
	return (struct dht_bytes){
		{(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d, (uint8_t)(a + b + c + d)}};
}

static inline int dht_bit(struct dht_bytes bytes, int i)
{
	return i < 40 ? bytes.at[i / 8] >> (7 - i % 8) & 1 : 0;
}

/* Draw a frame of 40 bits, or of 64 with zeros at the end. */
static inline struct dht_line dht_line(
	const struct dht_shape *shape, struct dht_bytes bytes, int bits, int64_t release_ns)
{
	struct dht_line line = {.release_ns = release_ns};
	int64_t t = release_ns + 44 * LINE_US;

	line.rise_ns[0] = release_ns;
	line.fall_ns[0] = t;
	line.rise_ns[1] = t += shape->response_low * LINE_US;
	line.fall_ns[1] = t += shape->response_high * LINE_US;
	line.count = 2;
	for (int i = 0; i < bits; i++) {
		t += (i % 8 == 0 && i > 0 ? shape->byte_low : shape->bit_low) * LINE_US;
		line.rise_ns[line.count] = t;
		t += (dht_bit(bytes, i) ? shape->one_high : shape->zero_high) * LINE_US;
		line.fall_ns[line.count++] = t;
	}
	line.last_rise_ns = t + shape->bit_low * LINE_US;
	return line;
}

/* Move every edge from the end of data bit `bit` on by us (negative: earlier). */
static inline void dht_line_stretch(struct dht_line *line, size_t bit, int64_t us)
{
	for (size_t i = bit + 2; i < line->count; i++) {
		line->fall_ns[i] += us * LINE_US;
		if (i > bit + 2)
			line->rise_ns[i] += us * LINE_US;
	}
	line->last_rise_ns += us * LINE_US;
}

/* Take away the first edges, as when they come before the line is watched. */
static inline void dht_line_behead(struct dht_line *line, size_t falls)
{
	line->count -= falls;
	memmove(line->fall_ns, line->fall_ns + falls,
		line->count * sizeof(line->fall_ns[0]));
	memmove(line->rise_ns, line->rise_ns + falls,
		line->count * sizeof(line->rise_ns[0]));
	line->rise_ns[0] = line->release_ns;
}

/* Decode by falling edges only, as from a kernel, or by both. */
static inline enum dht_status dht_line_decode(const struct dht_options *options,
	const struct dht_line *line, bool both, struct dht_reading *out)
{
	struct dht_frame frame = {
		.fall_ns = line->fall_ns,
		.rise_ns = both ? line->rise_ns : NULL,
		.count = line->count,
		.release_ns = line->release_ns,
	};

	return dht_decode(options, &frame, out);
}

/* A small deterministic generator (xorshift64*). */
static inline uint64_t line_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/* Uniform in (0, 1). */
static inline double line_uniform(uint64_t *state)
{
	return ((double)(line_random(state) >> 12) + 0.5) * 0x1p-52;
}

/* Exponential latency. */
static inline int64_t line_latency_ns(uint64_t *state, double mean_us)
{
	return (int64_t)(-mean_us * 1000.0 * log(line_uniform(state)));
}

/* Make every edge late by a latency of its own; time does not run backwards. */
static inline void dht_line_jitter(struct dht_line *line, double mean_us, uint64_t *state)
{
	int64_t last = line->release_ns;

	for (size_t i = 0; i < line->count; i++) {
		int64_t *edges[] = {i > 0 ? &line->rise_ns[i] : NULL, &line->fall_ns[i]};
		for (size_t k = 0; k < 2; k++) {
			if (edges[k] == NULL)
				continue;
			*edges[k] += line_latency_ns(state, mean_us);
			if (*edges[k] < last)
				*edges[k] = last;
			last = *edges[k];
		}
	}
}

/* Any frame that a sensor could send, junk excepted. */
static inline struct dht_bytes dht_any_bytes(enum dht_model model, uint64_t *state)
{
	int rh = 30 + (int)(line_random(state) % 971);
	int temp = (int)(line_random(state) % 1201) - 400;
	int magnitude = temp < 0 ? -temp : temp;

	if (model == DHT_MODEL_DHT11)
		return dht_bytes(rh / 10, rh % 10, magnitude / 20, magnitude % 10);
	return dht_bytes(rh >> 8, rh & 0xff, magnitude >> 8 | (temp < 0 ? 0x80 : 0),
		magnitude & 0xff);
}

#endif
