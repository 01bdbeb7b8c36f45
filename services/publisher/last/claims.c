#include "claims.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

#define CLAIM_MS 5000

void claims_init(struct claims *claims, struct known_names *names)
{
	*claims = (struct claims){.names = names, .decide_ms = INT64_MAX};
}

static bool is_here(const struct claims *claims, const char *instance)
{
	for (size_t i = 0; i < claims->n_samplers; i++) {
		if (strcmp(claims->samplers[i], instance) == 0)
			return true;
	}
	return false;
}

static void come(struct claims *claims, const char *instance, int64_t now_ms)
{
	if (!is_here(claims, instance) && claims->n_samplers < CLAIMS_SAMPLERS)
		snprintf(claims->samplers[claims->n_samplers++],
			sizeof(claims->samplers[0]), "%s", instance);
	claims->decide_ms = now_ms + CLAIM_MS;
}

static void go(struct claims *claims, const char *instance)
{
	for (size_t i = 0; i < claims->n_samplers; i++) {
		if (strcmp(claims->samplers[i], instance) != 0)
			continue;
		claims->n_samplers--;
		memmove(claims->samplers[i], claims->samplers[claims->n_samplers],
			sizeof(claims->samplers[0]));
		return;
	}
}

static void claim(
	struct claims *claims, struct known *known, const char *owner, bool online)
{
	bool another = strcmp(known->sampler, owner) != 0;
	memmove(known->sampler, owner, strlen(owner) + 1);
	known->claimed = true;
	if (known->clear_due) {
		known->clear_due = false;
		known->told = false;
		known->json_due = known->json[0] != '\0';
	}
	known_note_online(claims->names, known, online);
	/* Its status is what says whose it is; its states need not (last.c). */
	if (another)
		known->status_due = claims->names->due = true;
}

/* Of a name that another sampler has. */
static void note_rival(struct known *known, const char *rival, bool online)
{
	if (strcmp(known->rival, rival) != 0)
		dp_log(DP_LOG_WARN,
			"two samplers have a sensor or output of the same name; rename one "
			"in SENSORS or OUTPUTS",
			"name=%s counts=%s ignored=%s", known->name, known->sampler, rival);
	snprintf(known->rival, sizeof(known->rival), "%s", rival);
	known->rival_online = online;
}

void claims_note(
	struct claims *claims, struct known *known, const struct dp_bus_message *message)
{
	char owner[sizeof(known->sampler)] = "";
	/* The node's broker remembers samplers that are no more. */
	if (message->retain || message->len == 0)
		return;
	for (size_t i = 0; i < message->n_properties; i++) {
		const struct dp_property *property = &message->properties[i];
		if (strcmp(property->name, "sampler") == 0)
			snprintf(owner, sizeof(owner), "%s", property->value);
	}
	bool online = known_says_online(message);
	if (known->claimed && strcmp(known->sampler, owner) != 0 &&
		is_here(claims, known->sampler)) {
		note_rival(known, owner, online);
		return;
	}
	if (strcmp(known->rival, owner) == 0)
		known->rival[0] = '\0';
	claim(claims, known, owner, online);
}

static void lose(struct claims *claims, struct known *known)
{
	if (known->rival[0] != '\0') {
		claim(claims, known, known->rival, known->rival_online);
		known->rival[0] = '\0';
		return;
	}
	known->claimed = false;
	known_note_online(claims->names, known, false);
}

void claims_note_sampler(
	struct claims *claims, const char *instance, bool online, int64_t now_ms)
{
	if (online) {
		come(claims, instance, now_ms);
		return;
	}
	go(claims, instance);
	for (size_t i = 0; i < claims->names->n; i++) {
		struct known *known = &claims->names->at[i];
		if (strcmp(known->rival, instance) == 0)
			known->rival[0] = '\0';
		if (known->claimed && strcmp(known->sampler, instance) == 0)
			lose(claims, known);
	}
}

void claims_expect(struct claims *claims, int64_t now_ms)
{
	claims->decide_ms = now_ms + CLAIM_MS;
}

void claims_forget(struct claims *claims, int64_t now_ms)
{
	claims->n_samplers = 0;
	for (size_t i = 0; i < claims->names->n; i++) {
		claims->names->at[i].claimed = false;
		claims->names->at[i].rival[0] = '\0';
	}
	claims_expect(claims, now_ms);
}

/* Whether it is known that no sampler has the name any more. */
static bool has_left(const struct claims *claims, const struct known *known)
{
	return known->sampler[0] != '\0' ? is_here(claims, known->sampler)
					 : claims->n_samplers > 0;
}

void claims_decide(struct claims *claims, int64_t now_ms)
{
	if (now_ms < claims->decide_ms)
		return;
	claims->decide_ms = INT64_MAX;
	for (size_t i = 0; i < claims->names->n; i++) {
		struct known *known = &claims->names->at[i];
		if (known->claimed || known->clear_due ||
			!(known->told || known->at_centre))
			continue;
		known_note_online(claims->names, known, false);
		if (!has_left(claims, known))
			continue;
		dp_log(DP_LOG_INFO,
			"no sampler has this sensor or output any more; its state and "
			"status are cleared",
			"name=%s", known->name);
		known->clear_due = true;
		known->json_due = known->status_due = false;
		known->json[0] = '\0';
		claims->names->due = true;
	}
}
