/* What an operator orders, and what a run comes to, as JSON. Pure. */
#ifndef PRUNER_ORDER_H
#define PRUNER_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "job.h"

#define ORDER_REPORT_MAX 1024

struct order {
	bool dry_run; /**< only say what would go */
	bool confirm; /**< do what was asked about */
};

/**
 * Nothing, or a JSON object with `dry_run` and `confirm`, each true or false if it is
 * there; other members are ignored.
 * @param why  set on failure: what is allowed, a literal
 * @return 0 or -EBADMSG
 */
int order_parse(const void *payload, size_t len, struct order *out, const char **why);

/** Whether answers may go there: a topic, and not one of ours. */
bool order_may_answer(const char *topic);

struct order_times {
	int64_t now_us, duration_ms, longest_step_us, steps;
};

/**
 * What a run came to. In the reason, characters that JSON would have to escape become
 * similar ones.
 * @param text  ORDER_REPORT_MAX bytes
 * @return its length
 */
size_t order_report(
	const struct prune_report *report, const struct order_times *times, char *text);

/**
 * That nothing came of an order.
 * @param why   any text, treated as the reason above
 * @param text  ORDER_REPORT_MAX bytes
 * @return its length
 */
size_t order_refusal(const char *why, char *text);

#endif
