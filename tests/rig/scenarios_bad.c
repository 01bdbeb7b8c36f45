/* Sensors whose edges are lost or late: a failure is counted, no value is made up. */
#include <stdio.h>
#include <string.h>

#include "frames.h"
#include "node.h"
#include "player.h"
#include "rig.h"

#define SENSOR_LINE 4
#define READINGS_MAX 256

/* A value that no mistake makes of itself: many bits are set. */
#define HUMIDITY 58.7
#define TEMPERATURE 23.5

static struct dht_line good_frame(void)
{
	return frame_dht22(587, 235);
}

/* @return how many readings there are; each has the value that was sent */
static size_t expect_only_the_truth(const struct sampler *sampler, const char *sensor)
{
	double humidities[READINGS_MAX], temperatures[READINGS_MAX];
	size_t n = sampler_values(sampler, sensor, "humidity", humidities, READINGS_MAX);
	size_t m =
		sampler_values(sampler, sensor, "temperature", temperatures, READINGS_MAX);
	expect(n == m && n <= READINGS_MAX, "%zu and %zu values", n, m);
	for (size_t i = 0; i < n; i++)
		expect(humidities[i] == HUMIDITY && temperatures[i] == TEMPERATURE,
			"a wrong value: %g %%RH and %g degrees; %g and %g were sent",
			humidities[i], temperatures[i], HUMIDITY, TEMPERATURE);
	return n;
}

/*
 * Play these answers, then good ones. The sampler is through when it has read one of those,
 * and every answer has been a reading or a failure that was counted.
 * @return how many of them were readings
 */
static size_t play_bad(struct dht_line *answers, size_t n)
{
	struct sim_chip chip;
	char sensors[64];
	answers[n] = good_frame();
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	const struct player *player = player_start(&chip, SENSOR_LINE, answers, n + 1);
	broker_start();
	snprintf(sensors, sizeof(sensors), "SENSORS=climate=dht22@" SIM_CHIP ":%d",
		SENSOR_LINE);
	struct sampler sampler = SAMPLER(sensors, "STATS_PERIOD_S=10");
	eventually(player->answered > n, "%zu answers", n);
	size_t before = expect_only_the_truth(&sampler, "climate");
	eventually(expect_only_the_truth(&sampler, "climate") > before + 1,
		"readings of the good answers that follow");
	/* The first answer was to wake the sensor. */
	long failed = sampler_counter("failed");
	size_t read = n - 1 - (size_t)failed;
	expect(failed >= 0 && failed < (long)n, "%ld of %zu reads failed", failed, n - 1);
	expect(before >= read, "of %zu answers %ld failed and %zu were read", n - 1, failed,
		before);
	sampler_stop(&sampler);
	return read;
}

/* Each pulse in turn is swallowed. */
static void pulse_lost(const void *data)
{
	(void)data;
	struct dht_line answers[PLAYER_ANSWERS_MAX] = {good_frame()};
	size_t n = 1;
	for (size_t fall = 2; fall < good_frame().count; fall++) {
		answers[n] = good_frame();
		player_omit(&answers[n++], fall);
	}
	size_t read = play_bad(answers, n);
	rig_note("%zu of %zu answers without one pulse were read", read, n - 1);
	expect(read == 0, "%zu answers that lack a pulse were taken", read);
}

/* Pulses are swallowed in pairs and threes, anywhere. */
static void pulses_lost(const void *data)
{
	(void)data;
	struct dht_line answers[PLAYER_ANSWERS_MAX] = {good_frame()};
	uint64_t random = 20261124;
	size_t n = 1;
	for (; n < 31; n++) {
		answers[n] = good_frame();
		for (unsigned lost = 0; lost < 2 + n % 2; lost++)
			player_omit(&answers[n],
				2 + line_random(&random) % (answers[n].count - 2));
	}
	size_t read = play_bad(answers, n);
	rig_note("%zu of %zu answers without two or three pulses were read", read, n - 1);
	expect(read == 0, "%zu answers that lack pulses were taken", read);
}

/* The sensor stops in the middle of a frame. */
static void frame_cut_short(const void *data)
{
	(void)data;
	struct dht_line answers[PLAYER_ANSWERS_MAX] = {good_frame()};
	size_t n = 1;
	for (size_t falls = 1; falls < good_frame().count; falls += 3) {
		answers[n] = good_frame();
		answers[n++].count = falls;
	}
	size_t read = play_bad(answers, n);
	expect(read == 0, "%zu answers that were cut short were taken", read);
}

/* Each edge is late by a latency of its own, as on a kernel that is busy. */
static void edges_late(const void *data)
{
	(void)data;
	static const double means_us[] = {3, 10, 25};
	struct dht_line answers[PLAYER_ANSWERS_MAX] = {good_frame()};
	uint64_t random = 20261124;
	size_t n = 1;
	for (; n < 46; n++) {
		answers[n] = good_frame();
		dht_line_jitter(&answers[n], means_us[n % 3], &random);
	}
	size_t read = play_bad(answers, n);
	rig_note("%zu of %zu answers with edges late by 3, 10 and 25 us were read", read,
		n - 1);
	expect(read > 0 && read < n - 1, "%zu of %zu were taken", read, n - 1);
}

/* The second boot: four sensors at once, while the host decides when an edge comes. */
static void timing_of_the_host(const void *data)
{
	(void)data;
	enum { SENSORS = 4, EACH = 4 };
	static const char *const names[SENSORS] = {"a", "b", "c", "d"};
	const struct dht_line answer = good_frame();
	const struct player *players[SENSORS];
	struct sim_chip chip;
	char sensors[160] = "SENSORS=";
	unsigned asked = 0;
	size_t readings = 0;
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	for (unsigned i = 0; i < SENSORS; i++) {
		players[i] = player_start(&chip, i, &answer, 1);
		size_t len = strlen(sensors);
		snprintf(sensors + len, sizeof(sensors) - len, "%s%s=dht22@" SIM_CHIP ":%u",
			i > 0 ? "," : "", names[i], i);
	}
	broker_start();
	struct sampler sampler = SAMPLER(sensors, "STATS_PERIOD_S=1");
	for (unsigned i = 0; i < SENSORS; i++) {
		eventually(players[i]->answered > EACH, "answers of sensor %s", names[i]);
		asked += players[i]->answered - 1;
		readings += expect_only_the_truth(&sampler, names[i]);
	}
	rig_note("%zu of about %u answers were read in the host's time", readings, asked);
	eventually(sampler_counter("failed") + (long)readings >= asked - SENSORS,
		"a failure for each answer that was no reading");
	sampler_stop(&sampler);
}

const struct scenario scenarios_bad[] = {
	{.name = "pulse-lost", .run = pulse_lost},
	{.name = "pulses-lost", .run = pulses_lost},
	{.name = "frame-cut-short", .run = frame_cut_short},
	{.name = "edges-late", .run = edges_late},
	{.name = "timing-of-the-host", .run = timing_of_the_host, .time = RIG_HOST_TIME},
	{.name = NULL},
};
