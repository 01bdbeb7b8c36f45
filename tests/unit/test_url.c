#include "support.h"
#include "url.h"

static void test_urls_are_taken_apart(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool tls;
		const char *host;
		int port;
		const char *user, *password;
	} cases[] = {
		{"mqtt://mosquitto", false, "mosquitto", 1883, "", ""},
		{"mqtt://mosquitto/", false, "mosquitto", 1883, "", ""},
		{"mqtt://mosquitto:1884", false, "mosquitto", 1884, "", ""},
		{"mqtt://10.0.0.7:1/", false, "10.0.0.7", 1, "", ""},
		{"mqtts://broker.lan", true, "broker.lan", 8883, "", ""},
		{"mqtts://broker.lan:65535", true, "broker.lan", 65535, "", ""},
		{"mqtt://ann@host", false, "host", 1883, "ann", ""},
		{"mqtt://ann:@host", false, "host", 1883, "ann", ""},
		{"mqtt://ann:pa:ss@host:1885", false, "host", 1885, "ann", "pa:ss"},
		{"mqtt://ann:p@ss@host", false, "host", 1883, "ann", "p@ss"},
		{"mqtt://a%40b:p%3aw%2F%25@host", false, "host", 1883, "a@b", "p:w/%"},
		{"mqtt://[::1]", false, "::1", 1883, "", ""},
		{"mqtts://ann:pw@[fe80::1%eth0]:1884/", true, "fe80::1%eth0", 1884, "ann",
			"pw"},
		{"mqtt://under_score-1.example", false, "under_score-1.example", 1883, "",
			""},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct dp_mqtt_url url;
		const char *why = NULL;
		assert_int_equal(dp_mqtt_url_parse(cases[i].text, &url, &why), 0);
		assert_int_equal(url.tls, cases[i].tls);
		assert_string_equal(url.host, cases[i].host);
		assert_int_equal(url.port, cases[i].port);
		assert_string_equal(url.user, cases[i].user);
		assert_string_equal(url.password, cases[i].password);
	}
}

static void test_a_malformed_url_is_refused_with_its_reason(void **state)
{
	(void)state;
	static const char scheme[] = "must begin with mqtt:// or mqtts://";
	static const char host[] = "needs a host name or address after ://";
	static const char port[] =
		"needs a port from 1 to 65535 after the host, and nothing behind it";
	static const char user[] = "has a malformed or overlong user or password";
	static const char bracket[] = "has an IPv6 address without its closing bracket";
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", scheme},
		{"mosquitto", scheme},
		{"tcp://host", scheme},
		{"MQTT://host", scheme},
		{" mqtt://host", scheme},
		{"mqtt:/host", scheme},
		{"mqtt://", host},
		{"mqtt:///", host},
		{"mqtt://:1883", host},
		{"mqtt://ann@", host},
		{"mqtt://ho st", host},
		{"mqtt://host/path", host},
		{"mqtt://host?query", host},
		{"mqtt://h\xc3\xb6st", host},
		{"mqtt://[]", host},
		{"mqtt://[::1", bracket},
		{"mqtt://::1", host},
		{"mqtt://host:", port},
		{"mqtt://host:0", port},
		{"mqtt://host:65536", port},
		{"mqtt://host:-1", port},
		{"mqtt://host:+1", port},
		{"mqtt://host:1883x", port},
		{"mqtt://host: 1883", port},
		{"mqtt://host:1883:1883", port},
		{"mqtt://host:99999999999999999999", port},
		{"mqtt://[::1]1883", port},
		{"mqtt://a%4@host", user},
		{"mqtt://a%@host", user},
		{"mqtt://a%zz@host", user},
		{"mqtt://a%00@host", user},
		{"mqtt://a:b%00@host", user},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct dp_mqtt_url url;
		const char *why = NULL;
		assert_int_equal(dp_mqtt_url_parse(cases[i].text, &url, &why), -EINVAL);
		assert_string_equal(why, cases[i].why);
	}
}

/* n times c between two texts. */
static void repeat(char *out, const char *before, char c, size_t n, const char *after)
{
	size_t len = strlen(before);
	memcpy(out, before, len);
	memset(out + len, c, n);
	memcpy(out + len + n, after, strlen(after) + 1);
}

static void test_parts_fill_their_room_and_no_more(void **state)
{
	(void)state;
	static const struct {
		const char *before;
		size_t most;
		const char *after;
		size_t others; /* bytes in the other parts */
	} cases[] = {{"mqtt://", 255, "", 0}, {"mqtt://", 127, "@h", 1},
		{"mqtt://u:", 255, "@h", 2}};
	struct dp_mqtt_url url;
	const char *why;
	char text[512];
	for (size_t i = 0; i < LENGTH(cases); i++) {
		repeat(text, cases[i].before, 'x', cases[i].most, cases[i].after);
		assert_int_equal(dp_mqtt_url_parse(text, &url, &why), 0);
		assert_int_equal(strlen(url.host) + strlen(url.user) + strlen(url.password),
			cases[i].most + cases[i].others);
		repeat(text, cases[i].before, 'x', cases[i].most + 1, cases[i].after);
		assert_int_equal(dp_mqtt_url_parse(text, &url, &why), -EINVAL);
	}
}

static void test_which_brokers_are_on_this_machine(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool here;
	} cases[] = {
		{"mqtt://localhost", true},
		{"mqtt://LocalHost", true},
		{"mqtt://host.docker.internal", true},
		{"mqtt://127.0.0.1", true},
		{"mqtt://127.255.1.2:1", true},
		{"mqtt://[::1]", true},
		{"mqtt://broker.local", false},
		/* Many a network's own names have no dot. */
		{"mqtt://broker", false},
		{"mqtt://mosquitto", false},
		{"mqtt://localhost.example", false},
		{"mqtt://127.0.0.1.example", false},
		{"mqtt://192.168.0.10", false},
		{"mqtt://10.0.0.127", false},
		{"mqtt://3232235530", false}, /* 192.168.0.10 */
		{"mqtt://[fe80::1%eth0]", false},
		{"mqtt://[fd00::127]", false},
		{"mqtt://[::]", false},
	};
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct dp_mqtt_url url;
		const char *why = NULL;
		assert_int_equal(dp_mqtt_url_parse(cases[i].text, &url, &why), 0);
		if (dp_mqtt_url_is_here(&url) != cases[i].here)
			fail_msg("%s", cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls_are_taken_apart),
		cmocka_unit_test(test_a_malformed_url_is_refused_with_its_reason),
		cmocka_unit_test(test_parts_fill_their_room_and_no_more),
		cmocka_unit_test(test_which_brokers_are_on_this_machine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
