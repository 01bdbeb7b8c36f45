/*
 * How often the decoder of services/sampler reads a sensor through timing noise, and how
 * often it is wrong, beside a plain threshold decoder (plain.h) on the same reads.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "config.h"
#include "number.h"
#include "plain.h"
#include "sampler/dht_decode.h"
#include "wave.h"

#define THREADS_MAX 64
#define READS_MAX 100000000u

struct options {
	uint64_t reads, seed, threads, mean_us;
	enum wave_trouble trouble;
};

struct counts {
	uint64_t reads, right, wrong;
	uint64_t plain_right, plain_wrong;
};

/* One thread's share of the reads: [from, to). */
struct work {
	const struct options *options;
	uint64_t from, to;
	struct counts counts[WAVE_SENSORS];
};

static void print_bytes(const char *what, const uint8_t bytes[5])
{
	fprintf(stderr, " %s=%02x%02x%02x%02x%02x", what, bytes[0], bytes[1], bytes[2],
		bytes[3], bytes[4]);
}

static void ask_decoder(const struct work *work, uint64_t read, enum wave_sensor sensor,
	const struct wave *wave, struct counts *counts)
{
	const struct dht_options options = {.model = wave_model(sensor)};
	const struct dht_frame frame = {.fall_ns = wave->fall_ns,
		.count = wave->count,
		.release_ns = wave->release_ns};
	struct dht_reading reading;
	enum dht_status status = dht_decode(&options, &frame, &reading);
	if (!dht_status_has_value(status))
		return;
	if (memcmp(reading.bytes, wave->bytes, sizeof(wave->bytes)) == 0) {
		counts->right++;
		return;
	}
	counts->wrong++;
	/* Enough to draw the same read again. */
	fprintf(stderr, "wrong: read=%" PRIu64 " mean_us=%" PRIu64 " sensor=%s status=%s",
		read, work->options->mean_us, wave_sensor_name(sensor),
		dht_status_name(status));
	print_bytes("sent", wave->bytes);
	print_bytes("decoded", reading.bytes);
	fprintf(stderr, " noise_ns=%" PRIu32 "\n", reading.noise_ns);
}

/* Where the two ways of finding the frame differ, the one that is right counts. */
static void ask_plain(const struct wave *wave, struct counts *counts)
{
	uint8_t last[5], after[5];
	bool has_last = plain_last(wave->fall_ns, wave->count, last);
	bool has_after = plain_after_response(wave->fall_ns, wave->count, after);
	if ((has_last && memcmp(last, wave->bytes, sizeof(last)) == 0) ||
		(has_after && memcmp(after, wave->bytes, sizeof(after)) == 0))
		counts->plain_right++;
	else if (has_last || has_after)
		counts->plain_wrong++;
}

static void run(void *arg)
{
	struct work *work = arg;
	const struct options *options = work->options;
	for (uint64_t i = work->from; i < work->to; i++) {
		enum wave_sensor sensor = (enum wave_sensor)(i % WAVE_SENSORS);
		struct counts *counts = &work->counts[sensor];
		/* Each read has a state of its own, whatever the number of threads. */
		uint64_t random = wave_seed(options->seed, options->mean_us, i);
		struct wave wave;
		wave_draw(&wave, sensor, &random);
		wave_trouble(&wave, options->trouble, (double)options->mean_us, &random);
		counts->reads++;
		ask_decoder(work, i, sensor, &wave, counts);
		ask_plain(&wave, counts);
	}
}

static void report(const struct work *work, const struct options *options)
{
	for (size_t sensor = 0; sensor < WAVE_SENSORS; sensor++) {
		struct counts sum = {0};
		for (size_t i = 0; i < options->threads; i++) {
			const struct counts *counts = &work[i].counts[sensor];
			sum.reads += counts->reads;
			sum.right += counts->right;
			sum.wrong += counts->wrong;
			sum.plain_right += counts->plain_right;
			sum.plain_wrong += counts->plain_wrong;
		}
		printf("sensor=%s reads=%" PRIu64 " right=%" PRIu64 " wrong=%" PRIu64
		       " plain_right=%" PRIu64 " plain_wrong=%" PRIu64 "\n",
			wave_sensor_name((enum wave_sensor)sensor), sum.reads, sum.right,
			sum.wrong, sum.plain_right, sum.plain_wrong);
	}
}

