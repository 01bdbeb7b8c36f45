#include "wire.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define EPOCH_2000_US INT64_C(946684800000000)
#define ARRAY_COUNT_AT 12 /* behind dimensions, flags and the elements' type */

static enum wire_type element_type(enum wire_type array)
{
	switch (array) {
	case WIRE_BYTEA_ARRAY:
		return WIRE_BYTEA;
	case WIRE_INT4_ARRAY:
		return WIRE_INT4;
	case WIRE_TEXT_ARRAY:
		return WIRE_TEXT;
	case WIRE_TIMESTAMPTZ_ARRAY:
		return WIRE_TIMESTAMPTZ;
	default:
		return WIRE_INT8;
	}
}

static void put(struct wire *wire, const void *bytes, size_t len)
{
	if (wire->size - wire->len < len) {
		size_t size = wire->size + wire->size / 4 + len + 256;
		char *at = realloc(wire->at, size);
		if (at == NULL)
			dp_log_out_of_memory("what is stored");
		wire->at = at;
		wire->size = size;
	}
	if (len > 0)
		memcpy(wire->at + wire->len, bytes, len);
	wire->len += len;
}

void wire_int16(struct wire *wire, int16_t value)
{
	uint16_t net = htobe16((uint16_t)value);
	put(wire, &net, sizeof(net));
}

void wire_int32(struct wire *wire, int32_t value)
{
	uint32_t net = htobe32((uint32_t)value);
	put(wire, &net, sizeof(net));
}

static void put_int64(struct wire *wire, int64_t value)
{
	uint64_t net = htobe64((uint64_t)value);
	put(wire, &net, sizeof(net));
}

void wire_null_field(struct wire *wire)
{
	wire_int32(wire, -1);
}

void wire_int16_field(struct wire *wire, int16_t value)
{
	wire_int32(wire, sizeof(value));
	wire_int16(wire, value);
}

void wire_int32_field(struct wire *wire, int32_t value)
{
	wire_int32(wire, sizeof(value));
	wire_int32(wire, value);
}

void wire_int64_field(struct wire *wire, int64_t value)
{
	wire_int32(wire, sizeof(value));
	put_int64(wire, value);
}

void wire_double_field(struct wire *wire, double value)
{
	int64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	wire_int64_field(wire, bits);
}

void wire_bytes_field(struct wire *wire, const void *bytes, size_t len)
{
	wire_int32(wire, (int32_t)len);
	put(wire, bytes, len);
}

void wire_text_field(struct wire *wire, const char *text)
{
	wire_bytes_field(wire, text, strlen(text));
}

void wire_time_field(struct wire *wire, int64_t us)
{
	wire_int64_field(wire, us - EPOCH_2000_US);
}

void wire_copy_begin(struct wire *wire)
{
	/* Signature, flags, length of a header extension. */
	static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
	wire->len = 0;
	put(wire, header, sizeof(header));
}

void wire_copy_end(struct wire *wire)
{
	wire_int16(wire, -1);
}

void wire_array_begin(struct wire_array *array, enum wire_type type)
{
	array->type = type;
	array->n = 0;
	array->wire.len = 0;
	wire_int32(&array->wire, 1); /* dimensions */
	wire_int32(&array->wire, 1); /* there may be NULLs */
	wire_int32(&array->wire, (int32_t)element_type(type));
	wire_int32(&array->wire, 0); /* elements, see wire_array_next() */
	wire_int32(&array->wire, 1); /* the first one's index */
}

struct wire *wire_array_next(struct wire_array *array)
{
	uint32_t net = htobe32(++array->n);
	memcpy(array->wire.at + ARRAY_COUNT_AT, &net, sizeof(net));
	return &array->wire;
}
