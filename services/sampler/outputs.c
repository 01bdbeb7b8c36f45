#include "outputs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "log.h"
#include "number.h"
#include "timer.h"
#include "topic.h"
#include "version.h"

#define CHECK_MS 5000
#define FAILURES_PER_LOG 100
#define COMMAND_PREFIX "local/cmd/"
#define ANSWER_PREFIX "local/answer/"
#define PUBLISHER_TOPIC "local/publisher"

static const char *name_of(const struct output *output)
{
	return output->spec->spec->name;
}

/* ---- what is known of it ---- */

static void publish_state(const struct output *output)
{
	if (output->json[0] != '\0')
		presence_publish(output->all->options.presence, "state", name_of(output),
			output->json, "application/json");
}

static void note_state(struct output *output)
{
	const struct outputs_options *options = &output->all->options;
	const struct dp_clock *clock = options->clock;
	int64_t us = clock->wall_us(clock->data);
	if (dp_clock_mark(clock, options->trust, dp_build_epoch) == DP_CLOCK_NONE)
		snprintf(output->json, sizeof(output->json), "{\"value\":%d}",
			output->value);
	else
		snprintf(output->json, sizeof(output->json),
			"{\"time\":%" PRId64 ".%06" PRId64 ",\"value\":%d}", us / 1000000,
			us % 1000000, output->value);
	publish_state(output);
}

static void note_level(struct output *output, bool value, bool set)
{
	bool changed = set || !output->available || output->value != value;
	if (!output->available) {
		dp_log(DP_LOG_INFO, "an output is available", "output=%s value=%d",
			name_of(output), value);
		presence_tell(output->all->options.presence, name_of(output), true);
	}
	output->available = true;
	output->failures = 0;
	output->value = value;
	if (changed)
		note_state(output);
}

static void note_failure(struct output *output, int err)
{
	struct driver_outcome outcome;
	output->spec->driver->failure(output->state, err, &outcome);
	if (output->failures++ % FAILURES_PER_LOG == 0)
		dp_log(DP_LOG_WARN, "an output cannot be used",
			"output=%s cause=%s advice=\"%s\"", name_of(output),
			outcome.failure, outcome.advice);
	if (output->available || output->failures == 1)
		presence_tell(output->all->options.presence, name_of(output), false);
	output->available = false;
}

/* Set the level, or acquire the device at it. @return the level, or a negative errno */
static int drive(struct output *output, enum output_level level)
{
	const struct output_driver *driver = output->spec->driver;
	int got = -ENODEV;
	if (output->available)
		got = driver->set(output->state, level == OUTPUT_ON);
	if (got < 0) /* not acquired, or gone: it may be there again */
		got = driver->acquire(output->state, level);
	if (got < 0) {
		note_failure(output, got);
		return got;
	}
	note_level(output, got, true);
	/* Should the device go and come back, it gets the level that was kept. */
	if (level == OUTPUT_KEEP)
		output->wanted = got ? OUTPUT_ON : OUTPUT_OFF;
	bool astray = level != OUTPUT_KEEP && got != (level == OUTPUT_ON);
	if (astray && !output->astray)
		dp_log(DP_LOG_ERROR, "an output does not follow; is it short-circuited?",
			"output=%s wanted=%d is=%d", name_of(output), level, got);
	output->astray = astray;
	return astray ? -EIO : got;
}

static enum output_level level_of(bool value)
{
	return value ? OUTPUT_ON : OUTPUT_OFF;
}

static void end_pulse(struct output *output)
{
	output->pulsing = false;
	uv_timer_stop(&output->pulse);
}

/* End a pulse and drive `wanted`. on_check() tries again what fails here. */
static void drive_wanted(struct output *output)
{
	end_pulse(output);
	drive(output, output->wanted);
}

/* Back to what was before a command that failed: it may have reached the line. */
static void undo(struct output *output)
{
	if (!output->pulsing || drive(output, level_of(output->pulsed)) < 0)
		drive_wanted(output);
}

