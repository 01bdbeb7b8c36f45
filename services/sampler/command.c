#include "command.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

static bool word(const char *text, size_t len, bool *value)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"0", false}, {"1", true}, {"off", false}, {"on", true},
		{"false", false}, {"true", true}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].word) == len &&
			strncasecmp(words[i].word, text, len) == 0) {
			*value = words[i].value;
			return true;
		}
	}
	return false;
}

static bool take_value(const json_t *json, bool *value)
{
	if (json_is_boolean(json))
		*value = json_is_true(json);
	else if (json_is_integer(json) && json_integer_value(json) >= 0 &&
		 json_integer_value(json) <= 1)
		*value = json_integer_value(json) == 1;
	else
		return json_is_string(json) &&
		       word(json_string_value(json), json_string_length(json), value);
	return true;
}

static int wrong(const char **why, const char *what)
{
	*why = what;
	return -EINVAL;
}

static int take_object(const json_t *object, struct command *out, const char **why)
{
	const json_t *for_ms = json_object_get(object, "for_ms");
	const json_t *expires = json_object_get(object, "expires");
	if (!json_is_object(object))
		return wrong(why, "it is neither JSON with a value nor 0, 1, on or off");
	if (!take_value(json_object_get(object, "value"), &out->value))
		return wrong(why, "value is 0, 1, true, false, on or off");
	if (for_ms != NULL && (!json_is_integer(for_ms) || json_integer_value(for_ms) < 1 ||
				      json_integer_value(for_ms) > COMMAND_FOR_MAX_MS))
		return wrong(why, "for_ms is a whole number from 1 to 3600000");
	if (expires != NULL &&
		(!json_is_number(expires) || json_number_value(expires) <= 0))
		return wrong(why, "expires is a time in seconds since 1970");
	out->for_ms = for_ms != NULL ? json_integer_value(for_ms) : 0;
	out->expires_s = expires != NULL ? json_number_value(expires) : 0;
	return 0;
}

int command_parse(const void *payload, size_t len, struct command *out, const char **why)
{
	*out = (struct command){.for_ms = 0};
	if (len > COMMAND_BYTES_MAX)
		return wrong(why, "it is longer than 1024 bytes");
	if (word(payload, len, &out->value))
		return 0;
	json_t *object = json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL);
	int err = take_object(object, out, why);
	json_decref(object);
	return err;
}
