#include "order.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#define PAYLOAD_MAX 1024
#define PLAIN_MAX 256
#define OWN "retention/"

static bool read_bool(const json_t *object, const char *name, bool *out)
{
	const json_t *value = json_object_get(object, name);
	if (value == NULL)
		return true;
	*out = json_is_true(value);
	return json_is_boolean(value);
}

int order_parse(const void *payload, size_t len, struct order *out, const char **why)
{
	struct order order = {.dry_run = false};
	*why = "nothing, or a JSON object with dry_run and confirm, true or false";
	if (len == 0) {
		*out = order;
		return 0;
	}
	if (len > PAYLOAD_MAX)
		return -EBADMSG;
	json_t *object = json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL);
	bool good = json_is_object(object) &&
		    read_bool(object, "dry_run", &order.dry_run) &&
		    read_bool(object, "confirm", &order.confirm);
	json_decref(object);
	if (!good)
		return -EBADMSG;
	*out = order;
	return 0;
}

bool order_may_answer(const char *topic)
{
	return topic != NULL && *topic != '\0' && strpbrk(topic, "+#") == NULL &&
	       strncmp(topic, OWN, strlen(OWN)) != 0;
}

/* A database's words may have quotes, newlines and half a character at their end. */
static void make_plain(char plain[PLAIN_MAX], const char *words)
{
	size_t n = 0;
	for (; n < PLAIN_MAX - 1 && words[n] != '\0'; n++)
		plain[n] = words[n] == '"' || words[n] == '\\' ? '\''
			   : words[n] < ' ' || words[n] > '~'  ? ' '
							       : words[n];
	plain[n] = '\0';
}

size_t order_report(
	const struct prune_report *report, const struct order_times *times, char *text)
{
	static const char *const outcomes[] = {[PRUNE_DID] = "done",
		[PRUNE_LOOKED] = "dry_run",
		[PRUNE_ASKS] = "asks",
		[PRUNE_FAILED] = "failed"};
	char reason[PLAIN_MAX] = "";
	if (report->reason != NULL)
		make_plain(reason, report->reason);
	int n = snprintf(text, ORDER_REPORT_MAX,
		"{\"time\":%" PRId64 ",\"outcome\":\"%s\"%s%s%s,\"readings\":%" PRId64
		",\"rollups\":%" PRId64 ",\"counted\":%" PRId64 ",\"rows_before\":%" PRId64
		",\"rows_after\":%" PRId64 ",\"bytes_before\":%" PRId64
		",\"bytes_after\":%" PRId64 ",\"oldest\":%" PRId64
		",\"duration_ms\":%" PRId64 ",\"longest_step_us\":%" PRId64
		",\"steps\":%" PRId64 "%s}",
		times->now_us / 1000000, outcomes[report->outcome],
		report->reason != NULL ? ",\"reason\":\"" : "", reason,
		report->reason != NULL ? "\"" : "", report->readings, report->rollups,
		report->counted, report->rows_before, report->rows_after,
		report->bytes_before, report->bytes_after, report->oldest_us / 1000000,
		times->duration_ms, times->longest_step_us, times->steps,
		report->about ? ",\"about\":true" : "");
	return (size_t)n;
}

size_t order_refusal(const char *why, char *text)
{
	char plain[PLAIN_MAX];
	make_plain(plain, why);
	return (size_t)snprintf(text, ORDER_REPORT_MAX, "{\"error\":\"%s\"}", plain);
}
