#include "ingest/postgres/hosts.h"

#include <errno.h>

#include "support.h"

static void assert_hosts(const char *host, const char *port, size_t rotate,
	const char *hosts_expected, const char *addresses, const char *ports)
{
	struct hosts hosts;
	assert_int_equal(hosts_look_up(&hosts, host, port, rotate), 0);
	assert_string_equal(hosts.host, hosts_expected);
	assert_string_equal(hosts.hostaddr, addresses);
	assert_string_equal(hosts.port, ports);
	hosts_finish(&hosts);
}

static void test_an_address_stays(void **state)
{
	(void)state;
	assert_hosts("127.0.0.1", "", 0, "127.0.0.1", "127.0.0.1", "");
	assert_hosts("::1", "5433", 0, "::1", "::1", "5433");
}

static void test_a_folder_is_not_looked_up(void **state)
{
	(void)state;
	assert_hosts("/run/postgresql", "5432", 0, "/run/postgresql", "", "5432");
}

static void test_each_host_has_its_port(void **state)
{
	(void)state;
	assert_hosts("127.0.0.1,/run/a,127.0.0.2", "1,2,3", 0, "127.0.0.1,/run/a,127.0.0.2",
		"127.0.0.1,,127.0.0.2", "1,2,3");
	/* Or one for all. */
	assert_hosts("127.0.0.1,127.0.0.2", "5", 0, "127.0.0.1,127.0.0.2",
		"127.0.0.1,127.0.0.2", "5,5");
	/* Or the default, which is empty, for some. */
	assert_hosts("127.0.0.1,127.0.0.2", ",7", 0, "127.0.0.1,127.0.0.2",
		"127.0.0.1,127.0.0.2", ",7");
	/* postgresql://127.0.0.1:6432,127.0.0.2/: the port of the last is the default. */
	assert_hosts("127.0.0.1,127.0.0.2", "6432,", 0, "127.0.0.1,127.0.0.2",
		"127.0.0.1,127.0.0.2", "6432,");
	assert_hosts("127.0.0.1,127.0.0.2,127.0.0.3", "6432,,7", 1,
		"127.0.0.2,127.0.0.3,127.0.0.1", "127.0.0.2,127.0.0.3,127.0.0.1",
		",7,6432");
}

static void test_another_one_comes_first_each_time(void **state)
{
	(void)state;
	assert_hosts("127.0.0.1,127.0.0.2", "1,2", 1, "127.0.0.2,127.0.0.1",
		"127.0.0.2,127.0.0.1", "2,1");
	assert_hosts("127.0.0.1,127.0.0.2", "1,2", 2, "127.0.0.1,127.0.0.2",
		"127.0.0.1,127.0.0.2", "1,2");
}

static void test_what_is_wrong_is_said(void **state)
{
	(void)state;
	struct hosts hosts;
	assert_int_equal(hosts_look_up(&hosts, "127.0.0.1,,127.0.0.2", "", 0), -EINVAL);
	assert_string_equal(hosts.why, "a host name is empty or too long");
	hosts_finish(&hosts);
	/* No name server is asked for what cannot be a name. */
	assert_int_equal(hosts_look_up(&hosts, "no..name", "", 0), -ENOENT);
	assert_non_null(strstr(hosts.why, "no..name"));
	hosts_finish(&hosts);
}

static void test_one_name_without_address_does_no_harm(void **state)
{
	(void)state;
	assert_hosts("no..name,127.0.0.2", "1,2", 0, "127.0.0.2", "127.0.0.2", "2");
	assert_hosts("127.0.0.2,no..name", "2,1", 0, "127.0.0.2", "127.0.0.2", "2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_address_stays),
		cmocka_unit_test(test_a_folder_is_not_looked_up),
		cmocka_unit_test(test_each_host_has_its_port),
		cmocka_unit_test(test_another_one_comes_first_each_time),
		cmocka_unit_test(test_what_is_wrong_is_said),
		cmocka_unit_test(test_one_name_without_address_does_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
