#include "broker_answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mosquitto.h>

#include "log.h"

void dp_broker_answers_lacking(
	const struct dp_broker_answers *answers, char *text, size_t size)
{
	const struct dp_subscription *lacking =
		dp_subscriptions_lacking(&answers->subscriptions);
	if (lacking == NULL)
		text[0] = '\0';
	else if (lacking->error != 0)
		snprintf(text, size,
			"subscription to %s could not be sent: %s (broker %s:%d)",
			lacking->filter, strerror(-lacking->error), answers->host,
			answers->port);
	else if (lacking->answer < 0)
		snprintf(text, size, "subscription to %s not answered yet (broker %s:%d)",
			lacking->filter, answers->host, answers->port);
	else if (lacking->answer < DP_REASON_REFUSED)
		snprintf(text, size,
			"subscription to %s granted with QoS 0 only (broker %s:%d)",
			lacking->filter, answers->host, answers->port);
	else
		snprintf(text, size, "subscription to %s refused: %s (broker %s:%d)",
			lacking->filter, mosquitto_reason_string(lacking->answer),
			answers->host, answers->port);
}

void dp_broker_answers_subscribed(
	struct dp_broker_answers *answers, int mid, int answer, int64_t now_ms)
{
	const struct dp_subscription *s = NULL;
	switch (dp_subscriptions_answered(
		&answers->subscriptions, mid, answer, now_ms, &s)) {
	case DP_SUBSCRIPTION_REFUSED:
		dp_log(DP_LOG_ERROR,
			"the broker refuses a subscription: allow it in the broker's "
			"rights; it is asked for again from time to time",
			"filter=\"%s\" reason=\"%s\" client_id=%s broker=%s:%d", s->filter,
			mosquitto_reason_string(answer), answers->client_id, answers->host,
			answers->port);
		break;
	case DP_SUBSCRIPTION_WEAKER:
		dp_log(DP_LOG_ERROR,
			"the broker grants a subscription with QoS 0 only, so messages may "
			"be lost: allow QoS 1 in the broker's settings",
			"filter=\"%s\" client_id=%s broker=%s:%d", s->filter,
			answers->client_id, answers->host, answers->port);
		break;
	case DP_SUBSCRIPTION_GRANTED:
		dp_log(DP_LOG_DEBUG, "subscribed", "filter=\"%s\"", s->filter);
		break;
	case DP_SUBSCRIPTION_SAME:
		break;
	}
}

char *dp_broker_answers_published(
	struct dp_broker_answers *answers, int mid, int reason, int64_t now_ms)
{
	char *topic = dp_in_flight_answered(&answers->in_flight, mid);
	if (reason < DP_REASON_REFUSED) {
		free(topic);
		return NULL;
	}
	if (topic == NULL)
		topic = calloc(1, 1);
	if (topic == NULL)
		dp_log_out_of_memory("a refused publish");
	uint64_t n = dp_refusals_note(&answers->refusals, topic, now_ms);
	if (n > 0)
		dp_log(DP_LOG_ERROR,
			"the broker refuses what is published: allow it in the broker's "
			"rights",
			"topic=\"%s\" reason=\"%s\" refused=%llu client_id=%s broker=%s:%d",
			topic, mosquitto_reason_string(reason), (unsigned long long)n,
			answers->client_id, answers->host, answers->port);
	return topic;
}

void dp_broker_answers_finish(struct dp_broker_answers *answers)
{
	dp_subscriptions_finish(&answers->subscriptions);
	dp_in_flight_clear(&answers->in_flight);
}
