#include "dht_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dht_decode.h"
#include "gpio_failure.h"
#include "log.h"
#include "pins.h"
#include "spec.h"
#include "timer.h"
#include "topic.h"

/*
 * 18 to 20 ms of low start every sensor of the family. A frame ends 4 to 6.3 ms after the
 * release; the loop's timers count whole milliseconds.
 */
#define START_MS 20
#define LISTEN_MS 10
#define DHT11_INTERVAL_MS 1000
#define DHT22_INTERVAL_MS 2000
#define RETRIES 2
#define EDGES_MAX 256
/* What a sensor sends first is what it measured the last time it was asked. */
#define STALE_AFTER_MS 10000
/* The falls that are left when pulses below a clock period of 32 kHz are swallowed. */
#define FILTERED_MIN 8
#define FILTERED_MAX 32

enum mode { MODE_LISTEN, MODE_START };

struct dht_line {
	struct driver_read *read;
	struct dht_options options;
	struct gpio_place place;
	struct gpio_line *line; /* NULL: to be acquired by the next read */
	uv_timer_t timer;
	int64_t interval_ms, start_ms;
	int64_t read_ms; /* when it was last asked, or 0 */
	int64_t release_ns;
	bool again; /* the read under way wakes the sensor; another follows */
	char name[DP_NAME_MAX + 10];
	char advice[GPIO_ADVICE_SIZE], filtered[256];
	const struct board *board;
	int64_t falls_ns[EDGES_MAX];
};

const char *const dht_line_options[] = {
	"retries", "start-ms", "twos-complement", "two-byte-checksum", NULL};

static const struct gpio_mode modes[] = {
	[MODE_LISTEN] = {.bias = GPIO_BIAS_PULL_UP, .edges = GPIO_EDGES_FALLING},
	[MODE_START] = {.output = true, .open_drain = true, .bias = GPIO_BIAS_PULL_UP},
};

static int64_t monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The line cannot be used now: it is given back and acquired anew by the next read. */
static void fail_line(struct dht_line *d, int err)
{
	struct driver_outcome outcome;
	gpio_close(d->line);
	d->line = NULL;
	d->again = false;
	gpio_failure(&d->place, err, d->advice, &outcome);
	d->read->done(d->read, &outcome);
}

/* An Allwinner chip filters interrupts with a 32 kHz clock unless told otherwise. */
static bool is_filtered(struct dht_line *d, unsigned falls)
{
	const char *suffix = strrchr(d->place.chip, '.');
	const char *cure, *overlay;
	if (suffix == NULL || strcmp(suffix, ".pinctrl") != 0 || falls < FILTERED_MIN ||
		falls > FILTERED_MAX)
		return false;
	if (d->board == NULL || !board_filter(d->board, &cure, &overlay)) {
		cure = "input-debounce = <1 1>";
		overlay = "overlays/";
	}
	snprintf(d->filtered, sizeof(d->filtered),
		"%u edges came and 42 should: this chip filters short pulses away until "
		"its device tree says %s (boards/%s; boards/README.md: how to load it)",
		falls, cure, overlay);
	return true;
}

/* What to do about a frame that could not be read. */
static const char *advice(struct dht_line *d, enum dht_status status, unsigned falls)
{
	if (status == DHT_NO_RESPONSE)
		return "no edge at all: check power, the data wire and its pull-up "
		       "resistor (4.7 to 10 kOhm to 3.3 V)";
	if (status == DHT_SHORT && is_filtered(d, falls))
		return d->filtered;
	if (status == DHT_RANGE)
		return "impossible values: is it the other model (dht11, dht22)?";
	return NULL;
}

static void start_in_time(struct dht_line *d);

static void finish(struct dht_line *d, const struct dht_frame *frame)
{
	struct dht_reading reading = {.temp_mdegc = 0};
	enum dht_status status = dht_decode(&d->options, frame, &reading);
	dp_log(DP_LOG_DEBUG, "frame",
		"sensor=%s status=%s falls=%u bits=%u missed=%u noise_ns=%u", d->name,
		dht_status_name(status), reading.falls, reading.bits, reading.missed,
		reading.noise_ns);
	struct driver_outcome outcome = {
		.n = 2,
		.values = {{dp_slice("temperature"), dp_slice("Cel"),
				   (double)reading.temp_mdegc / 1000},
			{dp_slice("humidity"), dp_slice("%RH"),
				(double)reading.rh_mpct / 1000}},
	};
	if (!dht_status_has_value(status))
		outcome = (struct driver_outcome){.failure = dht_status_name(status),
			.advice = advice(d, status, reading.falls)};
	d->read->done(d->read, &outcome);
}

/*
 * Wait from now on. The loop's own time is that of its last iteration, which may be long
 * ago, and in whole milliseconds: without one more it could be less.
 */
