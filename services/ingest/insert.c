#include "insert.h"

#include "insert_batch.h"
#include "insert_plain.h"

int insert_messages(
	const struct context *c, const struct incoming *list, const struct dp_lease *fence)
{
	int err = 0;
	for (const struct incoming *in = list; in != NULL && err == 0; in = in->next) {
		struct context message = *c;
		message.in = in;
		message.counts->messages += in->part_first == in->identity.first;
		if (!in->plain)
			err = insert_batch(&message);
		else if (fence->held)
			err = insert_plain(&message);
	}
	return err;
}
