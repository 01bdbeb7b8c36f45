#include "board_print.h"

#include <string.h>

#define TEXT_SIZE 128

typedef int look_function(const struct gpio_place *place, struct gpio_look *out);

static void add(
	char text[TEXT_SIZE], const char *before, const char *word, const char *after)
{
	size_t len = strlen(text);
	snprintf(text + len, TEXT_SIZE - len, "%s%s%s%s", len > 0 ? " " : "", before, word,
		after);
}

/* `PC6 GPIO70 SPI1_CLK !` and, of a line in use, `<consumer>`. */
static void describe(const struct board_pin *pin, look_function *look, char text[TEXT_SIZE])
{
	struct gpio_place place = {.line = pin->line};
	struct gpio_look seen;
	text[0] = '\0';
	for (size_t i = 0; i < pin->n_names; i++)
		add(text, "", pin->names[i], "");
	if (pin->type != BOARD_GPIO)
		return;
	if (pin->function != NULL)
		add(text, "", pin->function, "");
	if (pin->avoid != NULL)
		add(text, "", "!", "");
	else if (pin->note != NULL)
		add(text, "", "*", "");
	snprintf(place.chip, sizeof(place.chip), "%s", pin->chip);
	if (look(&place, &seen) == 0 && seen.used)
		add(text, "<", seen.consumer[0] != '\0' ? seen.consumer : "in use", ">");
}

/* The pin of that number among the n of a connector, or NULL. */
static const struct board_pin *numbered(
	const struct board_pin *pins, size_t n, unsigned number)
{
	for (size_t i = 0; i < n; i++) {
		if (pins[i].pin == number)
			return &pins[i];
	}
	return NULL;
}

static unsigned highest(const struct board_pin *pins, size_t n)
{
	unsigned number = 0;
	for (size_t i = 0; i < n; i++) {
		if (pins[i].pin > number)
			number = pins[i].pin;
	}
	return number;
}

/* Odd pins on the left, even ones on the right, as on the boards. */
static void print_header(
	const struct board_pin *pins, size_t n, look_function *look, FILE *out)
{
	char text[TEXT_SIZE];
	size_t width = 0;
	unsigned last = highest(pins, n);
	for (size_t i = 0; i < n; i++) {
		describe(&pins[i], look, text);
		if (pins[i].pin % 2 == 1 && strlen(text) > width)
			width = strlen(text);
	}
	for (unsigned number = 1; number <= last; number += 2) {
		const struct board_pin *left = numbered(pins, n, number);
		const struct board_pin *right = numbered(pins, n, number + 1);
		text[0] = '\0';
		if (left != NULL)
			describe(left, look, text);
		fprintf(out, "  %*s %2u | ", (int)width, text, number);
		if (right == NULL) {
			fputc('\n', out);
			continue;
		}
		describe(right, look, text);
		fprintf(out, "%-2u %s\n", number + 1, text);
	}
}

/* Pins without a number, and what is to be known of the others. */
static void print_rest(
	const struct board_pin *pins, size_t n, look_function *look, FILE *out)
{
	char text[TEXT_SIZE];
	for (size_t i = 0; i < n; i++) {
		if (pins[i].pin != 0)
			continue;
		describe(&pins[i], look, text);
		fprintf(out, "  %s\n", text);
	}
	for (size_t i = 0; i < n; i++) {
		if (pins[i].avoid != NULL)
			fprintf(out, "  ! %s: avoid it: %s\n", pins[i].names[0],
				pins[i].avoid);
		else if (pins[i].note != NULL)
			fprintf(out, "  * %s: %s\n", pins[i].names[0], pins[i].note);
	}
}

void board_print(const struct board *board, look_function *look, FILE *out)
{
	size_t n, first = 0;
	const struct board_pin *pins = board_pins(board, &n);
	fprintf(out, "%s (BOARD=%s)\n", board_name(board), board_id(board));
	while (first < n) {
		size_t end = first;
		while (end < n && strcmp(pins[end].connector, pins[first].connector) == 0)
			end++;
		fprintf(out, "\n%s\n", pins[first].connector);
		print_header(pins + first, end - first, look, out);
		print_rest(pins + first, end - first, look, out);
		first = end;
	}
}