static void wait_ms(struct dht_line *d, int64_t ms, uv_timer_cb then)
{
	uv_update_time(d->timer.loop);
	timer_start(&d->timer, then, (uint64_t)ms + 1);
}

/* @return how many falling edges, or a negative errno */
static int read_edges(struct dht_line *d)
{
	struct gpio_edge edges[EDGES_MAX];
	size_t n = 0;
	int got;
	while ((got = gpio_edges(d->line, edges, EDGES_MAX)) > 0) {
		for (int i = 0; i < got && n < EDGES_MAX; i++)
			d->falls_ns[n++] = edges[i].ts_ns;
		if (n == EDGES_MAX)
			break; /* no sensor sends so many: it will not be decoded */
	}
	return got < 0 ? got : (int)n;
}

static void on_listened(uv_timer_t *timer)
{
	struct dht_line *d = timer->data;
	int n = read_edges(d);
	if (n < 0) {
		fail_line(d, n);
		return;
	}
	if (d->again) {
		d->again = false;
		start_in_time(d);
		return;
	}
	const struct dht_frame frame = {
		.fall_ns = d->falls_ns, .count = (size_t)n, .release_ns = d->release_ns};
	finish(d, &frame);
}

static void on_started(uv_timer_t *timer)
{
	struct dht_line *d = timer->data;
	int err = read_edges(d);
	if (err >= 0)
		err = gpio_change(d->line, MODE_LISTEN);
	if (err != 0) {
		fail_line(d, err);
		return;
	}
	d->release_ns = monotonic_ns();
	wait_ms(d, LISTEN_MS, on_listened);
}

static void start(struct dht_line *d)
{
	int err = 0;
	if (d->line == NULL)
		err = gpio_open(&d->line, &d->place, d->name, modes,
			sizeof(modes) / sizeof(modes[0]));
	if (err == 0)
		err = gpio_change(d->line, MODE_START);
	if (err != 0) {
		fail_line(d, err);
		return;
	}
	wait_ms(d, d->start_ms, on_started);
	d->read_ms = (int64_t)uv_now(d->timer.loop);
}

static void on_interval_over(uv_timer_t *timer)
{
	start(timer->data);
}

/* Asked again too soon, a sensor is silent. */
static void start_in_time(struct dht_line *d)
{
	int64_t now_ms = (int64_t)uv_now(d->timer.loop);
	int64_t at_ms = d->read_ms == 0 ? now_ms : d->read_ms + d->interval_ms;
	if (at_ms > now_ms)
		timer_start(&d->timer, on_interval_over, (uint64_t)(at_ms - now_ms));
	else
		start(d);
}

void dht_line_read(void *state)
{
	struct dht_line *d = state;
	int64_t now_ms = (int64_t)uv_now(d->timer.loop);
	d->again = d->read_ms == 0 || now_ms - d->read_ms > STALE_AFTER_MS;
	start_in_time(d);
}

static int read_options(struct dht_line *d, struct driver_instance *out,
	const struct spec *spec, char *why, size_t why_size)
{
	int64_t retries = RETRIES;
	int err = spec_number(spec, "retries", 0, 10, &retries, why, why_size);
	if (err == 0)
		err = spec_number(spec, "start-ms", 1, 100, &d->start_ms, why, why_size);
	if (err == 0)
		err = spec_flag(spec, "twos-complement", &d->options.twos_complement, why,
			why_size);
	if (err == 0)
		err = spec_flag(spec, "two-byte-checksum", &d->options.two_byte_checksum,
			why, why_size);
	out->retries = (unsigned)retries;
	return err;
}

int dht_line_open(struct driver_instance *out, const struct driver_host *host,
	struct driver_read *read, const struct spec *spec, enum dht_model model, char *why,
	size_t why_size)
{
	struct dht_line *d = calloc(1, sizeof(*d));
	if (d == NULL)
		dp_log_out_of_memory("a sensor");
	d->read = read;
	d->board = host->pins->board;
	d->options.model = model;
	d->start_ms = START_MS;
	d->interval_ms = model == DHT_MODEL_DHT11 ? DHT11_INTERVAL_MS : DHT22_INTERVAL_MS;
	snprintf(d->name, sizeof(d->name), "dewpoint-%s", spec->name);
	int err = pins_take(
		host->pins, spec->name, spec->argument, true, &d->place, why, why_size);
	if (err == 0)
		err = read_options(d, out, spec, why, why_size);
	if (err != 0) {
		free(d);
		return err;
	}
	timer_init(host->loop, &d->timer, d);
	out->state = d;
	out->interval_ms = d->interval_ms;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void dht_line_close(void *state)
{
	struct dht_line *d = state;
	gpio_close(d->line);
	d->line = NULL;
	uv_close((uv_handle_t *)&d->timer, on_closed);
}
