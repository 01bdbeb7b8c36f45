/* Which sampler has which name, and when the centre is told:
 * services/publisher/last/claims.h.
 */
#include "publisher/last/claims.h"
#include "support.h"

static struct known_names names;
static struct claims claims;
static struct known *known;

static void say(const char *sampler, const char *status)
{
	const struct dp_property property = {"sampler", sampler};
	const struct dp_bus_message message = {.topic = "local/status/t",
		.payload = status,
		.len = strlen(status),
		.properties = &property,
		.n_properties = 1};
	claims_note(&claims, known, &message);
}

/* The centre has been told all that is due. */
static void tell(void)
{
	known->status_due = names.due = false;
}

static void assert_told_next(bool due, const char *sampler, bool online)
{
	assert_int_equal(known->status_due, due);
	assert_int_equal(names.due, due);
	assert_string_equal(known->sampler, sampler);
	assert_int_equal(known->online, online);
	tell();
}

/* Sampler a is here and has the name, and the centre knows. */
static int begin(void **state)
{
	(void)state;
	names = (struct known_names){.n = 0};
	claims_init(&claims, &names);
	known = known_of(&names, dp_slice("t"));
	claims_note_sampler(&claims, "a", true, 0);
	say("a", "online");
	assert_told_next(true, "a", true);
	return 0;
}

static void test_what_is_said_again_is_not_told_again(void **state)
{
	(void)state;
	say("a", "online");
	assert_told_next(false, "a", true);
	claims_forget(&claims, 0);
	claims_note_sampler(&claims, "a", true, 0);
	say("a", "online");
	assert_told_next(false, "a", true);
	say("a", "offline");
	assert_told_next(true, "a", false);
}

/* It is online all along, and another's. */
static void test_a_new_owner_is_told(void **state)
{
	(void)state;
	claims_forget(&claims, 0);
	claims_note_sampler(&claims, "b", true, 0);
	say("b", "online");
	assert_told_next(true, "b", true);
}

static void test_a_rival_that_takes_over_is_told(void **state)
{
	(void)state;
	claims_note_sampler(&claims, "b", true, 0);
	say("b", "online");
	assert_told_next(false, "a", true);
	claims_note_sampler(&claims, "a", false, 0);
	assert_told_next(true, "b", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_what_is_said_again_is_not_told_again, begin),
		cmocka_unit_test_setup(test_a_new_owner_is_told, begin),
		cmocka_unit_test_setup(test_a_rival_that_takes_over_is_told, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
