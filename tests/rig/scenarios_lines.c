/* Lines as such: inputs and outputs, who may use them, and chips that go and come back. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "frames.h"
#include "node.h"
#include "player.h"
#include "rig.h"

#define READINGS_MAX 512

static bool has_value(const struct sampler *sampler, const char *sensor,
	const char *quantity, double value)
{
	double values[READINGS_MAX];
	size_t n = sampler_values(sampler, sensor, quantity, values, READINGS_MAX);
	for (size_t i = 0; i < n && i < READINGS_MAX; i++) {
		if (values[i] == value)
			return true;
	}
	return false;
}

/* ---- inputs ---- */

static void level(const void *data)
{
	(void)data;
	struct sim_chip chip;
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	struct sampler sampler =
		SAMPLER("SENSORS=door=gpio-in@" SIM_CHIP ":5,low=gpio-in@" SIM_CHIP
			":6,active-low=1,idle=gpio-in@" SIM_CHIP ":7,bias=pull-up");
	eventually(sampler_last(&sampler, "door", "level") == 0 &&
			   sampler_last(&sampler, "low", "level") == 1 &&
			   sampler_last(&sampler, "idle", "level") == 1,
		"the first levels");
	sim_pull(&chip, 5, true);
	sim_pull(&chip, 6, true);
	sim_pull(&chip, 7, false);
	eventually(sampler_last(&sampler, "door", "level") == 1 &&
			   sampler_last(&sampler, "low", "level") == 0 &&
			   sampler_last(&sampler, "idle", "level") == 0,
		"the levels that follow");
	sampler_stop(&sampler);
}

static void edges(const void *data)
{
	(void)data;
	struct sim_chip chip;
	double values[READINGS_MAX];
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	struct sampler sampler =
		SAMPLER("SENSORS=door=gpio-in@" SIM_CHIP ":5/1h,mode=edges");
	eventually(sampler_count(&sampler, "door", "level") == 1, "the first level");
	for (unsigned i = 1; i <= 20; i++) {
		sim_pull(&chip, 5, i % 2 == 1);
		eventually(sampler_count(&sampler, "door", "level") == 1 + i,
			"change %u, without waiting for the period", i);
	}
	sampler_values(&sampler, "door", "level", values, READINGS_MAX);
	for (unsigned i = 0; i <= 20; i++)
		expect(values[i] == i % 2, "change %u was to %g", i, values[i]);
	sampler_stop(&sampler);
}

/* More at once than the kernel keeps: it drops the oldest, and numbers them all. */
static void pulses_counted(const void *data)
{
	(void)data;
	enum { PULSES = 3000 };
	struct sim_chip chip;
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	struct sampler sampler =
		SAMPLER("SENSORS=rain=gpio-in@" SIM_CHIP ":5,mode=count", "PERIOD_MS=1000");
	eventually(has_value(&sampler, "rain", "count", 0), "it counts from 0");
	for (unsigned i = 0; i < PULSES; i++) {
		sim_pull(&chip, 5, true);
		sim_pull(&chip, 5, false);
	}
	eventually(sampler_last(&sampler, "rain", "count") >= PULSES, "%d pulses", PULSES);
	expect(sampler_last(&sampler, "rain", "count") == PULSES, "%d pulses were %g",
		PULSES, sampler_last(&sampler, "rain", "count"));
	sampler_stop(&sampler);
}