static void check(struct output *output)
{
	int level = output->available ? output->spec->driver->get(output->state) : -ENODEV;
	if (level < 0) {
		drive_wanted(output);
		return;
	}
	note_level(output, level, false);
	bool right = output->pulsing ? output->pulsed : output->wanted == OUTPUT_ON;
	if (level == right)
		output->astray = false;
	else
		undo(output);
}

static void on_check(uv_timer_t *timer)
{
	struct outputs *outputs = timer->data;
	for (size_t i = 0; i < outputs->n; i++)
		check(&outputs->at[i]);
}

/* ---- levels, pulses, and a publisher that is gone ---- */

/* What lost= or exit= says is wanted, also while the device cannot be used. */
static void impose(struct output *output, bool value)
{
	output->wanted = level_of(value);
	drive_wanted(output);
}

static void on_pulse_over(uv_timer_t *timer)
{
	drive_wanted(timer->data);
}

/* @return the level, or a negative errno: then all is as it was before */
static int command_level(struct output *output, const struct command *command)
{
	/* What is to be kept must be known before it is changed. */
	if (output->wanted == OUTPUT_KEEP) {
		int found = drive(output, OUTPUT_KEEP);
		if (found < 0)
			return found;
	}
	int level = drive(output, level_of(command->value));
	if (level < 0) {
		undo(output);
		return level;
	}
	end_pulse(output);
	if (command->for_ms == 0) {
		output->wanted = level_of(command->value);
		return level;
	}
	output->pulsing = true;
	output->pulsed = command->value;
	uv_update_time(output->all->options.loop);
	timer_start(&output->pulse, on_pulse_over, (uint64_t)command->for_ms);
	return level;
}

static void on_lost(uv_timer_t *timer)
{
	struct output *output = timer->data;
	dp_log(DP_LOG_WARN, "the publisher is gone; an output is set as lost= says",
		"output=%s value=%d", name_of(output), output->spec->lost == OUTPUT_ON);
	impose(output, output->spec->lost == OUTPUT_ON);
}

static void note_publisher(struct outputs *outputs, bool there)
{
	if (outputs->publisher == there)
		return;
	outputs->publisher = there;
	for (size_t i = 0; i < outputs->n; i++) {
		struct output *output = &outputs->at[i];
		if (there)
			uv_timer_stop(&output->lost);
		else if (output->spec->lost != OUTPUT_KEEP)
			timer_start(&output->lost, on_lost,
				(uint64_t)output->spec->lost_after_ms);
	}
}

/* ---- commands ---- */

static struct output *find(struct outputs *outputs, const char *name)
{
	for (size_t i = 0; i < outputs->n; i++) {
		if (strcmp(name_of(&outputs->at[i]), name) == 0)
			return &outputs->at[i];
	}
	return NULL;
}

/* Whether that pulse was carried out before: a message may arrive twice. */
static bool seen_before(const struct output *output, const struct dp_bus_message *message)
{
	size_t len = message->correlation_len;
	for (size_t i = 0; i < OUTPUTS_SEEN && len > 0; i++) {
		if (output->seen[i].len == len &&
			memcmp(output->seen[i].bytes, message->correlation, len) == 0)
			return true;
	}
	return false;
}

static void note_seen(struct output *output, const struct dp_bus_message *message)
{
	if (message->correlation_len == 0)
		return;
	size_t at = output->n_seen++ % OUTPUTS_SEEN;
	memcpy(output->seen[at].bytes, message->correlation, message->correlation_len);
	output->seen[at].len = message->correlation_len;
}

