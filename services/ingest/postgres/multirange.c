#include "multirange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANGE_TEXT 48 /* of two numbers, brackets and commas */

/* Digits up to `end`. @return what follows `end`, or NULL */
static const char *read_number(const char *text, char end, uint64_t *number)
{
	*number = 0;
	if (*text < '1' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (*number > (uint64_t)INT64_MAX / 10 - 1)
			return NULL;
		*number = *number * 10 + (uint64_t)(*text - '0');
	}
	return *text == end ? text + 1 : NULL;
}

int multirange_read(const char *text, struct dp_intervals *set)
{
	dp_intervals_clear(set);
	if (strcmp(text, "{}") == 0)
		return 0;
	for (char before = '{'; *text == before; before = ',') {
		uint64_t first, end = 0;
		if (text[1] != '[')
			return -EBADMSG;
		text = read_number(text + 2, ',', &first);
		if (text != NULL)
			text = read_number(text, ')', &end);
		if (text == NULL || end <= first)
			return -EBADMSG;
		int err = dp_intervals_add(set, first, end - 1);
		if (err != 0)
			return err;
	}
	return strcmp(text, "}") == 0 && set->n > 0 ? 0 : -EBADMSG;
}

char *multirange_write(const struct dp_intervals *set)
{
	size_t size = set->n * RANGE_TEXT + 3, len = 0;
	char *text = malloc(size);
	if (text == NULL)
		return NULL;
	text[len++] = '{';
	for (size_t i = 0; i < set->n; i++)
		len += (size_t)snprintf(text + len, size - len,
			"%s[%" PRIu64 ",%" PRIu64 ")", i > 0 ? "," : "", set->at[i].first,
			set->at[i].last + 1);
	text[len++] = '}';
	text[len] = '\0';
	return text;
}
