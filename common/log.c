#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Set once before any thread starts, read only afterwards. */
static const char *log_service = "dewpoint";
static enum dp_log_level log_level = DP_LOG_INFO;

void dp_log_init(const char *service, enum dp_log_level level)
{
	log_service = service;
	log_level = level;
}

int dp_log_parse_level(const char *name, enum dp_log_level *level)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum dp_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void dp_log(enum dp_log_level level, const char *msg, const char *fields, ...)
{
	if (level < log_level)
		return;
	char line[1024];
	int n = snprintf(line, sizeof(line) - 1, "level=%s svc=%s msg=\"%s\"",
		level_names[level], log_service, msg);
	size_t len = n < 0 ? 0 : (size_t)n;
	if (fields != NULL && len < sizeof(line) - 2) {
		line[len++] = ' ';
		va_list args;
		va_start(args, fields);
		n = vsnprintf(line + len, sizeof(line) - 1 - len, fields, args);
		va_end(args);
		len += n < 0 ? 0 : (size_t)n;
	}
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];
		if (c < 0x20 || c == 0x7f)
			line[i] = ' ';
	}
	line[len++] = '\n';
	/* stderr is the last resort: there is nowhere left to report its failure. */
	ssize_t written = write(STDERR_FILENO, line, len);
	(void)written;
}

void dp_log_out_of_memory(const char *what)
{
	dp_log(DP_LOG_ERROR, "out of memory, stopping; the restart policy takes over",
		"for=\"%s\"", what);
	exit(EXIT_FAILURE);
}