/* A contact that chatters: each press is one, as the level has to last. */
static void presses_debounced(const void *data)
{
	(void)data;
	enum { PRESSES = 5, BOUNCES = 10 };
	struct sim_chip chip;
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	struct sampler sampler = SAMPLER("SENSORS=raw=gpio-in@" SIM_CHIP
					 ":6,mode=count,bell=gpio-in@" SIM_CHIP
					 ":5,mode=count,debounce-ms=20",
		"PERIOD_MS=1000");
	eventually(has_value(&sampler, "bell", "count", 0) &&
			   has_value(&sampler, "raw", "count", 0),
		"they count from 0");
	for (unsigned press = 1; press <= PRESSES; press++) {
		for (unsigned bounce = 0; bounce < BOUNCES; bounce++) {
			for (unsigned line = 5; line <= 6; line++)
				sim_pull(&chip, line, true);
			for (unsigned line = 5; line <= 6 && bounce + 1 < BOUNCES; line++)
				sim_pull(&chip, line, false);
		}
		eventually(has_value(&sampler, "bell", "count", press), "press %u", press);
		for (unsigned line = 5; line <= 6; line++)
			sim_pull(&chip, line, false);
		/* It is up again once its being down is over for the kernel too. */
		size_t seen = sampler_count(&sampler, "bell", "count");
		eventually(sampler_count(&sampler, "bell", "count") > seen + 2, "a while");
	}
	eventually(sampler_last(&sampler, "raw", "count") == PRESSES * BOUNCES,
		"every bounce of the line that is not debounced");
	expect(sampler_last(&sampler, "bell", "count") == PRESSES, "%d presses were %g",
		PRESSES, sampler_last(&sampler, "bell", "count"));
	sampler_stop(&sampler);
}

/* ---- outputs: set by a command, read back from the line ---- */

