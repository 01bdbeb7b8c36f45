/*
 * replay@FILE: plays a logic analyser's capture of a DHT11 or DHT22, one transaction
 * a read, again and again. The edges go through the same decoder as a real line's.
 * Without model=MODEL the first frame that can be read tells: DHT22s send less than
 * 1024 tenths of humidity, so that their first byte is below 4.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sampler/dht_decode.h"
#include "sampler/driver.h"
#include "sampler/spec.h"
#include "sampler/trace.h"

struct replay {
	struct driver_read *read;
	struct trace trace;
	struct dht_options options;
	size_t at; /* for trace_next() */
};

/* *text is NULL and *len 0 at first; *text is the caller's to free, also on failure. */
static int read_file(const char *path, char **text, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int err = 0;
	size_t size = 0;
	while (err == 0) {
		if (*len == size) {
			size = size == 0 ? 65536 : size * 2;
			char *larger =
				size <= 2 * TRACE_TEXT_MAX ? realloc(*text, size) : NULL;
			if (larger == NULL) {
				err = size > TRACE_TEXT_MAX ? -EFBIG : -ENOMEM;
				break;
			}
			*text = larger;
		}
		ssize_t n = read(fd, *text + *len, size - *len);
		if (n < 0)
			err = -errno;
		else if (n == 0)
			break;
		else
			*len += (size_t)n;
	}
	close(fd);
	return err;
}

static void detect_model(struct replay *replay)
{
	struct trace_transaction transaction;
	struct dht_reading reading;
	size_t at = 0;
	replay->options.model = DHT_MODEL_DHT22;
	while (trace_next(&replay->trace, &at, &transaction)) {
		trace_decode(&replay->trace, &transaction, &replay->options, &reading);
		if (reading.bits < 40)
			continue;
		if (reading.bytes[0] >= 4)
			replay->options.model = DHT_MODEL_DHT11;
		return;
	}
}

static int load(struct replay *replay, const struct spec *spec, char *why, size_t why_size)
{
	char *text = NULL;
	size_t len = 0;
	char reason[TRACE_WHY_MAX];
	int err = read_file(spec->argument, &text, &len);
	if (err != 0)
		snprintf(reason, sizeof(reason), "%s", strerror(-err));
	else
		err = trace_parse(text, len, &replay->trace, reason);
	free(text);
	if (err != 0) {
		snprintf(why, why_size, "%.80s: %s", spec->argument, reason);
		return -EINVAL;
	}
	if (replay->trace.cut_line > 0)
		dp_log(DP_LOG_WARN,
			"the capture is truncated; what is whole of it is played",
			"file=\"%s\" line=%zu", spec->argument, replay->trace.cut_line);
	return 0;
}

static void replay_close(void *state)
{
	struct replay *replay = state;
	trace_finish(&replay->trace);
	free(replay);
}

static int replay_open(struct driver_instance *out, const struct driver_host *host,
	struct driver_read *read, const struct spec *spec, char *why, size_t why_size)
{
	(void)host;
	struct replay *replay = calloc(1, sizeof(*replay));
	if (replay == NULL) {
		snprintf(why, why_size, "out of memory");
		return -EINVAL;
	}
	const char *model = spec_option(spec, "model");
	int err = load(replay, spec, why, why_size);
	if (err == 0 && model == NULL)
		detect_model(replay);
	if (err == 0 && model != NULL && !dht_model_find(model, &replay->options.model)) {
		snprintf(
			why, why_size, "model=%.20s: there are %s", model, DHT_MODEL_NAMES);
		err = -EINVAL;
	}
	if (err != 0) {
		replay_close(replay);
		return err;
	}
	replay->read = read;
	out->state = replay;
	return 0;
}

static void replay_read(void *state)
{
	struct replay *replay = state;
	struct driver_outcome outcome = {.failure = NULL};
	struct trace_transaction transaction;
	struct dht_reading reading = {.temp_mdegc = 0};
	bool found = trace_next(&replay->trace, &replay->at, &transaction);
	if (!found) {
		replay->at = 0;
		found = trace_next(&replay->trace, &replay->at, &transaction);
	}
	enum dht_status status = DHT_NO_RESPONSE;
	if (found)
		status = trace_decode(
			&replay->trace, &transaction, &replay->options, &reading);
	if (dht_status_has_value(status)) {
		outcome.n = 2;
		outcome.values[0] = (struct dp_value){dp_slice("temperature"),
			dp_slice("Cel"), (double)reading.temp_mdegc / 1000};
		outcome.values[1] = (struct dp_value){dp_slice("humidity"), dp_slice("%RH"),
			(double)reading.rh_mpct / 1000};
	} else {
		outcome.failure = dht_status_name(status);
	}
	replay->read->done(replay->read, &outcome);
}

static const char *const replay_options[] = {"model", NULL};

extern const struct driver replay_driver;
const struct driver replay_driver = {
	.name = "replay",
	.argument = "a capture's file, t_ns,level a line",
	.options = replay_options,
	.open = replay_open,
	.read = replay_read,
	.close = replay_close,
};
