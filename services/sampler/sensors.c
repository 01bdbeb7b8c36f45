#include "sensors.h"

#include <errno.h>

#include "log.h"
#include "service.h"
#include "timer.h"

#define FAILURES_UNAVAILABLE 3 /* in a row, or the last attempt of a long period */
#define FAILURES_PER_LOG 10
#define STUCK_MS 10000
#define FIRST_MS 1000 /* after the start, each has been read once */
#define BUS_THREADS 2

static void on_due(uv_timer_t *timer);

static int64_t now_ms(const struct sensor *sensor)
{
	return (int64_t)uv_now(sensor->timer.loop);
}

static void schedule(struct sensor *sensor, bool failed)
{
	int64_t now = now_ms(sensor), at = pace_next(&sensor->pace, now, failed);
	timer_start(&sensor->timer, on_due, (uint64_t)(at - now));
}

static void set_available(struct sensor *sensor, bool available)
{
	struct sensors *all = sensor->all;
	if (sensor->available == available)
		return;
	sensor->available = available;
	all->options.available(all->options.data, (unsigned)(sensor - all->at), available);
}

static void note_failure(struct sensor *sensor, const struct driver_outcome *outcome)
{
	sensor->all->failed++;
	sensor->failures++;
	bool out = sensor->failures >= FAILURES_UNAVAILABLE;
	if (sensor->failures == 1 || sensor->failures % FAILURES_PER_LOG == 0 ||
		(out && sensor->available))
		dp_log(DP_LOG_WARN, "a sensor cannot be read",
			"sensor=%s cause=%s in_a_row=%u%s%s%s", sensor->spec->spec->name,
			outcome->failure, sensor->failures,
			outcome->advice != NULL ? " advice=\"" : "",
			outcome->advice != NULL ? outcome->advice : "",
			outcome->advice != NULL ? "\"" : "");
	if (out)
		set_available(sensor, false);
}

static void note_success(struct sensor *sensor)
{
	if (sensor->failures > 0)
		dp_log(DP_LOG_INFO, "a sensor can be read again", "sensor=%s failures=%u",
			sensor->spec->spec->name, sensor->failures);
	sensor->failures = 0;
	set_available(sensor, true);
}

/* @return whether there is a reading, or nothing to say */
static bool handle_outcome(struct sensor *sensor, const struct driver_outcome *outcome)
{
	static const struct driver_outcome unsendable = {.failure = "cannot-be-sent",
		.advice = "a value is no finite number, or a quantity's name is not "
			  "allowed; check the driver, offset: and scale:"};
	struct sensors *all = sensor->all;
	struct driver_outcome corrected = *outcome;
	all->failed += outcome->missed;
	if (outcome->failure == NULL && outcome->n > 0) {
		sensor_correct(sensor->spec, &corrected);
		if (all->options.reading(all->options.data, (unsigned)(sensor - all->at),
			    &corrected) != 0)
			outcome = &unsendable;
	}
	if (outcome->failure != NULL)
		note_failure(sensor, outcome);
	else
		note_success(sensor);
	return outcome->failure == NULL;
}

static void read_done(struct driver_read *read, const struct driver_outcome *outcome)
{
	struct sensor *sensor = (struct sensor *)read;
	schedule(sensor, !handle_outcome(sensor, outcome));
}

static void read_event(struct driver_read *read, const struct driver_outcome *outcome)
{
	handle_outcome((struct sensor *)read, outcome);
}

/* Its driver has not answered for long: it is said, and waited for. */
static void on_stuck(uv_timer_t *timer)
{
	static const struct driver_outcome stuck = {.failure = "stuck",
		.advice = "the kernel's driver or the device hangs; the read goes on"};
	struct sensor *sensor = timer->data;
	sensor->failures += FAILURES_UNAVAILABLE;
	note_failure(sensor, &stuck);
	timer_start(timer, on_stuck, STUCK_MS);
}

static void on_due(uv_timer_t *timer)
{
	struct sensor *sensor = timer->data;
	/* A driver that answers late misses deadlines of its own and delays nobody. */
	timer_start(timer, on_stuck, STUCK_MS);
	pace_tried(&sensor->pace, now_ms(sensor));
	sensor->spec->driver->read(sensor->instance.state);
}

static int64_t share_of(int64_t span_ms, size_t index, size_t n)
{
	return span_ms * (int64_t)index / (int64_t)n;
}

static int open_sensor(struct sensors *sensors, size_t index, char *why, size_t why_size)
{
	const struct sensors_options *options = &sensors->options;
	struct sensor *sensor = &sensors->at[index];
	const struct sensor_spec *spec = &options->list->specs[index];
	*sensor = (struct sensor){.read = {.done = read_done, .event = read_event},
		.all = sensors,
		.spec = spec};
	int err = spec->driver->open(&sensor->instance, &options->host, &sensor->read,
		spec->spec, why, why_size);
	if (err != 0)
		return err;
	sensors->n++;
	timer_init(options->host.loop, &sensor->timer, sensor);
	int64_t period = spec->period_ms > 0 ? spec->period_ms : options->period_ms;
	/*
	 * Spread over the period, so that the sensors do not all fire at once. But whether
	 * a sensor can be read is to be known soon: the first read does not wait for its
	 * turn.
	 */
	int64_t phase = share_of(period, index, options->list->n);
	int64_t first =
		share_of(period < FIRST_MS ? period : FIRST_MS, index, options->list->n);
	pace_init(&sensor->pace, period, sensor->instance.interval_ms,
		sensor->instance.retries,
		now_ms(sensor) + (first < phase ? phase - period : phase));
	timer_start(&sensor->timer, on_due, (uint64_t)first);
	return 0;
}

/* A thread for each sensor that may hang, and for the bus to connect meanwhile. */
static void size_thread_pool(const struct sensor_list *list)
{
	unsigned n = 0;
	for (size_t i = 0; i < list->n; i++)
		n += list->specs[i].driver->waits;
	if (n > 0)
		dp_service_size_pool(n + BUS_THREADS);
}

int sensors_open(struct sensors *sensors, const struct sensors_options *options, char *why,
	size_t why_size)
{
	sensors->options = *options;
	size_thread_pool(options->list);
	int err = 0;
	for (size_t i = 0; i < options->list->n && err == 0; i++)
		err = open_sensor(sensors, i, why, why_size);
	return err;
}

void sensors_close(struct sensors *sensors)
{
	for (size_t i = 0; i < sensors->n; i++) {
		struct sensor *sensor = &sensors->at[i];
		uv_close((uv_handle_t *)&sensor->timer, NULL);
		sensor->spec->driver->close(sensor->instance.state);
	}
	sensors->n = 0;
}
