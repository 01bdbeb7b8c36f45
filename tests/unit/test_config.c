#include "config.h"
#include "support.h"

#include <stdbool.h>

struct settings {
	const char *name, *url, *note;
	int64_t period_ms;
	bool print;
};

static const char *check_note(const char *value)
{
	return strcmp(value, "forbidden") == 0 ? "anything else" : NULL;
}

static const struct dp_option options[] = {
	{.name = "NODE_NAME",
		.offset = offsetof(struct settings, name),
		.required = true,
		.check = dp_check_name,
		.help = "the node's name"},
	{.name = "UPSTREAM_URL",
		.offset = offsetof(struct settings, url),
		.fallback = "mqtt://mosquitto",
		.url = true,
		.check = dp_check_mqtt_url,
		.help = "the central broker"},
	{.name = "NOTE",
		.offset = offsetof(struct settings, note),
		.check = check_note,
		.help = "a note"},
	{.name = "PERIOD_MS",
		.type = DP_INT,
		.offset = offsetof(struct settings, period_ms),
		.fallback = "2000",
		.min = 100,
		.max = 3600000,
		.help = "between readings"},
	{.name = "PRINT_READINGS",
		.type = DP_BOOL,
		.offset = offsetof(struct settings, print),
		.fallback = "0",
		.help = "print them"},
};
static const struct dp_config_table table = {options, LENGTH(options)};

static struct settings settings;
static struct dp_config_files files;
static char text_log[8192];

/* Only these variables are set; settings, files and what was logged are global. */
static int load(char **environment)
{
	struct capture capture;
	char **real = environ;
	settings = (struct settings){.note = "untouched"};
	capture_begin(&capture, STDERR_FILENO);
	environ = environment;
	int err = dp_config_load(&table, &settings, &files);
	/* At once: sanitizers look for what lies behind the real one. */
	environ = real;
	capture_end(&capture, text_log, sizeof(text_log));
	return err;
}

static unsigned lines_logged(void)
{
	unsigned n = 0;
	for (const char *c = text_log; *c != '\0'; c++)
		n += *c == '\n';
	return n;
}

/* The environment {NODE_NAME=n, variable}: one line names the variable and what is allowed.
 */
static void assert_refused(const char *variable, const char *name, const char *logged)
{
	char copy[512];
	char *environment[] = {(char[]){"NODE_NAME=n"}, copy, NULL};
	char expected[160];
	snprintf(copy, sizeof(copy), "%s", variable);
	assert_int_equal(load(environment), -EINVAL);
	assert_int_equal(lines_logged(), 1);
	snprintf(expected, sizeof(expected),
		"level=error svc=dewpoint msg=\"bad setting\" name=%s ", name);
	assert_ptr_equal(strstr(text_log, expected), text_log);
	assert_non_null(strstr(text_log, logged));
	dp_config_files_finish(&files);
}

static void test_defaults_fill_what_is_not_set(void **state)
{
	(void)state;
	char *environment[] = {(char[]){"NODE_NAME=orangepi0"}, NULL};
	assert_int_equal(load(environment), 0);
	assert_string_equal(settings.name, "orangepi0");
	assert_string_equal(settings.url, "mqtt://mosquitto");
	assert_string_equal(settings.note, "untouched");
	assert_int_equal(settings.period_ms, 2000);
	assert_false(settings.print);
	assert_string_equal(text_log, "");
}

static void test_the_environment_overrides_defaults(void **state)
{
	(void)state;
	char *environment[] = {(char[]){"NODE_NAME=n"},
		(char[]){"UPSTREAM_URL=mqtts://u:p@b:1"}, (char[]){"NOTE= spaces stay "},
		(char[]){"PERIOD_MS=3600000"}, (char[]){"PRINT_READINGS=1"}, NULL};
	assert_int_equal(load(environment), 0);
	assert_string_equal(settings.url, "mqtts://u:p@b:1");
	assert_string_equal(settings.note, " spaces stay ");
	assert_int_equal(settings.period_ms, 3600000);
	assert_true(settings.print);
}

static void test_a_variable_set_to_nothing_counts_as_not_set(void **state)
{
	(void)state;
	char *environment[] = {(char[]){"NODE_NAME=n"}, (char[]){"PERIOD_MS="},
		(char[]){"UPSTREAM_URL="}, NULL};
	assert_int_equal(load(environment), 0);
	assert_int_equal(settings.period_ms, 2000);
	assert_string_equal(settings.url, "mqtt://mosquitto");
}

static void test_a_required_setting_that_is_missing_is_named(void **state)
{
	(void)state;
	char *nothing[] = {NULL};
	char *empty[] = {(char[]){"NODE_NAME="}, NULL};
	assert_int_equal(load(nothing), -EINVAL);
	assert_non_null(
		strstr(text_log, "name=NODE_NAME value=\"\" allowed=\"the node's name\""));
	assert_int_equal(load(empty), -EINVAL);
	assert_int_equal(lines_logged(), 1);
}

