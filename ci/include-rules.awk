# See include-rules.sh, which calls this with every C file and -v services=" a b ".

BEGIN {
	# A library's header, and the files that may include it.
	only["mosquitto.h"] = "^(common/(bus|mqtt_[a-z]+|broker_answers)[.][ch]|services/mosquitto-[a-z]+/plugin[.]c)$"
	only["mqtt_protocol.h"] = "^common/(bus|mqtt_[a-z]+|broker_answers)[.][ch]$"
	only["mosquitto_broker.h"] = "^services/mosquitto-[a-z]+/plugin[.]c$"
	only["mosquitto_plugin.h"] = "^services/mosquitto-[a-z]+/plugin[.]c$"
	only["gpiod.h"] = "^services/sampler/gpio_libgpiod[.]c$"
	only["libpq-fe.h"] = "^(common/postgres|services/ingest/postgres/pg|services/retention-pruner/postgres/db)[.]c$"
	# A unit test may look into the file that it made.
	only["sqlite3.h"] = "^(common/(sqlite|store)[.][ch]|services/publisher/outbox/outbox[^/]*" \
		"|services/ingest/insert_sqlite[^/]*|services/retention-pruner/sqlite/[^/]*|tests/(unit|fault)/[^/]*)$"

	# Bytes, numbers and a time in, results out.
	pure_files = "^(common/(nearest|number|url|topic|reading|identity|ack|intervals|backoff|resolution)" \
		"|services/ingest/postgres/(wire|multirange)" \
		"|services/mosquitto-refusals/(notices|quote)" \
		"|services/sampler/(dht_decode|trace|ring)|services/publisher/(streams/(dating|stream)|uplink/delivery)" \
		"|services/retention-pruner/(policy|bucket|stride))[.][ch]$"
	pure_headers = "^(uv|mosquitto|mosquitto_broker|mosquitto_plugin|sqlite3|libpq-fe|time|sys/time|sys/timex)[.]h$"
	io = "v?f?printf|v?dprintf|f?scanf|f?puts|f?putc|putchar|f?getc|getchar|fgets|ungetc" \
		"|getline|getdelim|fopen|fdopen|freopen|fclose|fread|fwrite|fseeko?|ftello?|rewind" \
		"|fflush|feof|ferror|perror|popen|open|read|write"
	clocks = "time|clock|clock_gettime|gettimeofday|dp_clock_system"
	unchecked = "atoi|atol|atoll|atof|strcpy|strcat|sprintf|vsprintf|gets"
	violations = 0
}

FNR == 1 {
	pure = FILENAME ~ pure_files
	own = ""
	if (FILENAME ~ /^services\//) {
		split(FILENAME, parts, "/")
		own = parts[2]
	}
	in_comment = 0
}

/^[ \t]*#[ \t]*include[ \t]*[<"]/ {
	header = $0
	sub(/^[^<"]*[<"]/, "", header)
	sub(/[>"].*/, "", header)
	check_include(header)
	next
}

{
	code = without_comments($0)
	call(unchecked, "unchecked or unbounded, never used here")
	if (pure) {
		call(io, "a pure file does no input or output")
		call(clocks, "a pure file is given the time")
	}
}

END { exit violations > 0 }

function violation(rule) {
	printf "%s:%d: %s\n", FILENAME, FNR, rule
	violations++
}

function check_include(header, target, folder) {
	if (header in only && FILENAME !~ only[header])
		violation("<" header "> belongs to another file: see ci/include-rules.awk")
	if (pure && header ~ pure_headers)
		violation("a pure file includes no <" header ">")

	# The service whose header it is, if it is one's.
	target = header
	gsub(/\.\.\//, "", target)
	sub(/^services\//, "", target)
	folder = target
	sub(/\/.*/, "", folder)
	if (folder == target || index(services, " " folder " ") == 0)
		return
	if (FILENAME ~ /^common\//)
		violation("common never includes a service's header")
	else if (own != "" && folder != own)
		violation(own " includes a header of " folder ": services know each other by topics only")
}

# Complain of each call of one of the |-separated functions in this line.
function call(functions, rule, rest, name) {
	rest = " " code
	while (match(rest, "[^A-Za-z0-9_](" functions ")[ \t]*[(]")) {
		name = substr(rest, RSTART + 1, RLENGTH - 2)
		sub(/[ \t]+$/, "", name)
		violation(name ": " rule)
		rest = substr(rest, RSTART + RLENGTH)
	}
}

# The line without comments and with empty string literals.
function without_comments(line, at) {
	if (in_comment) {
		at = index(line, "*/")
		if (at == 0)
			return ""
		line = substr(line, at + 2)
		in_comment = 0
	}
	gsub(/\\"/, "", line)
	gsub(/"[^"]*"/, "\"\"", line)
	while ((at = index(line, "/*")) > 0) {
		rest_of_line = substr(line, at + 2)
		line = substr(line, 1, at - 1)
		at = index(rest_of_line, "*/")
		if (at == 0) {
			in_comment = 1
			break
		}
		line = line " " substr(rest_of_line, at + 2)
	}
	sub(/\/\/.*/, "", line)
	return line
}
