#include "spec.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"
#include "number.h"
#include "topic.h"

const char *spec_option(const struct spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_options; i++) {
		if (strcmp(spec->options[i].name, name) == 0)
			return spec->options[i].value;
	}
	return NULL;
}

int spec_number(const struct spec *spec, const char *name, int64_t min, int64_t max,
	int64_t *value, char *why, size_t why_size)
{
	const char *text = spec_option(spec, name);
	if (text == NULL || dp_parse_i64(text, min, max, value) == 0)
		return 0;
	snprintf(why, why_size, "%s=%.20s: a whole number from %lld to %lld", name, text,
		(long long)min, (long long)max);
	return -EINVAL;
}

int spec_flag(
	const struct spec *spec, const char *name, bool *value, char *why, size_t why_size)
{
	int64_t number = *value;
	int err = spec_number(spec, name, 0, 1, &number, why, why_size);
	*value = number != 0;
	return err;
}

/* Append each of the words to why. */
static void list_words(
	char *why, size_t why_size, size_t len, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n && len < why_size; i++)
		len += (size_t)snprintf(why + len, why_size - len, " %s", words[i]);
}

static size_t count(const char *const *words)
{
	size_t n = 0;
	while (words[n] != NULL)
		n++;
	return n;
}

int spec_choice(const struct spec *spec, const char *name, const char *const *words,
	unsigned *index, char *why, size_t why_size)
{
	const char *text = spec_option(spec, name);
	if (text == NULL)
		return 0;
	for (unsigned i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], text) == 0) {
			*index = i;
			return 0;
		}
	}
	size_t len = (size_t)snprintf(why, why_size, "%s=%.20s: there are", name, text);
	list_words(why, why_size, len, words, count(words));
	return -EINVAL;
}

bool spec_names(const char *const *names, const char *name)
{
	size_t i = 0;
	while (names[i] != NULL && strcmp(names[i], name) != 0)
		i++;
	return names[i] != NULL;
}

int spec_unknown_option(const struct spec *spec, const char *name,
	const char *const *options, char *why, size_t why_size)
{
	size_t len = (size_t)snprintf(why, why_size,
		"driver %.40s has no option %.40s, it has:", spec->driver, name);
	list_words(why, why_size, len, options, count(options));
	return -EINVAL;
}

int spec_driver(const struct spec *spec, const char *(*name)(size_t i), size_t n, char *why,
	size_t why_size)
{
	const char *names[SPEC_DRIVERS_MAX] = {NULL};
	assert(n <= SPEC_DRIVERS_MAX);
	for (size_t i = 0; i < n; i++) {
		names[i] = name(i);
		if (strcmp(names[i], spec->driver) == 0)
			return (int)i;
	}
	const char *close = dp_nearest(spec->driver, names, n);
	if (close != NULL) {
		snprintf(why, why_size, "there is no driver %.40s; did you mean %s?",
			spec->driver, close);
		return -EINVAL;
	}
	size_t len = (size_t)snprintf(
		why, why_size, "there is no driver %.40s, there are:", spec->driver);
	list_words(why, why_size, len, names, n);
	return -EINVAL;
}

/* `name=driver@argument`: token is cut at = and @. */
static int add_spec(struct spec_list *list, char *token, char *why, size_t why_size)
{
	char *equals = strchr(token, '=');
	char *at = equals == NULL ? NULL : strchr(equals, '@');
	if (at == NULL || at[1] == '\0') {
		snprintf(why, why_size, "%.60s is not name=driver@argument", token);
		return -EINVAL;
	}
	if (list->n == SPECS_MAX) {
		snprintf(why, why_size, "at most %d of them", SPECS_MAX);
		return -EINVAL;
	}
	*equals = '\0';
	*at = '\0';
	if (!dp_name_valid(token, strlen(token))) {
		snprintf(why, why_size, "%.60s is no name: %s", token,
			"1 to 64 of A-Z a-z 0-9 - . _, beginning with a letter or digit");
		return -EINVAL;
	}
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->at[i].name, token) == 0) {
			snprintf(why, why_size, "the name %s comes twice", token);
			return -EINVAL;
		}
	}
	list->at[list->n++] =
		(struct spec){.name = token, .driver = equals + 1, .argument = at + 1};
	return 0;
}

/* `option=value`, of the spec before it. */
static int add_option(struct spec_list *list, char *token, char *why, size_t why_size)
{
	struct spec *spec = list->n > 0 ? &list->at[list->n - 1] : NULL;
	char *equals = strchr(token, '=');
	if (spec == NULL || equals == NULL) {
		snprintf(why, why_size,
			"%.60s is neither name=driver@argument nor option=value", token);
		return -EINVAL;
	}
	*equals = '\0';
	if (spec->n_options == SPEC_OPTIONS_MAX) {
		snprintf(why, why_size, "%s: at most %d options", spec->name,
			SPEC_OPTIONS_MAX);
		return -EINVAL;
	}
	spec->options[spec->n_options++] = (struct spec_option){token, equals + 1};
	return 0;
}

int spec_list_parse(struct spec_list *list, const char *text, spec_add add, void *data,
	char *why, size_t why_size)
{
	*list = (struct spec_list){.text = strdup(text)};
	if (list->text == NULL) {
		snprintf(why, why_size, "out of memory");
		return -EINVAL;
	}
	char *rest = list->text[0] != '\0' ? list->text : NULL;
	char *token;
	while ((token = strsep(&rest, ",")) != NULL) {
		/* An option's value may not hold an @: that is what tells them apart. */
		int err = strchr(token, '@') != NULL
				  ? add_spec(list, token, why, why_size)
				  : add_option(list, token, why, why_size);
		if (err != 0)
			return err;
	}
	int err = 0;
	for (size_t i = 0; i < list->n && err == 0; i++)
		err = add(data, &list->at[i], why, why_size);
	return err;
}

void spec_list_finish(struct spec_list *list)
{
	free(list->text);
	*list = (struct spec_list){.text = NULL};
}
