/* What the library's codes mean to a caller: dp_mqtt_error() of common/mqtt_handle.h. */
#include <errno.h>

#include "mqtt_handle.h"
#include "support.h"

static int of_socket(int error)
{
	errno = error;
	return dp_mqtt_error(MOSQ_ERR_ERRNO);
}

/* Its errors come first to who sends, before the poll has seen any. */
static void test_a_connection_that_is_gone_is_no_other_error(void **state)
{
	(void)state;
	assert_int_equal(dp_mqtt_error(MOSQ_ERR_NO_CONN), -ENOTCONN);
	assert_int_equal(dp_mqtt_error(MOSQ_ERR_CONN_LOST), -ENOTCONN);
	assert_int_equal(dp_mqtt_error(MOSQ_ERR_TLS), -ENOTCONN);
	assert_int_equal(of_socket(EPIPE), -ENOTCONN);
	assert_int_equal(of_socket(ETIMEDOUT), -ENOTCONN);
	assert_int_equal(of_socket(EHOSTUNREACH), -ENOTCONN);
}

static void test_other_errors_are_what_they_are(void **state)
{
	(void)state;
	assert_int_equal(dp_mqtt_error(MOSQ_ERR_SUCCESS), 0);
	assert_int_equal(dp_mqtt_error(MOSQ_ERR_NOMEM), -ENOMEM);
	assert_int_equal(dp_mqtt_error(MOSQ_ERR_OVERSIZE_PACKET), -EMSGSIZE);
	assert_int_equal(of_socket(ENOBUFS), -ENOBUFS);
	assert_int_equal(of_socket(0), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_connection_that_is_gone_is_no_other_error),
		cmocka_unit_test(test_other_errors_are_what_they_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
