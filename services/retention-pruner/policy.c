#include "policy.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "number.h"

#define SECOND_US 1000000
#define AGE_LIMIT_MS 3153600000000 /* a hundred years */
#define SIZE_LIMIT_MS 604800000
#define WORD_MAX 32

#define FORM "raw:<age>, then <size>:<age>, comma-separated, e.g. raw:30d,1m:1y,1h:10y"

/* A duration with an upper bound, in microseconds. */
static int parse_us(const char *text, int64_t limit_ms, int64_t *us, const char **why,
	const char *range)
{
	int64_t ms;
	int err = dp_parse_duration_ms(text, &ms);
	*why = err == -EINVAL ? FORM : range;
	if (err != 0 || ms < 1000 || ms > limit_ms)
		return -EINVAL;
	*us = ms * 1000;
	return 0;
}

static int add_raw(struct policy *policy, const char *age, const char **why)
{
	return parse_us(age, AGE_LIMIT_MS, &policy->raw_us, why, "an age from 1s to 100y");
}

/* Where the size stands, or would be put in order. */
static unsigned place_of(const struct policy *policy, int64_t size_us)
{
	unsigned at = 0;
	while (at < policy->n && policy->sizes[at].size_us < size_us)
		at++;
	return at;
}

static int add_size(struct policy *policy, const char *size, const char *age,
	const struct policy *base, const char **why)
{
	int64_t size_us, age_us;
	int err = parse_us(size, SIZE_LIMIT_MS, &size_us, why, "a size from 1s to 7d");
	if (err == 0)
		err = parse_us(age, AGE_LIMIT_MS, &age_us, why, "an age from 1s to 100y");
	if (err != 0)
		return err;
	*why = "sizes of whole seconds";
	if (size_us % SECOND_US != 0)
		return -EINVAL;
	*why = "rollups kept for at least their size";
	if (age_us < size_us)
		return -EINVAL;
	unsigned at = place_of(policy, size_us);
	if (at < policy->n && policy->sizes[at].size_us == size_us) {
		policy->sizes[at].age_us = age_us;
		return 0;
	}
	*why = "only sizes that RETENTION has";
	if (base != NULL)
		return -EINVAL;
	*why = "at most 4 sizes";
	if (policy->n == POLICY_SIZES)
		return -EINVAL;
	memmove(&policy->sizes[at + 1], &policy->sizes[at],
		(policy->n - at) * sizeof(policy->sizes[0]));
	policy->sizes[at].size_us = size_us;
	policy->sizes[at].age_us = age_us;
	policy->n++;
	return 0;
}

/* One `<what>:<age>`. Whatever was named before is not named again. */
static int add_word(struct policy *policy, char *word, const struct policy *base,
	struct policy *named, const char **why)
{
	char *age = strchr(word, ':');
	*why = FORM;
	if (age == NULL)
		return -EINVAL;
	*age++ = '\0';
	bool raw = strcmp(word, "raw") == 0;
	unsigned before = named->n;
	if (raw && named->raw_us != 0) {
		*why = "each age once";
		return -EINVAL;
	}
	int err = raw ? add_raw(named, age, why) : add_size(named, word, age, NULL, why);
	if (err == 0 && !raw && named->n == before) {
		*why = "each age once";
		return -EINVAL;
	}
	if (err != 0)
		return err;
	return raw ? add_raw(policy, age, why) : add_size(policy, word, age, base, why);
}

static int check(const struct policy *policy, const char **why)
{
	*why = FORM;
	if (policy->raw_us == 0)
		return -EINVAL;
	*why = "sizes of which each is a multiple of the next finer one";
	for (unsigned i = 1; i < policy->n; i++) {
		if (policy->sizes[i].size_us % policy->sizes[i - 1].size_us != 0)
			return -EINVAL;
	}
	return 0;
}

int policy_parse(const char *text, const struct policy *base, struct policy *policy,
	const char **why)
{
	struct policy parsed = {.raw_us = 0}, named = {.raw_us = 0};
	int err = 0;
	if (base != NULL)
		parsed = *base;
	for (bool more = true; more && err == 0;) {
		char word[WORD_MAX];
		size_t len = strcspn(text, ",");
		*why = FORM;
		if (len == 0 || len >= sizeof(word))
			return -EINVAL;
		memcpy(word, text, len);
		word[len] = '\0';
		err = add_word(&parsed, word, base, &named, why);
		more = text[len] == ',';
		text += len + 1;
	}
	if (err == 0)
		err = check(&parsed, why);
	if (err == 0)
		*policy = parsed;
	return err;
}

void policy_keep_longer(struct policy *policy, const struct policy *other)
{
	if (other->raw_us > policy->raw_us)
		policy->raw_us = other->raw_us;
	/* All have the sizes of RETENTION. */
	for (unsigned i = 0; i < policy->n && i < other->n; i++) {
		if (other->sizes[i].age_us > policy->sizes[i].age_us)
			policy->sizes[i].age_us = other->sizes[i].age_us;
	}
}

unsigned policy_level(const struct policy *policy, int64_t size_us)
{
	unsigned i = 0;
	if (size_us == 0)
		return 0;
	while (i < policy->n && policy->sizes[i].size_us != size_us)
		i++;
	return i + 1;
}

int64_t policy_age_us(const struct policy *policy, int64_t size_us)
{
	unsigned level = policy_level(policy, size_us);
	if (level == 0)
		return policy->raw_us;
	return level <= policy->n ? policy->sizes[level - 1].age_us : 0;
}

int64_t policy_counted_us(
	const struct policy *policy, int64_t counted_us, int64_t before_us)
{
	return policy->n > 0 && counted_us < before_us ? counted_us : before_us;
}
