#include "policy.h"

#include <errno.h>
#include <string.h>

#include "number.h"

#define AGE_LIMIT_MS 3153600000000 /* a hundred years */

int policy_parse(const char *text, struct policy *policy, const char **why)
{
	int64_t age_ms;
	*why = "raw:<age>, e.g. raw:30d";
	if (strncmp(text, "raw:", 4) != 0 || dp_parse_duration_ms(text + 4, &age_ms) != 0)
		return -EINVAL;
	*why = "an age from 1s to 100y";
	if (age_ms < 1000 || age_ms > AGE_LIMIT_MS)
		return -EINVAL;
	policy->raw_us = age_ms * 1000;
	return 0;
}
