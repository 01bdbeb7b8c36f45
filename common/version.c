#include "version.h"

const char dp_version[] = DP_VERSION;
const int64_t dp_build_epoch = DP_BUILD_EPOCH;
