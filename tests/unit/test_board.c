#include "sampler/board.h"
#include "sampler/board_print.h"
#include "support.h"

static const char text[] =
	"{\"name\":\"Test board\",\"connectors\":[{\"name\":\"J1\",\"pins\":["
	"{\"pin\":1,\"type\":\"power\",\"names\":[\"3V3\"]},"
	"{\"pin\":2,\"type\":\"power\",\"names\":[\"5V\"]},"
	"{\"pin\":3,\"type\":\"gpio\",\"names\":[\"PC6\",\"GPIO70\"],\"chip\":\"main."
	"pinctrl\","
	"\"line\":70,\"edges\":true,\"functions\":[\"SDA\"]},"
	"{\"pin\":4,\"type\":\"ground\",\"names\":[\"GND\"]},"
	"{\"pin\":5,\"type\":\"gpio\",\"names\":[\"PL2\"],\"chip\":\"small.pinctrl\","
	"\"line\":2,"
	"\"edges\":false},"
	"{\"pin\":6,\"type\":\"gpio\",\"names\":[\"PC9\"],\"chip\":\"main.pinctrl\","
	"\"line\":73,"
	"\"edges\":true,\"avoid\":\"the power chip needs it\"}]},"
	"{\"name\":\"J2\",\"pins\":[{\"pin\":1,\"type\":\"gpio\",\"names\":[\"PC1\"],"
	"\"chip\":\"main.pinctrl\",\"line\":65,\"edges\":true,\"note\":\"a LED\"},"
	"{\"type\":\"gpio\",\"names\":[\"PI6\"],\"chip\":\"main.pinctrl\",\"line\":262,"
	"\"edges\":true}]}]}";

static struct board *make_board(void)
{
	struct board *board;
	char why[BOARD_WHY_MAX] = "";
	assert_int_equal(board_parse(&board, "test", text, strlen(text), why), 0);
	return board;
}

/* `chip:line`, or `!why` */
static const char *resolve(const struct board *board, const char *pin, bool edges)
{
	static char result[300];
	struct gpio_place place;
	const struct board_pin *found;
	result[0] = '!';
	int err = board_resolve(
		board, pin, edges, &place, &found, result + 1, sizeof(result) - 1);
	if (err == 0)
		snprintf(result, sizeof(result), "%s:%u", place.chip, place.line);
	else
		assert_int_equal(err, -EINVAL);
	return result;
}

static void test_pins_are_found_by_position_name_and_line(void **state)
{
	struct board *board = make_board();
	(void)state;
	assert_string_equal(resolve(board, "3", true), "main.pinctrl:70");
	assert_string_equal(resolve(board, "J1:3", true), "main.pinctrl:70");
	assert_string_equal(resolve(board, "PC6", true), "main.pinctrl:70");
	assert_string_equal(resolve(board, "pc6", true), "main.pinctrl:70");
	assert_string_equal(resolve(board, "GPIO70", true), "main.pinctrl:70");
	assert_string_equal(resolve(board, "J2:1", true), "main.pinctrl:65");
	assert_string_equal(resolve(board, "PI6", true), "main.pinctrl:262");
	assert_string_equal(resolve(board, "other.chip:7", true), "other.chip:7");
	assert_string_equal(resolve(NULL, "other.chip:7", true), "other.chip:7");
	assert_string_equal(resolve(board, "5", false), "small.pinctrl:2");
	board_free(board);
}

static void test_what_is_no_pin_for_a_sensor_is_said(void **state)
{
	struct board *board = make_board();
	(void)state;
	assert_string_equal(resolve(board, "2", true), "!pin 2 of test is power, 5V");
	assert_string_equal(resolve(board, "4", false), "!pin 4 of test is ground, GND");
	assert_string_equal(resolve(board, "5", true),
		"!pin 5 (PL2) of test cannot report edges; take another pin");
	assert_string_equal(
		resolve(board, "PC61", true), "!test has no pin PC61; did you mean PC6?");
	assert_string_equal(resolve(board, "99", true),
		"!test has no pin 99; sampler --board shows its pins");
	assert_string_equal(resolve(board, "0", true),
		"!test has no pin 0; sampler --board shows its pins");
	assert_string_equal(resolve(board, "chip:x", true),
		"!test has no pin chip:x; sampler --board shows its pins");
	assert_string_equal(resolve(NULL, "7", true),
		"!7 is not chip-label:line, and the board is not known; set BOARD (sampler "
		"--board lists them)");
	board_free(board);
}

static int look(const struct gpio_place *place, struct gpio_look *out)
{
	*out = (struct gpio_look){.used = place->line == 70};
	if (place->line == 70)
		memcpy(out->consumer, "dewpoint-climate", 17);
	return strcmp(place->chip, "small.pinctrl") == 0 ? -ENODEV : 0;
}

