/* A value of a logfmt line, whatever bytes a stranger chose for it. Pure. */
#ifndef REFUSALS_QUOTE_H
#define REFUSALS_QUOTE_H

#include <stddef.h>

/**
 * Write the value as logfmt wants it: as it is when it consists of letters, digits and
 * `-._:/+#$@`, else in quotes. There `"` and `\` have a `\` before them, and every byte
 * that is not printable ASCII is `\xHH`, so that no value can end its quotes or its line.
 * @param value  may be empty
 * @param out    has room for size bytes, 8 at least; ends with a NUL. A value that does not
 *               fit is cut after a whole character and ends with `...` within its quotes
 * @return the length of what was written
 */
size_t quote(const char *value, char *out, size_t size);

#endif