static void output(const void *data)
{
	(void)data;
	struct sim_chip chip;
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	broker_start();
	struct sampler sampler =
		SAMPLER("OUTPUTS=fan=gpio@" SIM_CHIP ":17,initial=1,valve=gpio@" SIM_CHIP
			":18,active-low=1");
	eventually(broker_heard("local/status/fan", "online"), "the output is available");
	expect(sim_level(&chip, 17) && sim_level(&chip, 18), "not the initial levels");
	expect((sim_info(&chip, 17).flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0,
		"the line is no output");
	broker_publish("local/cmd/fan", "{\"value\":0}");
	eventually(broker_heard("local/state/fan", "\"value\":0}"), "its state");
	expect(!sim_level(&chip, 17), "the line does not follow");
	broker_publish("local/cmd/valve", "{\"value\":1}");
	eventually(!sim_level(&chip, 18), "the other line, active-low");
	broker_publish("local/cmd/fan", "{\"value\":1}");
	eventually(sim_level(&chip, 17), "the line");
	sampler_stop(&sampler);
	eventually(
		broker_heard("local/status/fan", "offline"), "the output is unavailable");
	expect(!sampler_logged(&sampler, "does not follow"), "what was read back is wrong");
}

/* ---- who uses a line, and may ---- */

static void line_in_use(const void *data)
{
	(void)data;
	const struct dht_line answer = frame_dht22(476, 248);
	struct sim_chip chip;
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	player_start(&chip, 4, &answer, 1);
	int held = sim_hold(&chip, 4, "spi0 CS0");
	struct sampler sampler =
		SAMPLER("SENSORS=climate=dht22@" SIM_CHIP ":4,door=gpio-in@" SIM_CHIP ":5");
	eventually(sampler_logged(&sampler, "in use by spi0 CS0"), "who uses it");
	eventually(sampler_logged(&sampler, "a sensor is available sensor=climate") == 0 &&
			   sampler_count(&sampler, "door", "level") > 10,
		"the other sensor goes on");
	expect(sampler_count(&sampler, "climate", "humidity") == 0, "a reading of nothing");
	close(held);
	eventually(sampler_last(&sampler, "climate", "humidity") == 47.6,
		"a reading once the line is free");
	expect(strcmp(sim_info(&chip, 4).consumer, "dewpoint-climate") == 0,
		"the kernel says that %s uses the line", sim_info(&chip, 4).consumer);
	sampler_stop(&sampler);
}

static void expect_in(const char *status, const char *line)
{
	expect(strstr(status, line) != NULL, "not in its status: %s\n%s", line + 1, status);
}

/* As in its container: a user, the group of the device, and nothing else. */
static void no_privilege(const void *data)
{
	(void)data;
	const struct dht_line answer = frame_dht22(476, 248);
	const char *const settings[] = {"SENSORS=climate=dht22@" SIM_CHIP ":4", NULL};
	struct sim_chip chip;
	char path[64], status[4096];
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	player_start(&chip, 4, &answer, 1);

	struct sampler without = sampler_start_without_group(settings);
	eventually(sampler_logged(&without, "cause=no-access") &&
			   sampler_logged(&without, "group_add"),
		"what is missing without the group");
	expect(sampler_count(&without, "climate", "humidity") == 0, "it has read");
	sampler_stop(&without);

	struct sampler with = sampler_start(settings);
	eventually(sampler_count(&with, "climate", "humidity") > 0, "a reading with it");
	snprintf(path, sizeof(path), "/proc/%d/status", (int)with.pid);
	rig_read(path, status, sizeof(status));
	expect_in(status, "\nUid:\t10001\t10001\t10001\t10001\n");
	expect_in(status, "\nGroups:\t997 \n");
	expect_in(status, "\nCapPrm:\t0000000000000000\n");
	expect_in(status, "\nCapEff:\t0000000000000000\n");
	expect_in(status, "\nCapBnd:\t0000000000000000\n");
	expect_in(status, "\nNoNewPrivs:\t1\n");
	sampler_stop(&with);
}

/* ---- a chip that is unplugged ---- */

static void chip_vanishes(const void *data)
{
	(void)data;
	static const char *const lost[] = {"climate", "door", "rain"};
	const struct dht_line answer = frame_dht22(476, 248);
	struct sim_chip chip, other;
	sim_make(&chip, SIM_CHIP, SIM_LINES);
	sim_make(&other, "pinctrl-other", SIM_LINES);
	player_start(&chip, 4, &answer, 1);
	broker_start();
	struct sampler sampler =
		SAMPLER("SENSORS=climate=dht22@" SIM_CHIP ":4,door=gpio-in@" SIM_CHIP
			":5,mode=edges,rain=gpio-in@" SIM_CHIP
			":6,mode=count,other=gpio-in@pinctrl-other:5");
	eventually(sampler_count(&sampler, "climate", "humidity") > 0 &&
			   sampler_count(&sampler, "door", "level") > 0 &&
			   sampler_count(&sampler, "rain", "count") > 0,
		"a reading of each sensor");
	sim_vanish(&chip);
	for (size_t i = 0; i < 3; i++) {
		char topic[64];
		snprintf(topic, sizeof(topic), "local/status/%s", lost[i]);
		/* The first time was at its start. */
		eventually(
			broker_heard(topic, "offline") == 2, "%s is unavailable", lost[i]);
	}
	expect(sampler_logged(&sampler, "cause=no-chip"), "the cause was not said");
	size_t before = sampler_count(&sampler, "other", "level");
	size_t climate = sampler_count(&sampler, "climate", "humidity");
	size_t door = sampler_count(&sampler, "door", "level");
	eventually(sampler_count(&sampler, "other", "level") > before + 5,
		"the sensor of another chip goes on");
	expect(broker_heard("local/status/other", "offline") == 1,
		"it was unavailable too");
	expect(sampler_count(&sampler, "climate", "humidity") == climate &&
			sampler_count(&sampler, "door", "level") == door,
		"a reading of a chip that is gone");
	sim_appear(&chip);
	player_start(&chip, 4, &answer, 1);
	eventually(sampler_count(&sampler, "climate", "humidity") > climate &&
			   sampler_count(&sampler, "door", "level") > door,
		"readings once it is back");
	sim_pull(&chip, 6, true);
	eventually(sampler_last(&sampler, "rain", "count") == 1, "a pulse, counted");
	sampler_stop(&sampler);
}

const struct scenario scenarios_lines[] = {
	{.name = "level", .run = level},
	{.name = "edges", .run = edges},
	{.name = "pulses-counted", .run = pulses_counted},
	{.name = "presses-debounced", .run = presses_debounced},
	{.name = "output", .run = output},
	{.name = "line-in-use", .run = line_in_use},
	{.name = "no-privilege", .run = no_privilege},
	{.name = "chip-vanishes", .run = chip_vanishes},
	{.name = NULL},
};