static void test_the_header_is_drawn(void **state)
{
	static const char expected[] = "Test board (BOARD=test)\n\nJ1\n"
				       "                                3V3  1 | 2  5V\n"
				       "  PC6 GPIO70 SDA <dewpoint-climate>  3 | 4  GND\n"
				       "                                PL2  5 | 6  PC9 !\n"
				       "  ! PC9: avoid it: the power chip needs it\n"
				       "\nJ2\n  PC1 *  1 | \n  PI6\n  * PC1: a LED\n";
	char *drawn = NULL;
	size_t size;
	(void)state;
	struct board *board = make_board();
	FILE *out = open_memstream(&drawn, &size);
	require(out != NULL);
	board_print(board, look, out);
	fclose(out);
	assert_string_equal(drawn, expected);
	free(drawn);
	board_free(board);
}

static void assert_malformed(const char *json, const char *expected)
{
	struct board *board;
	char why[BOARD_WHY_MAX] = "";
	assert_int_equal(board_parse(&board, "test", json, strlen(json), why), -EINVAL);
	assert_null(board);
	assert_string_equal(why, expected);
}

static void test_malformed_files_are_refused(void **state)
{
	(void)state;
	assert_malformed("{", "line 1: string or '}' expected near end of file");
	assert_malformed("{}", "it has no name");
	assert_malformed("{\"name\":\"x\"}", "it has no pins");
	assert_malformed("{\"name\":\"x\",\"connectors\":[{}]}", "a connector has no name");
	static const char *const pins[] = {"{}", "{\"type\":\"gpio\",\"names\":[\"A\"]}",
		"{\"type\":\"gpio\",\"names\":[\"A\"],\"chip\":\"c\",\"line\":-1}",
		"{\"type\":\"gpio\",\"names\":[],\"chip\":\"c\",\"line\":1}",
		"{\"type\":\"led\",\"names\":[\"A\"]}", "{\"names\":[\"A\"]}",
		"{\"type\":\"power\",\"names\":[1]}", "[]"};
	for (size_t i = 0; i < LENGTH(pins); i++) {
		char json[256];
		snprintf(json, sizeof(json),
			"{\"name\":\"x\",\"connectors\":[{\"name\":\"J\",\"pins\":[%s]}]}",
			pins[i]);
		assert_malformed(json, "entry 1 of connector J is malformed");
	}
}

/* ---- choosing ---- */

static const char *labels[4];

static size_t list(void (*each)(void *data, const struct gpio_chip *chip), void *data)
{
	size_t n = 0;
	for (; labels[n] != NULL; n++) {
		struct gpio_chip chip = {.lines = 1};
		snprintf(chip.label, sizeof(chip.label), "%s", labels[n]);
		each(data, &chip);
	}
	return n;
}

/* The id of what is chosen, `none`, or `!why`. */
static const char *choose(const char *folder, const char *name)
{
	static char result[BOARD_WHY_MAX + 1];
	struct board *board;
	result[0] = '!';
	int err = board_choose(&board, folder, name, list, result + 1);
	if (err == 0)
		snprintf(result, sizeof(result), "%s",
			board != NULL ? board_id(board) : "none");
	board_free(board);
	return result;
}

static void test_a_board_is_chosen_by_name_or_by_its_chip(void **state)
{
	char path[PATH_SIZE], folder[PATH_SIZE], expected[PATH_SIZE + 32];
	path_in(state, ".", folder);
	assert_string_equal(choose(folder, ""), "none");
	write_file(path_in(state, "one.json", path), text, strlen(text));
	assert_string_equal(choose(folder, "one"), "one");
	assert_string_equal(
		choose(folder, "ome"), "!there is no board ome; did you mean one?");
	assert_string_equal(choose(folder, "raspberry"),
		"!there is no board raspberry, there are: one");
	assert_string_equal(
		choose(folder, "../one"), "!there is no board ../one, there are: one");
	labels[0] = "other";
	labels[1] = NULL;
	assert_string_equal(choose(folder, ""), "none");
	labels[1] = "main.pinctrl";
	assert_string_equal(choose(folder, ""), "one");
	write_file(path_in(state, "two.json", path), text, strlen(text));
	assert_string_equal(choose(folder, ""),
		"!both one and two have this machine's GPIO chip; set BOARD");
	write_file(path_in(state, "two.json", path), "{", 1);
	snprintf(expected, sizeof(expected), "!%s/two.json: line 1", folder);
	assert_memory_equal(choose(folder, ""), expected, strlen(expected));
	assert_string_equal(choose("/nonexistent", ""), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pins_are_found_by_position_name_and_line),
		cmocka_unit_test(test_what_is_no_pin_for_a_sensor_is_said),
		cmocka_unit_test(test_the_header_is_drawn),
		cmocka_unit_test(test_malformed_files_are_refused),
		IN_DIRECTORY(test_a_board_is_chosen_by_name_or_by_its_chip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
