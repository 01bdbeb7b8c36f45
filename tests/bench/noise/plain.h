/*
 * The decoder that most programs have: an interval above a threshold is a 1, and a right
 * checksum is a value. What the project's own is compared with.
 */
#ifndef BENCH_PLAIN_H
#define BENCH_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Falling edge to falling edge, 100 us. The frame is the last 40 intervals, as many
 * programs take it, which fails for sensors that append zeros; plain_after_response() is
 * the other way.
 * @return false: too few edges or a wrong checksum
 */
bool plain_last(const int64_t *fall_ns, size_t count, uint8_t bytes[5]);

/** The 40 intervals after the first one. */
bool plain_after_response(const int64_t *fall_ns, size_t count, uint8_t bytes[5]);

#endif