/* `until` is of the clock since the boot, which publisher and sampler share. */
static bool is_late(const struct outputs *outputs, const struct dp_bus_message *message)
{
	const struct dp_clock *clock = outputs->options.clock;
	const char *boot = NULL;
	uint64_t until = 0;
	for (size_t i = 0; i < message->n_properties; i++) {
		const struct dp_property *property = &message->properties[i];
		if (strcmp(property->name, "boot") == 0)
			boot = property->value;
		else if (strcmp(property->name, "until") == 0 &&
			 dp_parse_u64(property->value, &until) != 0)
			return true;
	}
	return until != 0 && boot != NULL && strcmp(boot, clock->boot_id) == 0 &&
	       clock->boot_ns(clock->data) > (int64_t)until;
}

static bool has_expired(const struct outputs *outputs, const struct command *command)
{
	const struct outputs_options *options = &outputs->options;
	return command->expires_s > 0 &&
	       dp_clock_mark(options->clock, options->trust, dp_build_epoch) !=
		       DP_CLOCK_NONE &&
	       (double)options->clock->wall_us(options->clock->data) / 1e6 >
		       command->expires_s;
}

/* @return NULL, or why it was not carried out */
static const char *carry_out(struct output *output, const struct dp_bus_message *message)
{
	struct command command;
	const char *why;
	if (message->retain)
		return "it is retained; commands never are";
	if (message->correlation_len > OUTPUTS_CORRELATION_MAX)
		return "its correlation data is longer than 256 bytes";
	if (is_late(output->all, message))
		return "expired";
	if (command_parse(message->payload, message->len, &command, &why) != 0)
		return why;
	if (has_expired(output->all, &command))
		return "expired";
	bool is_pulse = command.for_ms > 0;
	if (is_pulse && seen_before(output, message))
		return NULL;
	int level = command_level(output, &command);
	if (is_pulse && level >= 0)
		note_seen(output, message);
	if (level == -EIO)
		return "the output does not follow";
	return level < 0 ? "the output cannot be used now" : NULL;
}

/* @param text  JSON */
static void answer(const struct outputs *outputs, const struct dp_bus_message *message,
	const char *text)
{
	if (message->response_topic == NULL ||
		strncmp(message->response_topic, ANSWER_PREFIX, strlen(ANSWER_PREFIX)) != 0)
		return;
	const struct dp_bus_message reply = {.topic = message->response_topic,
		.payload = text,
		.len = strlen(text),
		.qos = 1,
		.content_type = "application/json",
		.correlation = message->correlation,
		.correlation_len = message->correlation_len};
	int err = dp_bus_publish(outputs->options.presence->bus, &reply);
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_WARN, "cannot answer a command", "topic=%s error=\"%s\"",
			message->topic, strerror(-err));
}

static void obey(struct outputs *outputs, const struct dp_bus_message *message)
{
	const char *name = message->topic + strlen(COMMAND_PREFIX);
	struct output *output = find(outputs, name);
	/* After outputs_close() there is none; what still comes is answered. */
	const char *error = output != NULL ? carry_out(output, message)
					   : "the sampler has no such output now";
	outputs->commands++;
	if (error != NULL) {
		char text[160];
		outputs->refused++;
		dp_log(DP_LOG_WARN, "a command was not carried out",
			"output=%s reason=\"%s\"", name, error);
		snprintf(text, sizeof(text), "{\"error\":\"%s\"}", error);
		answer(outputs, message, text);
	} else {
		dp_log(DP_LOG_INFO, "an output is set", "output=%s value=%d", name,
			output->value);
		answer(outputs, message, output->json);
	}
}

/* The publisher is here, and so are our subscriptions: what may be sent to us. */
static void tell_listening(struct outputs *outputs)
{
	const struct presence *presence = outputs->options.presence;
	const struct dp_property owner = {"sampler", presence->instance};
	int err = 0;
	for (size_t i = 0; i < outputs->n && err == 0; i++) {
		char topic[DP_TOPIC_MAX];
		snprintf(topic, sizeof(topic), "local/listening/%s",
			name_of(&outputs->at[i]));
		const struct dp_bus_message message = {.topic = topic,
			.payload = "",
			.qos = 1,
			.properties = &owner,
			.n_properties = 1};
		err = dp_bus_publish(presence->bus, &message);
	}
	if (err != 0 && err != -ENOTCONN)
		dp_log(DP_LOG_ERROR, "cannot tell the publisher of the outputs",
			"error=\"%s\"", strerror(-err));
}