static void print_help(void)
{
	printf("noise: reads of simulated sensors through timing noise\n\n"
	       "Usage: noise [OPTION...]\n\n"
	       "  --mean-us N     mean latency of an edge, exponential (3)\n"
	       "  --trouble NAME  late: each edge has a latency of its own\n"
	       "                  held: half of it holds up the next edge as well\n"
	       "                  lost: late, and one or two of the first edges are "
	       "missing in\n"
	       "                  a fifth of the reads, and any that comes while the one\n"
	       "                  before waits (late)\n"
	       "  --reads N       of all sensors together (1000000)\n"
	       "  --seed N        the same seed, the same reads (1)\n"
	       "  --threads N     (1)\n\n"
	       "Prints a line a sensor; the rest of its reads gave no value:\n"
	       "  sensor=NAME reads=N right=N wrong=N plain_right=N plain_wrong=N\n"
	       "A wrong value is described on stderr.\n\n"
	       "Exit codes: 0 measured, 78 a bad option\n");
}

static int parse_number(
	const char *name, uint64_t min, uint64_t max, const char *text, uint64_t *out)
{
	if (dp_parse_u64(text, out) == 0 && *out >= min && *out <= max)
		return 0;
	fprintf(stderr,
		"noise: --%s %s: must be within %" PRIu64 " and %" PRIu64
		"; --help lists the options\n",
		name, text, min, max);
	return -EINVAL;
}

static int parse_trouble(const char *text, enum wave_trouble *out)
{
	if (wave_trouble_find(text, out))
		return 0;
	fprintf(stderr, "noise: --trouble %s: must be late, held or lost\n", text);
	return -EINVAL;
}

/* @return -1 go on; otherwise the exit code */
static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {{"mean-us", required_argument, NULL, 'm'},
		{"trouble", required_argument, NULL, 't'},
		{"reads", required_argument, NULL, 'r'},
		{"seed", required_argument, NULL, 's'},
		{"threads", required_argument, NULL, 'T'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	int c, err = 0;
	*options = (struct options){.reads = 1000000,
		.seed = 1,
		.threads = 1,
		.mean_us = 3,
		.trouble = WAVE_LATE};
	while (err == 0 && (c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'm')
			err = parse_number("mean-us", 0, 1000, optarg, &options->mean_us);
		else if (c == 't')
			err = parse_trouble(optarg, &options->trouble);
		else if (c == 'r')
			err = parse_number("reads", 1, READS_MAX, optarg, &options->reads);
		else if (c == 's')
			err = parse_number("seed", 0, UINT32_MAX, optarg, &options->seed);
		else if (c == 'T')
			err = parse_number(
				"threads", 1, THREADS_MAX, optarg, &options->threads);
		else if (c == 'h') {
			print_help();
			return EXIT_SUCCESS;
		} else
			err = -EINVAL; /* getopt has said what is wrong */
	}
	return err != 0 ? DP_EX_CONFIG : -1;
}

int main(int argc, char **argv)
{
	static struct work work[THREADS_MAX];
	uv_thread_t threads[THREADS_MAX];
	struct options options;
	int code = parse_options(&options, argc, argv);
	if (code >= 0)
		return code;
	for (uint64_t i = 0; i < options.threads; i++) {
		work[i] = (struct work){.options = &options,
			.from = options.reads * i / options.threads,
			.to = options.reads * (i + 1) / options.threads};
		int err = uv_thread_create(&threads[i], run, &work[i]);
		if (err != 0) {
			fprintf(stderr, "noise: no thread: %s\n", uv_strerror(err));
			return EXIT_FAILURE;
		}
	}
	for (uint64_t i = 0; i < options.threads; i++)
		uv_thread_join(&threads[i]);
	report(work, &options);
	return EXIT_SUCCESS;
}
