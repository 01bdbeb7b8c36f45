/* RETENTION taken apart: how long what is kept. Pure. */
#ifndef PRUNER_POLICY_H
#define PRUNER_POLICY_H

#include <stdint.h>

struct policy {
	int64_t raw_us; /**< age at which a reading goes */
};

/**
 * `raw:<age>`, the age being a whole number and ms, s, m, h, d, w or y, at least 1 s.
 * @param why  set on failure: a literal
 * @return 0 or -EINVAL
 */
int policy_parse(const char *text, struct policy *policy, const char **why);

#endif
