/* Unpredictable bytes from the kernel. */
#ifndef DP_RANDOM_H
#define DP_RANDOM_H

#include <stddef.h>

/** Fill buf; ends the process with a message when the kernel has none to give. */
void dp_random(void *buf, size_t len);

#endif
