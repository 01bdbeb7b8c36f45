#include "insert_plain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "plain.h"

static int add_plain_senml(struct context *c)
{
	struct dp_senml *pack;
	struct dp_reading reading;
	const char *why = "";
	int found, n = 0;
	int err = dp_senml_open(
		&pack, c->in->payload, c->in->len, DP_SENML_ANY, c->in->received_us, &why);
	if (err == -EBADMSG)
		return context_dead_letter(c, why, 0, c->in->payload, c->in->len);
	if (err != 0)
		return err;
	while (err == 0 && (found = dp_senml_next(pack, &reading, &why)) != 0) {
		n++;
		if (found == 1) {
			if (!reading.has_time)
				reading.ts_us = c->in->received_us;
			err = context_add_reading(c, c->in->topic, &reading, c->in->clock);
			if (err != -E2BIG)
				continue;
			why = TOO_MANY_QUANTITIES;
		}
		char *text = dp_senml_text(pack);
		err = text == NULL ? -ENOMEM
				   : context_dead_letter(c, why, 0, text, strlen(text));
		free(text);
	}
	if (err == 0 && n == 0)
		err = context_dead_letter(
			c, "the pack is empty", 0, c->in->payload, c->in->len);
	dp_senml_close(pack);
	return err;
}

int insert_plain(struct context *c)
{
	struct dp_reading reading;
	char names[PLAIN_NAMES];
	const char *why = "larger than MAX_MESSAGE_BYTES";
	if (c->in->refusals > 0)
		return context_dead_letter(c, REFUSED, 0, c->in->payload, c->in->len);
	int err = c->in->len > c->options->max_message_bytes ? -EBADMSG : 0;
	/* PostgreSQL's index takes no longer ones. */
	if (err == 0 && strlen(c->in->topic) > PLAIN_TOPIC_MAX) {
		why = "the topic is longer than 1024 bytes";
		err = -EBADMSG;
	}
	if (err == 0 && !dp_utf8_valid(c->in->payload, c->in->len)) {
		why = "not UTF-8";
		err = -EBADMSG;
	}
	if (err == 0 && plain_is_senml(c->in->payload, c->in->len))
		return add_plain_senml(c);
	if (err == 0)
		err = plain_decode(c->in->payload, c->in->len, c->in->received_us, &reading,
			names, &why);
	if (err == 0) {
		err = context_add_reading(c, c->in->topic, &reading, c->in->clock);
		if (err != -E2BIG)
			return err;
		why = TOO_MANY_QUANTITIES;
		err = -EBADMSG;
	}
	return err == -EBADMSG ? context_dead_letter(c, why, 0, c->in->payload, c->in->len)
			       : err;
}
