#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "number.h"

/* One line, one write: a kill leaves whole lines. */
static void append(struct ledger *ledger, const char *line, size_t len)
{
	if (write(ledger->fd, line, len) == (ssize_t)len)
		return;
	dp_log(DP_LOG_ERROR, "cannot write the ledger; it is no longer kept",
		"error=\"%s\"", strerror(errno));
	ledger_close(ledger);
}

int ledger_open(struct ledger *ledger, const char *path, const char *stream)
{
	ledger->fd = -1;
	if (path == NULL)
		return 0;
	ledger->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (ledger->fd < 0)
		return -errno;
	char line[64];
	int n = snprintf(line, sizeof(line), "run %s\n", stream);
	append(ledger, line, (size_t)n);
	return 0;
}

void ledger_reading(struct ledger *ledger, uint64_t seq, const struct dp_reading *reading)
{
	if (ledger->fd < 0)
		return;
	char line[DP_READING_JSON];
	int n = snprintf(line, sizeof(line), "reading %" PRIu64 " %.*s %" PRId64, seq,
		(int)reading->sensor.len, reading->sensor.at, reading->ts_us);
	size_t len = (size_t)n;
	for (unsigned i = 0; i < reading->n; i++) {
		char number[32];
		dp_format_double(number, reading->values[i].value);
		len += (size_t)snprintf(line + len, sizeof(line) - len, " %.*s=%s",
			(int)reading->values[i].quantity.len,
			reading->values[i].quantity.at, number);
	}
	line[len++] = '\n';
	append(ledger, line, len);
}

void ledger_range(struct ledger *ledger, const char *word, uint64_t first, uint64_t count)
{
	if (ledger->fd < 0)
		return;
	char line[80];
	int n = snprintf(
		line, sizeof(line), "%s %" PRIu64 " %" PRIu64 "\n", word, first, count);
	append(ledger, line, (size_t)n);
}

void ledger_close(struct ledger *ledger)
{
	if (ledger->fd >= 0)
		close(ledger->fd);
	ledger->fd = -1;
}