static void test_a_bad_value_is_named_with_what_is_allowed(void **state)
{
	(void)state;
	static const char range[] = "allowed=\"a whole number from 100 to 3600000\"";
	static const char yes_no[] = "allowed=\"0, 1, true, false, yes, no, on, off\"";
	assert_refused("PERIOD_MS=99", "PERIOD_MS", range);
	assert_refused("PERIOD_MS=3600001", "PERIOD_MS", range);
	assert_refused("PERIOD_MS=2s", "PERIOD_MS", "value=\"2s\"");
	assert_refused("PERIOD_MS=99999999999999999999", "PERIOD_MS", range);
	assert_refused("PRINT_READINGS=2", "PRINT_READINGS", yes_no);
	assert_refused("PRINT_READINGS=yess", "PRINT_READINGS", yes_no);
	assert_refused(
		"NOTE=forbidden", "NOTE", "value=\"forbidden\" allowed=\"anything else\"");
	assert_refused("UPSTREAM_URL=broker", "UPSTREAM_URL",
		"value=\"broker\" allowed=\"mqtt://");
}

static void test_every_bad_setting_gets_its_line(void **state)
{
	(void)state;
	char *environment[] = {(char[]){"PERIOD_MS=x"}, (char[]){"PRINT_READINGS=x"},
		(char[]){"NODE_NAME=-"}, NULL};
	assert_int_equal(load(environment), -EINVAL);
	assert_int_equal(lines_logged(), 3);
}

static void test_flags_have_four_spellings_in_any_case(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool value;
	} cases[] = {{"1", true}, {"true", true}, {"YES", true}, {"On", true}, {"0", false},
		{"False", false}, {"no", false}, {"OFF", false}};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char variable[32];
		char *environment[] = {(char[]){"NODE_NAME=n"}, variable, NULL};
		snprintf(variable, sizeof(variable), "PRINT_READINGS=%s", cases[i].text);
		assert_int_equal(load(environment), 0);
		assert_int_equal(settings.print, cases[i].value);
	}
}

static void test_a_password_is_never_logged(void **state)
{
	(void)state;
	assert_refused(
		"UPSTREAM_URL=http://me:secret@host", "UPSTREAM_URL", "value=\"(hidden)\"");
	assert_null(strstr(text_log, "secret"));
}

static void test_a_password_in_a_misspelt_setting_is_not_logged_either(void **state)
{
	(void)state;
	assert_refused(
		"UPSTREAM_ULR=mqtt://me:secret@host", "UPSTREAM_ULR", "UPSTREAM_URL");
	assert_null(strstr(text_log, "secret"));
}

static void test_a_file_may_hold_the_value(void **state)
{
	char path[PATH_SIZE], variable[PATH_SIZE + 32];
	char *environment[] = {(char[]){"NODE_NAME=n"}, variable, NULL};
	static const char text[] = "mqtt://me:secret@host\r\n\n";
	write_file(path_in(state, "url", path), text, strlen(text));
	snprintf(variable, sizeof(variable), "UPSTREAM_URL_FILE=%s", path);
	assert_int_equal(load(environment), 0);
	assert_string_equal(settings.url, "mqtt://me:secret@host");
	write_file(path, "900", 3);
	snprintf(variable, sizeof(variable), "PERIOD_MS_FILE=%s", path);
	assert_int_equal(load(environment), 0);
	assert_int_equal(settings.period_ms, 900);
	dp_config_files_finish(&files);
	assert_int_equal(files.n, 0);
}

static void test_a_value_and_a_file_exclude_each_other(void **state)
{
	char path[PATH_SIZE], variable[PATH_SIZE + 32];
	char *environment[] = {
		(char[]){"NODE_NAME=n"}, (char[]){"PERIOD_MS=900"}, variable, NULL};
	write_file(path_in(state, "period", path), "900", 3);
	snprintf(variable, sizeof(variable), "PERIOD_MS_FILE=%s", path);
	assert_int_equal(load(environment), -EINVAL);
	assert_int_equal(lines_logged(), 1);
	assert_non_null(strstr(text_log, "name=PERIOD_MS_FILE "));
}

static void test_a_file_that_cannot_be_read_is_named(void **state)
{
	char path[PATH_SIZE], variable[PATH_SIZE + 32];
	snprintf(
		variable, sizeof(variable), "NOTE_FILE=%s", path_in(state, "absent", path));
	assert_refused(variable, "NOTE_FILE", "No such file or directory");
	snprintf(variable, sizeof(variable), "NOTE_FILE=%s", (const char *)*state);
	assert_refused(variable, "NOTE_FILE", "Is a directory");
}

static void test_a_file_holds_at_most_4096_bytes(void **state)
{
	char path[PATH_SIZE], variable[PATH_SIZE + 32], text[4097];
	char *environment[] = {(char[]){"NODE_NAME=n"}, variable, NULL};
	memset(text, 'x', sizeof(text));
	write_file(path_in(state, "note", path), text, 4096);
	snprintf(variable, sizeof(variable), "NOTE_FILE=%s", path);
	assert_int_equal(load(environment), 0);
	assert_int_equal(strlen(settings.note), 4096);
	dp_config_files_finish(&files);
	write_file(path, text, 4097);
	assert_refused(variable, "NOTE_FILE", "at most 4096 bytes");
}

