#include "postgres.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

#include "log.h"
#include "number.h"
#include "url.h"

static const char *option(const PQconninfoOption *options, const char *name)
{
	for (; options->keyword != NULL; options++) {
		if (strcmp(options->keyword, name) == 0)
			return options->val != NULL ? options->val : "";
	}
	return "";
}

const char *dp_postgres_check_url(const char *value)
{
	static const char allowed[] =
		"postgresql://user@host/database, as libpq reads it, with a host";
	PQconninfoOption *options =
		dp_url_is_postgres(value) ? PQconninfoParse(value, NULL) : NULL;
	if (options == NULL)
		return allowed;
	bool named = option(options, "host")[0] != '\0' ||
		     option(options, "hostaddr")[0] != '\0';
	PQconninfoFree(options);
	return named ? NULL : allowed;
}

void dp_postgres_name(const char *url, char *name, size_t size)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);
	name[0] = '\0';
	if (options == NULL)
		return;
	const char *host = option(options, "host"), *port = option(options, "port");
	if (host[0] == '\0')
		host = option(options, "hostaddr");
	snprintf(name, size, "postgresql://%s%s%s/%s", host, port[0] != '\0' ? ":" : "",
		port, option(options, "dbname"));
	PQconninfoFree(options);
}

void dp_postgres_param(
	struct dp_postgres_params *params, const char *name, const char *value)
{
	/* libpq knows some fifty. */
	if (params->n + 1 >= DP_POSTGRES_PARAMS)
		return;
	params->names[params->n] = name;
	params->values[params->n++] = value;
}

void dp_postgres_params(
	struct dp_postgres_params *params, const char *url, const char *application)
{
	static const char *const ours[][2] = {{"client_encoding", "UTF8"},
		{"gssencmode", "disable"}, {"keepalives_idle", "15"},
		{"keepalives_interval", "5"}, {"keepalives_count", "3"},
		{"tcp_user_timeout", "20000"}};
	PQconninfoOption *options = PQconninfoParse(url, NULL);
	if (options == NULL)
		dp_log_out_of_memory("a connection");
	*params = (struct dp_postgres_params){.options = options};
	dp_postgres_param(params, "fallback_application_name", application);
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		dp_postgres_param(params, ours[i][0], ours[i][1]);
	for (PQconninfoOption *o = options; o->keyword != NULL; o++) {
		if (o->val != NULL)
			dp_postgres_param(params, o->keyword, o->val);
	}
}

const char *dp_postgres_param_of(const struct dp_postgres_params *params, const char *name)
{
	return option(params->options, name);
}

void dp_postgres_params_free(struct dp_postgres_params *params)
{
	PQconninfoFree(params->options);
	*params = (struct dp_postgres_params){.n = 0};
}

void dp_postgres_line(char *to, size_t size, const char *text)
{
	size_t len = strcspn(text, "\n");
	snprintf(to, size, "%.*s", (int)dp_utf8_cut(text, len < size ? len : size - 1),
		text);
	for (char *at = to; *at != '\0'; at++) {
		if (*at == '"')
			*at = '\'';
	}
}

int dp_postgres_error(const char *state)
{
	static const struct {
		const char *state;
		int err;
	} table[] = {{"53100", -ENOSPC}, {"25006", -EROFS}, {"42501", -EACCES},
		{"28", -EACCES}, {"40001", -EAGAIN}, {"40P01", -EAGAIN}, {"55P03", -EBUSY},
		{"53", -EBUSY}, {"57014", -EBUSY}, {"57P", -ENOTCONN}, {"08", -ENOTCONN},
		{"25P03", -ENOTCONN}, {"XX001", -EUCLEAN}, {"XX002", -EUCLEAN},
		/* Values, constraints, checks of views, limits, what a trigger raises. */
		{"22", -EDOM}, {"23", -EDOM}, {"44", -EDOM}, {"54", -EDOM}, {"P0", -EDOM}};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (state != NULL &&
			strncmp(state, table[i].state, strlen(table[i].state)) == 0)
			return table[i].err;
	}
	return -EIO;
}