bool outputs_message(struct outputs *outputs, const struct dp_bus_message *message)
{
	if (strcmp(message->topic, PUBLISHER_TOPIC) == 0) {
		bool online = message->len == strlen("online") &&
			      memcmp(message->payload, "online", message->len) == 0;
		note_publisher(outputs, online);
		if (online)
			tell_listening(outputs);
	} else if (strncmp(message->topic, COMMAND_PREFIX, strlen(COMMAND_PREFIX)) == 0)
		obey(outputs, message);
	else
		return false;
	return true;
}

void outputs_connected(struct outputs *outputs)
{
	struct dp_bus *bus = outputs->options.presence->bus;
	for (size_t i = 0; i < outputs->n; i++) {
		const struct output *output = &outputs->at[i];
		char topic[DP_TOPIC_MAX];
		snprintf(topic, sizeof(topic), COMMAND_PREFIX "%s", name_of(output));
		dp_bus_subscribe(bus, topic);
		presence_tell(
			outputs->options.presence, name_of(output), output->available);
		publish_state(output);
	}
	/*
	 * Last: when its retained message comes, the other subscriptions are made, and the
	 * publisher is told so. Without outputs too, as uplink.c needs the message.
	 */
	dp_bus_subscribe(bus, PUBLISHER_TOPIC);
}

void outputs_disconnected(struct outputs *outputs)
{
	note_publisher(outputs, false);
}

/* ---- start and stop ---- */

static int open_output(
	struct outputs *outputs, const struct output_spec *spec, char *why, size_t why_size)
{
	struct output *output = &outputs->at[outputs->n];
	*output = (struct output){.all = outputs, .spec = spec, .wanted = spec->initial};
	int err = spec->driver->open(
		&output->state, outputs->options.pins, spec->spec, why, why_size);
	if (err != 0)
		return err;
	outputs->n++;
	timer_init(outputs->options.loop, &output->pulse, output);
	timer_init(outputs->options.loop, &output->lost, output);
	drive(output, spec->initial); /* a device that is not there may come */
	return 0;
}

int outputs_open(struct outputs *outputs, const struct outputs_options *options, char *why,
	size_t why_size)
{
	int err = 0;
	outputs->options = *options;
	if (options->list->n == 0)
		return 0;
	timer_init(options->loop, &outputs->check, outputs);
	timer_repeat(&outputs->check, on_check, CHECK_MS, CHECK_MS);
	outputs->publisher = true; /* and gone now: its time begins */
	for (size_t i = 0; i < options->list->n && err == 0; i++)
		err = open_output(outputs, &options->list->specs[i], why, why_size);
	note_publisher(outputs, false);
	return err;
}

void outputs_close(struct outputs *outputs)
{
	if (outputs->options.list == NULL || outputs->options.list->n == 0)
		return;
	for (size_t i = 0; i < outputs->n; i++) {
		struct output *output = &outputs->at[i];
		const struct output_spec *spec = output->spec;
		if (spec->exit != OUTPUT_KEEP)
			impose(output, spec->exit == OUTPUT_ON);
		else if (output->wanted != OUTPUT_KEEP &&
			 (output->pulsing || !output->available))
			drive_wanted(output);
		presence_tell(outputs->options.presence, name_of(output), false);
		spec->driver->close(output->state);
		uv_close((uv_handle_t *)&output->pulse, NULL);
		uv_close((uv_handle_t *)&output->lost, NULL);
	}
	uv_close((uv_handle_t *)&outputs->check, NULL);
	outputs->n = 0;
}
