/* What the model's own files know of each other: model.c, and the buses of model_buses.c.
 */
#ifndef FAULT_MODEL_PARTS_H
#define FAULT_MODEL_PARTS_H

#include "bus.h"
#include "model.h"

/** Note the first thing that must not happen. */
void model_strange(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** End the process unless it is so: the model is wrong. */
void model_must(bool ok, const char *what);

/** What a reading of that number says, so that no other can be taken for it. */
double model_value_of(const struct model_sampler *sampler, uint64_t seq);

/** The node's broker (`local`) or the centre's: once it is open, connect or disconnect it.
 */
void model_bus_set_up(bool local, bool up);
bool model_bus_is_up(bool local);
void model_say_at_node(const struct dp_bus_message *message);

/** Answers of the centre that are on their way to the publisher. */
bool model_answers_wait(void);
void model_deliver_answers(void);

/** The publisher is gone, and what was on its way to it. */
void model_forget_buses(void);

#endif
