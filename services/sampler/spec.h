/*
 * Settings of the form `name=driver@argument[,option=value...],...` taken apart. Pure: on
 * any thread. `why` is the caller's, filled on failure: what is wrong, in words.
 */
#ifndef SAMPLER_SPEC_H
#define SAMPLER_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPECS_MAX 32
#define SPEC_OPTIONS_MAX 24
#define SPEC_DRIVERS_MAX 16

struct spec_option {
	const char *name;
	const char *value;
};

/** Strings live with the list. */
struct spec {
	const char *name; /**< valid, and of one spec only */
	const char *driver;
	char *argument;
	struct spec_option options[SPEC_OPTIONS_MAX];
	size_t n_options;
};

struct spec_list {
	struct spec at[SPECS_MAX];
	size_t n;
	char *text; /* what the strings point into */
};

/** What a list is made for: checks one spec and notes it. @return 0; -EINVAL with `why` */
typedef int (*spec_add)(void *data, struct spec *spec, char *why, size_t why_size);

/**
 * Take a setting apart and hand each spec to add, in order, until one is wrong; an empty
 * setting holds no spec.
 * @return 0; -EINVAL; free with spec_list_finish() in either case
 */
int spec_list_parse(struct spec_list *list, const char *text, spec_add add, void *data,
	char *why, size_t why_size);
void spec_list_finish(struct spec_list *list);

/** An option's value, or NULL. */
const char *spec_option(const struct spec *spec, const char *name);

/**
 * An option that is 0 or 1. @return 0; -EINVAL with `why`
 * @param value  left alone when the option is not there
 */
int spec_flag(
	const struct spec *spec, const char *name, bool *value, char *why, size_t why_size);

/** An option that is a whole number, as spec_flag(). */
int spec_number(const struct spec *spec, const char *name, int64_t min, int64_t max,
	int64_t *value, char *why, size_t why_size);

/**
 * An option that is one of some words, ended by NULL, as spec_flag().
 * @param index  of the word
 */
int spec_choice(const struct spec *spec, const char *name, const char *const *words,
	unsigned *index, char *why, size_t why_size);

/** Whether a list of names, ended by NULL, holds that one. */
bool spec_names(const char *const *names, const char *name);

/** `driver sim has no option cuont, it has: count`. @return -EINVAL */
int spec_unknown_option(const struct spec *spec, const char *name,
	const char *const *options, char *why, size_t why_size);

/**
 * Which of n drivers the spec names.
 * @param name  of the i-th of them
 * @return its index; -EINVAL: `there is no driver dth22; did you mean dht22?`
 */
int spec_driver(const struct spec *spec, const char *(*name)(size_t i), size_t n, char *why,
	size_t why_size);

#endif
