/* Which build this is. */
#ifndef DP_VERSION_H
#define DP_VERSION_H

#include <stdint.h>

/** `git describe` of the build. */
extern const char dp_version[];

/** Seconds since 1970 of the commit that was built: no true wall clock is earlier. */
extern const int64_t dp_build_epoch;

#endif
