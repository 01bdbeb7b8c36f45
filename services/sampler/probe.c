#include "probe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pins.h"
#include "timer.h"

#define PATIENCE_MS 15000

/* One sensor asked. The read is first: the driver hands it back. */
struct asked {
	struct driver_read read;
	struct probing *probing;
	const struct sensor_spec *spec;
	struct driver_instance instance;
	bool open, answered;
};

struct probing {
	uv_loop_t loop;
	uv_timer_t patience;
	struct asked asked[SENSORS_MAX];
	size_t n, waiting, failed, wrong;
	struct pins pins;
	FILE *out;
};

static void print_chip(void *data, const struct gpio_chip *chip)
{
	struct probing *p = data;
	struct gpio_place place = {.line = 0};
	struct gpio_look look;
	fprintf(p->out, "  %s  %-24s %u lines; in use:", chip->path, chip->label,
		chip->lines);
	memcpy(place.chip, chip->label, sizeof(place.chip));
	unsigned used = 0;
	for (; place.line < chip->lines; place.line++) {
		if (gpio_look(&place, &look) != 0 || !look.used)
			continue;
		used++;
		fprintf(p->out, "\n    %3u %-16s %s", place.line, look.name,
			look.consumer[0] != '\0' ? look.consumer : "the kernel");
	}
	fputs(used == 0 ? " none\n" : "\n", p->out);
}

static void print_chips(struct probing *p)
{
	fputs("GPIO chips:\n", p->out);
	if (gpio_list(print_chip, p) == 0)
		fputs("  none; in a container, pass /dev/gpiochip0 on (compose/gpio.yml)\n",
			p->out);
}

/* Their pins are looked up and not touched: something may be moving there. */
static void print_outputs(struct probing *p, const struct output_list *list)
{
	char why[256];
	if (list->n > 0)
		fputs("Outputs:\n", p->out);
	for (size_t i = 0; i < list->n; i++) {
		const struct output_spec *output = &list->specs[i];
		void *state;
		int err = output->driver->open(
			&state, &p->pins, output->spec, why, sizeof(why));
		fprintf(p->out, "  %-16s%s\n", output->spec->name,
			err == 0 ? "its pin is good; it was left as it is" : why);
		if (err == 0)
			output->driver->close(state);
		p->wrong += err != 0;
	}
}

static void finish(struct probing *p)
{
	uv_close((uv_handle_t *)&p->patience, NULL);
	for (size_t i = 0; i < p->n; i++) {
		if (p->asked[i].open)
			p->asked[i].spec->driver->close(p->asked[i].instance.state);
	}
}

static void answered(struct asked *asked, bool well)
{
	struct probing *p = asked->probing;
	asked->answered = true;
	p->failed += !well;
	if (--p->waiting == 0)
		finish(p);
}

static void on_done(struct driver_read *read, const struct driver_outcome *outcome)
{
	struct asked *asked = (struct asked *)read;
	struct driver_outcome corrected = *outcome;
	FILE *out = asked->probing->out;
	if (asked->answered)
		return;
	fprintf(out, "  %-16s", asked->spec->spec->name);
	if (outcome->failure != NULL) {
		fprintf(out, "%s%s%s\n", outcome->failure,
			outcome->advice != NULL ? ": " : "",
			outcome->advice != NULL ? outcome->advice : "");
		answered(asked, false);
		return;
	}
	sensor_correct(asked->spec, &corrected);
	for (unsigned i = 0; i < corrected.n; i++)
		fprintf(out, "%.*s=%g %.*s  ", (int)corrected.values[i].quantity.len,
			corrected.values[i].quantity.at, corrected.values[i].value,
			(int)corrected.values[i].unit.len, corrected.values[i].unit.at);
	fputs("ok\n", out);
	answered(asked, true);
}

static void on_event(struct driver_read *read, const struct driver_outcome *outcome)
{
	(void)read, (void)outcome; /* nobody asked */
}

static void on_patience(uv_timer_t *timer)
{
	struct probing *p = timer->data;
	for (size_t i = 0; i < p->n; i++) {
		if (p->asked[i].open && !p->asked[i].answered)
			fprintf(p->out, "  %-16sno answer within %d s\n",
				p->asked[i].spec->spec->name, PATIENCE_MS / 1000);
	}
	p->failed += p->waiting;
	p->waiting = 0;
	finish(p);
}

static void ask(
	struct probing *p, const struct driver_host *host, const struct sensor_spec *spec)
{
	struct asked *asked = &p->asked[p->n++];
	char why[256];
	*asked = (struct asked){
		.read = {.done = on_done, .event = on_event}, .probing = p, .spec = spec};
	asked->open = spec->driver->open(&asked->instance, host, &asked->read, spec->spec,
			      why, sizeof(why)) == 0;
	if (!asked->open) {
		fprintf(p->out, "  %-16s%s\n", spec->spec->name, why);
		p->wrong++;
		return;
	}
	p->waiting++;
}

static void ask_all(struct probing *p, const struct sensor_list *list)
{
	const struct driver_host host = {.loop = &p->loop, .pins = &p->pins};
	fputs(list->n > 0 ? "Sensors:\n" : "Sensors: none, SENSORS is not set\n", p->out);
	for (size_t i = 0; i < list->n; i++)
		ask(p, &host, &list->specs[i]);
	timer_start(&p->patience, on_patience, PATIENCE_MS);
	p->waiting++; /* until each has been asked */
	for (size_t i = 0; i < p->n; i++) {
		if (p->asked[i].open)
			p->asked[i].spec->driver->read(p->asked[i].instance.state);
	}
	p->waiting--;
	if (p->waiting == 0)
		finish(p);
	uv_run(&p->loop, UV_RUN_DEFAULT);
}

int probe(const struct settings *settings, FILE *out)
{
	const struct board *board = settings->board;
	struct probing *p = calloc(1, sizeof(*p));
	if (p == NULL)
		dp_log_out_of_memory("the probe");
	p->out = out;
	p->pins.board = board;
	uv_loop_init(&p->loop);
	timer_init(&p->loop, &p->patience, p);
	print_chips(p);
	fprintf(out, "Board: %s\n",
		board != NULL ? board_name(board)
			      : "not known; set BOARD, or name lines as "
				"chip-label:line");
	print_outputs(p, &settings->outputs);
	ask_all(p, &settings->sensors);
	int err = uv_loop_close(&p->loop);
	assert(err == 0);
	(void)err;
	int code = p->failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	if (p->wrong > 0)
		code = DP_EX_CONFIG;
	free(p);
	return code;
}