static void test_an_empty_file_is_no_value_for_a_required_setting(void **state)
{
	char path[PATH_SIZE], variable[PATH_SIZE + 32];
	char *environment[] = {variable, NULL};
	write_file(path_in(state, "name", path), "\n", 1);
	snprintf(variable, sizeof(variable), "NODE_NAME_FILE=%s", path);
	assert_int_equal(load(environment), -EINVAL);
	assert_non_null(strstr(text_log, "NODE_NAME"));
	dp_config_files_finish(&files);
}

static void test_a_misspelt_setting_is_not_ignored(void **state)
{
	(void)state;
	assert_refused("PERIOD_SM=500", "PERIOD_SM", "did you mean PERIOD_MS?");
	assert_refused("PRINT_READING=1", "PRINT_READING", "did you mean PRINT_READINGS?");
	assert_refused("UPSTREM_ULR=x", "UPSTREM_ULR", "did you mean UPSTREAM_URL?");
	assert_refused("PERIODMS=500", "PERIODMS", "did you mean PERIOD_MS?");
	assert_refused("NODENAME=x", "NODENAME", "did you mean NODE_NAME?");
	assert_refused("node_name=x", "node_name", "did you mean NODE_NAME?");
}

static void test_other_peoples_variables_are_none_of_ours(void **state)
{
	(void)state;
	char *environment[] = {(char[]){"NODE_NAME=n"}, (char[]){"PATH=/bin"},
		(char[]){"HOME=/"}, (char[]){"NOTE_FILES=x"}, (char[]){"NOPE=x"},
		(char[]){"PERIOD=x"},
		(char[]){"A_VERY_LONG_NAME_OF_AN_ENVIRONMENT_VARIABLE=x"},
		(char[]){"malformed"}, (char[]){"=x"}, NULL};
	assert_int_equal(load(environment), 0);
	assert_string_equal(text_log, "");
}

static void test_checks_say_what_is_allowed(void **state)
{
	(void)state;
	assert_null(dp_check_mqtt_url("mqtts://ann:pw@broker:8884"));
	assert_non_null(dp_check_mqtt_url("broker"));
	assert_null(dp_check_name("raspberrypi4"));
	assert_non_null(dp_check_name("raspberry pi"));
	assert_null(dp_check_topic_prefix("/data"));
	assert_non_null(dp_check_topic_prefix("/data/#"));
	assert_null(dp_check_log_level("debug"));
	assert_null(dp_check_log_level("error"));
	assert_non_null(dp_check_log_level("verbose"));
	assert_non_null(dp_check_log_level("INFO"));
}

static void test_help_shows_every_setting(void **state)
{
	(void)state;
	char text[2048];
	struct capture capture;
	capture_begin(&capture, STDOUT_FILENO);
	dp_config_print(&table);
	capture_end(&capture, text, sizeof(text));
	assert_non_null(strstr(text, "NAME_FILE"));
	assert_non_null(strstr(text, "NODE_NAME            the node's name [required]\n"));
	assert_non_null(strstr(text,
		"UPSTREAM_URL         the central broker [default: mqtt://mosquitto]\n"));
	assert_non_null(strstr(text, "NOTE                 a note\n"));
	assert_non_null(strstr(text, "PERIOD_MS            between readings (100 to "
				     "3600000) [default: 2000]\n"));
	assert_non_null(strstr(text, "PRINT_READINGS       print them [default: 0]\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_fill_what_is_not_set),
		cmocka_unit_test(test_the_environment_overrides_defaults),
		cmocka_unit_test(test_a_variable_set_to_nothing_counts_as_not_set),
		cmocka_unit_test(test_a_required_setting_that_is_missing_is_named),
		cmocka_unit_test(test_a_bad_value_is_named_with_what_is_allowed),
		cmocka_unit_test(test_every_bad_setting_gets_its_line),
		cmocka_unit_test(test_flags_have_four_spellings_in_any_case),
		cmocka_unit_test(test_a_password_is_never_logged),
		cmocka_unit_test(
			test_a_password_in_a_misspelt_setting_is_not_logged_either),
		IN_DIRECTORY(test_a_file_may_hold_the_value),
		IN_DIRECTORY(test_a_value_and_a_file_exclude_each_other),
		IN_DIRECTORY(test_a_file_that_cannot_be_read_is_named),
		IN_DIRECTORY(test_a_file_holds_at_most_4096_bytes),
		IN_DIRECTORY(test_an_empty_file_is_no_value_for_a_required_setting),
		cmocka_unit_test(test_a_misspelt_setting_is_not_ignored),
		cmocka_unit_test(test_other_peoples_variables_are_none_of_ours),
		cmocka_unit_test(test_checks_say_what_is_allowed),
		cmocka_unit_test(test_help_shows_every_setting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
