# Find the first apt entry for a wanted suite in one source file and print it as
# a deb822 paragraph for another suite. Variables: from (suites, spaces around
# each), to (one suite). Whatever else the entry says (keys, options) is kept.

function wanted(list, n, part, i) {
	n = split(list, part, " ")
	for (i = 1; i <= n; i++)
		if (index(from, " " part[i] " "))
			return 1
	return 0
}

# One paragraph of a .sources file has been read.
function paragraph() {
	if (types && suites && enabled)
		emit(text)
	text = ""; types = suites = 0; enabled = 1; field = ""
}

function emit(rest) {
	printf "Types: deb\nSuites: %s\nComponents: main\n%s", to, rest
	done = 1
	exit
}

BEGIN { enabled = 1 }

/^[ \t]*#/ { next }

# One line: deb [option=value ...] URI suite component...
FILENAME ~ /\.list$/ {
	if ($1 != "deb")
		next
	options = ""
	line = $0
	sub(/^deb[ \t]+/, "", line)
	if (match(line, /^\[[^]]*\][ \t]*/)) {
		options = substr(line, 1, RLENGTH)
		line = substr(line, RLENGTH + 1)
		gsub(/[][]/, "", options)
	}
	split(line, word, " ")
	if (!wanted(word[2]))
		next
	rest = "URIs: " word[1] "\n"
	n = split(options, option, " ")
	for (i = 1; i <= n; i++) {
		at = index(option[i], "=")
		name = substr(option[i], 1, at - 1)
		value = substr(option[i], at + 1)
		gsub(/,/, " ", value)
		if (name == "arch") name = "Architectures"
		if (name == "lang") name = "Languages"
		if (name == "target") name = "Targets"
		rest = rest toupper(substr(name, 1, 1)) substr(name, 2) ": " value "\n"
	}
	emit(rest)
}

/^[ \t]*$/ { paragraph(); next }

{
	if ($0 !~ /^[ \t]/) {
		field = tolower($0)
		sub(/:.*/, "", field)
	}
	value = $0
	if ($0 !~ /^[ \t]/)
		sub(/^[^:]*:/, "", value)
	if (field == "types") {
		if ((" " value " ") ~ / deb /) types = 1
	} else if (field == "suites") {
		if (wanted(value)) suites = 1
	} else if (field == "components") {
	} else {
		if (field == "enabled" && tolower(value) ~ /no|false|off|0/) enabled = 0
		text = text $0 "\n"
	}
}

END { if (!done) paragraph() }
