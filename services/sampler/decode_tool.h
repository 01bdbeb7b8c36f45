/* `sampler --decode MODEL < capture.csv`: what a logic analyser saw, as readings. */
#ifndef SAMPLER_DECODE_TOOL_H
#define SAMPLER_DECODE_TOOL_H

#include <stdio.h>

/**
 * Print one line for each transaction in a capture (see trace.h for the format):
 * `t_ns<TAB>humidity<TAB>temperature<TAB>status`. t_ns is the falling edge of the start
 * pulse, or the first edge of a capture that begins later. Humidity (%RH) and temperature
 * (degrees Celsius) have one decimal, or are `-` unless the status is ok or recovered.
 *
 * What is wrong with the arguments or the capture is one line on stderr. Malformed input
 * prints nothing on out; of a capture that ends in the middle of a transaction all that
 * can be decoded is printed.
 * @param model  a name that dht_model_find() knows
 * @return exit code: 0 decoded, whatever the statuses; 1 malformed, truncated or without
 *         a start pulse, or failed to read or write; 78 unknown model
 */
int decode_tool(const char *model, FILE *in, FILE *out);

#endif
