#include "log.h"
#include "support.h"

static char written[8192];

#define LOG(...)                                                                           \
	do {                                                                               \
		struct capture capture_;                                                   \
		capture_begin(&capture_, STDERR_FILENO);                                   \
		dp_log(__VA_ARGS__);                                                       \
		capture_end(&capture_, written, sizeof(written));                          \
	} while (0)

static void test_an_event_is_one_logfmt_line(void **state)
{
	(void)state;
	dp_log_init("ingest", DP_LOG_INFO);
	LOG(DP_LOG_WARN, "the store is full", "file=%s free=%d", "/data/broker.db", 0);
	assert_string_equal(written, "level=warn svc=ingest msg=\"the store is full\" "
				     "file=/data/broker.db free=0\n");
	LOG(DP_LOG_ERROR, "no fields", NULL);
	assert_string_equal(written, "level=error svc=ingest msg=\"no fields\"\n");
}

static void test_lines_below_the_level_are_not_written(void **state)
{
	(void)state;
	dp_log_init("ingest", DP_LOG_WARN);
	LOG(DP_LOG_INFO, "quiet", NULL);
	assert_string_equal(written, "");
	LOG(DP_LOG_WARN, "loud", NULL);
	assert_string_not_equal(written, "");
	dp_log_init("ingest", DP_LOG_DEBUG);
	LOG(DP_LOG_DEBUG, "all", NULL);
	assert_string_equal(written, "level=debug svc=ingest msg=\"all\"\n");
}

static void test_text_from_outside_cannot_forge_a_line(void **state)
{
	(void)state;
	dp_log_init("ingest", DP_LOG_INFO);
	LOG(DP_LOG_INFO, "topic", "topic=\"%s\"", "a\nlevel=error\r\t\x1b[31m\x7f");
	assert_string_equal(written,
		"level=info svc=ingest msg=\"topic\" topic=\"a level=error   [31m \"\n");
}

static void test_an_overlong_line_is_cut_and_ends_in_a_newline(void **state)
{
	(void)state;
	static char text[4000];
	memset(text, 'x', sizeof(text) - 1);
	dp_log_init("ingest", DP_LOG_INFO);
	LOG(DP_LOG_INFO, "long", "text=%s", text);
	size_t len = strlen(written);
	assert_in_range(len, 900, 1024);
	assert_int_equal(strcspn(written, "\n"), len - 1);
	LOG(DP_LOG_INFO, text, "more=%s", text);
	len = strlen(written);
	assert_in_range(len, 900, 1024);
	assert_int_equal(strcspn(written, "\n"), len - 1);
}

static void test_levels_have_names(void **state)
{
	(void)state;
	static const char *const names[] = {"debug", "info", "warn", "error"};
	enum dp_log_level level = DP_LOG_DEBUG;
	for (unsigned i = 0; i < LENGTH(names); i++) {
		assert_int_equal(dp_log_parse_level(names[i], &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(dp_log_parse_level("", &level), -EINVAL);
	assert_int_equal(dp_log_parse_level("warning", &level), -EINVAL);
	assert_int_equal(dp_log_parse_level("Info", &level), -EINVAL);
	assert_int_equal(level, DP_LOG_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_event_is_one_logfmt_line),
		cmocka_unit_test(test_lines_below_the_level_are_not_written),
		cmocka_unit_test(test_text_from_outside_cannot_forge_a_line),
		cmocka_unit_test(test_an_overlong_line_is_cut_and_ends_in_a_newline),
		cmocka_unit_test(test_levels_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
