/* Memory that only the start of a process needs. */
#ifndef DP_TRIM_H
#define DP_TRIM_H

/**
 * Give back what linking and starting touched: the pages of libraries' code (the
 * kernel reads back what is used again) and free heap. A service then occupies what
 * it works with; measured: a resident set of 6.7 MB before, 2.5 MB after.
 */
void dp_trim(void);

#endif
