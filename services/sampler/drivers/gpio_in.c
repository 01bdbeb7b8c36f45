/*
 * gpio-in@PIN: a button, a contact, a pulse counter. What it yields depends on `mode`:
 *
 *   level  (default) the level once a period: level, 0 or 1
 *   edges  the same, and besides at every change; those that the kernel had to drop are
 *          counted as failed
 *   count  how many pulses (edges from 0 to 1) since the start: count
 *
 * active-low=1 swaps the levels, bias= is as-is, off, pull-up or pull-down, and
 * debounce-ms= lets the kernel report only levels that have lasted so long.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sampler/driver.h"
#include "sampler/gpio.h"
#include "sampler/gpio_failure.h"
#include "sampler/pins.h"
#include "sampler/spec.h"
#include "timer.h"
#include "topic.h"

#define EDGES_AT_ONCE 16
/* A line that chatters is listened to a hundred times a second, not more. */
#define PAUSE_MS 10
#define DEBOUNCE_MAX_MS 10000

enum what { WHAT_LEVEL, WHAT_EDGES, WHAT_COUNT };

struct gpio_in {
	struct driver_read *read;
	enum what what;
	struct gpio_place place;
	struct gpio_mode mode;
	struct gpio_line *line; /* NULL: to be acquired by the next read */
	uv_loop_t *loop;
	uv_poll_t *poll; /* on the heap: it outlives the line by its closing */
	uv_timer_t pause;
	uint64_t count;
	uint32_t seqno; /* of the last edge of this line */
	uint64_t missed, say_missed_at;
	const char *sensor;
	char name[DP_NAME_MAX + 10]; /* as the line's user */
	char advice[GPIO_ADVICE_SIZE];
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void let_go(struct gpio_in *in)
{
	if (in->poll != NULL)
		uv_close((uv_handle_t *)in->poll, free_handle);
	in->poll = NULL;
	gpio_close(in->line);
	in->line = NULL;
	in->seqno = 0;
}

static void fail(struct gpio_in *in, int err, struct driver_outcome *outcome)
{
	let_go(in);
	gpio_failure(&in->place, err, in->advice, outcome);
}

static void start_poll(struct gpio_in *in)
{
	int err = uv_poll_start(in->poll, UV_READABLE, on_poll);
	if (err != 0)
		dp_log(DP_LOG_ERROR, "cannot listen to a line", "line=%s error=\"%s\"",
			in->name, uv_strerror(err));
}

static int acquire(struct gpio_in *in)
{
	int err = gpio_open(&in->line, &in->place, in->name, &in->mode, 1);
	if (err != 0 || in->what == WHAT_LEVEL)
		return err;
	in->poll = malloc(sizeof(*in->poll));
	if (in->poll == NULL)
		dp_log_out_of_memory("a GPIO line");
	err = uv_poll_init(in->loop, in->poll, gpio_fd(in->line));
	if (err != 0) {
		free(in->poll);
		in->poll = NULL;
		return err;
	}
	in->poll->data = in;
	start_poll(in);
	return 0;
}

static struct driver_outcome level_outcome(int level)
{
	return (struct driver_outcome){
		.n = 1, .values = {{dp_slice("level"), dp_slice("/"), (double)level}}};
}

static void gpio_in_read(void *state)
{
	struct gpio_in *in = state;
	struct driver_outcome outcome;
	int err = in->line == NULL ? acquire(in) : 0;
	int level = err == 0 ? gpio_value(in->line) : err;
	if (level < 0)
		fail(in, level, &outcome);
	else if (in->what == WHAT_COUNT)
		outcome = (struct driver_outcome){.n = 1,
			.values = {
				{dp_slice("count"), dp_slice("count"), (double)in->count}}};
	else
		outcome = level_outcome(level);
	in->read->done(in->read, &outcome);
}

static void on_paused(uv_timer_t *timer)
{
	struct gpio_in *in = timer->data;
	if (in->poll != NULL)
		start_poll(in);
}

/* The first time, and whenever there are twice as many: a line may chatter for days. */
static void say_missed(struct gpio_in *in, uint32_t missed)
{
	in->missed += missed;
	if (in->missed < in->say_missed_at)
		return;
	dp_log(DP_LOG_WARN,
		"edges came faster than they can be taken; they are counted as failed, and "
		"are no readings",
		"sensor=%s missed=%" PRIu64
		" advice=\"does the contact bounce? try debounce-ms=, or mode=count\"",
		in->sensor, in->missed);
	in->say_missed_at = in->missed * 2;
}

static void note_edges(struct gpio_in *in, const struct gpio_edge *edges, int n)
{
	for (int i = 0; i < n; i++) {
		/* The kernel numbers edges before it may have to drop some. */
		uint32_t step = edges[i].seqno - in->seqno;
		in->count += step;
		in->seqno = edges[i].seqno;
		if (in->what != WHAT_EDGES)
			continue;
		struct driver_outcome outcome = level_outcome(edges[i].rising);
		outcome.missed = step > 0 ? step - 1 : 0;
		if (outcome.missed > 0)
			say_missed(in, outcome.missed);
		in->read->event(in->read, &outcome);
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct gpio_in *in = poll->data;
	struct gpio_edge edges[EDGES_AT_ONCE];
	(void)status, (void)events;
	int n = gpio_edges(in->line, edges, EDGES_AT_ONCE);
	if (n >= 0 && status == 0) {
		note_edges(in, edges, n);
		uv_poll_stop(poll);
		timer_start(&in->pause, on_paused, PAUSE_MS);
		return;
	}
	struct driver_outcome outcome;
	fail(in, n < 0 ? n : -ENODEV, &outcome);
	in->read->event(in->read, &outcome);
}

static int read_options(
	struct gpio_in *in, const struct spec *spec, char *why, size_t why_size)
{
	static const char *const whats[] = {"level", "edges", "count", NULL};
	static const char *const biases[] = {"as-is", "off", "pull-up", "pull-down", NULL};
	int64_t debounce_ms = 0;
	unsigned what = WHAT_LEVEL, bias = GPIO_BIAS_AS_IS;
	int err = spec_choice(spec, "mode", whats, &what, why, why_size);
	if (err == 0)
		err = spec_choice(spec, "bias", biases, &bias, why, why_size);
	if (err == 0)
		err = spec_number(spec, "debounce-ms", 0, DEBOUNCE_MAX_MS, &debounce_ms,
			why, why_size);
	if (err == 0)
		err = spec_flag(spec, "active-low", &in->mode.active_low, why, why_size);
	in->what = (enum what)what;
	in->mode.bias = (enum gpio_bias)bias;
	in->mode.debounce_us = (uint32_t)debounce_ms * 1000;
	if (in->what != WHAT_LEVEL)
		in->mode.edges =
			in->what == WHAT_COUNT ? GPIO_EDGES_RISING : GPIO_EDGES_BOTH;
	return err;
}

static int gpio_in_open(struct driver_instance *out, const struct driver_host *host,
	struct driver_read *read, const struct spec *spec, char *why, size_t why_size)
{
	struct gpio_in *in = calloc(1, sizeof(*in));
	if (in == NULL)
		dp_log_out_of_memory("a sensor");
	in->read = read;
	in->loop = host->loop;
	in->sensor = spec->name;
	snprintf(in->name, sizeof(in->name), "dewpoint-%s", spec->name);
	int err = read_options(in, spec, why, why_size);
	if (err == 0)
		err = pins_take(host->pins, spec->name, spec->argument,
			in->what != WHAT_LEVEL, &in->place, why, why_size);
	if (err != 0) {
		free(in);
		return err;
	}
	timer_init(host->loop, &in->pause, in);
	out->state = in;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void gpio_in_close(void *state)
{
	struct gpio_in *in = state;
	let_go(in);
	uv_close((uv_handle_t *)&in->pause, on_closed);
}

static const char *const gpio_in_options[] = {
	"mode", "active-low", "bias", "debounce-ms", NULL};

extern const struct driver gpio_in_driver;
const struct driver gpio_in_driver = {
	.name = "gpio-in",
	.argument = "a pin: 7, GPIO4, PA6 or chip-label:line",
	.options = gpio_in_options,
	.open = gpio_in_open,
	.read = gpio_in_read,
	.close = gpio_in_close,
};
