/* OUTPUTS taken apart, and the registry of what drives an output. */
#ifndef SAMPLER_OUTPUT_H
#define SAMPLER_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "output_driver.h"
#include "spec.h"

#define OUTPUTS_MAX SPECS_MAX

/**
 * One `name=driver@argument[,option=value...]`, with what any output has: initial= when it
 * is taken (default 0), exit= when the sampler stops (0), and lost= (keep) when the
 * publisher has been away for lost-after= (30s); each 0, 1 or keep.
 */
struct output_spec {
	const struct spec *spec;
	const struct output_driver *driver;
	enum output_level initial, exit, lost;
	int64_t lost_after_ms;
};

struct output_list {
	struct output_spec specs[OUTPUTS_MAX];
	size_t n;
	struct spec_list list; /* what the specs point into */
};

/** As sensor_list_parse(); an empty text is no output. */
int output_list_parse(
	struct output_list *list, const char *text, char *why, size_t why_size);
void output_list_finish(struct output_list *list);

#endif
