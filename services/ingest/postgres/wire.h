/*
 * Values in PostgreSQL's binary form: arrays for parameters, rows for COPY. Pure; when out
 * of memory the process ends.
 */
#ifndef INGEST_POSTGRES_WIRE_H
#define INGEST_POSTGRES_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* Types by their numbers, which are part of the protocol. */
enum wire_type {
	WIRE_BYTEA = 17,
	WIRE_INT8 = 20,
	WIRE_INT4 = 23,
	WIRE_TEXT = 25,
	WIRE_TIMESTAMPTZ = 1184,
	WIRE_BYTEA_ARRAY = 1001,
	WIRE_INT4_ARRAY = 1007,
	WIRE_TEXT_ARRAY = 1009,
	WIRE_INT8_ARRAY = 1016,
	WIRE_TIMESTAMPTZ_ARRAY = 1185,
};

/** Grows as it is filled; without memory for that the process ends. All zero is empty. */
struct wire {
	char *at; /**< freed by its owner */
	size_t len, size;
};

void wire_int16(struct wire *wire, int16_t value);
void wire_int32(struct wire *wire, int32_t value);

/** A field of a row or element of an array: its length, then itself. */
void wire_null_field(struct wire *wire);
void wire_int16_field(struct wire *wire, int16_t value);
void wire_int32_field(struct wire *wire, int32_t value);
void wire_int64_field(struct wire *wire, int64_t value);
void wire_double_field(struct wire *wire, double value);
void wire_bytes_field(struct wire *wire, const void *bytes, size_t len);
void wire_text_field(struct wire *wire, const char *text);

/** @param us  microseconds since 1970; at most 200,000 years from it */
void wire_time_field(struct wire *wire, int64_t us);

/** What begins and ends the data of COPY ... (FORMAT binary). */
void wire_copy_begin(struct wire *wire);
void wire_copy_end(struct wire *wire);

/** An array of one dimension. */
struct wire_array {
	enum wire_type type; /**< of the array: WIRE_..._ARRAY */
	uint32_t n;
	struct wire wire; /**< header and elements */
};

/** Begin an empty one; its memory is kept. */
void wire_array_begin(struct wire_array *array, enum wire_type type);

/** Count one more element; the caller adds it as a field to the array returned. */
struct wire *wire_array_next(struct wire_array *array);

#endif
