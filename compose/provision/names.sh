# shellcheck shell=sh disable=SC2154 # dir, shown: provision's
# What people may type, and what is known of an identity. Sourced by provision.

fail() {
	printf 'provision: %s\n' "$*" >&2
	exit 1
}

# valid NAME: as the wire contract says of nodes.
valid() {
	case $1 in
	'' | [!A-Za-z0-9]* | *[!A-Za-z0-9._-]*) return 1 ;;
	esac
	[ "${#1}" -le 64 ]
}

# check_name NAME WHAT
check_name() {
	valid "$1" || fail "$2=$1: a name is 1 to 64 of A-Z a-z 0-9 - . _ and begins with a letter or digit"
	case $1 in
	provision-check | provision-check-*) fail "$2=$1: provision check calls its own so; choose another name" ;;
	broker | dewpoint) fail "$2=$1: the centre's own services are called so; choose another name" ;;
	esac
}

# check_entry NAME[:PLATFORM]
check_entry() {
	check_name "${1%%:*}" NODE
	case $1 in
	*:*)
		case ${1#*:} in
		amd64 | arm64 | arm/v7) ;;
		*) fail "NODE=$1: after the colon stands amd64, arm64 or arm/v7" ;;
		esac
		;;
	esac
}

check_client() {
	case ${1#_} in
	operator | homeassistant | dashboard | operator-?* | homeassistant-?* | dashboard-?*) ;;
	*) fail "CLIENT=$1: operator, homeassistant or dashboard, and for more than one of a kind operator-anna and so on" ;;
	esac
	valid "${1#_}" || fail "CLIENT=$1: after the dash stand 1 to 50 of A-Z a-z 0-9 - . _"
}

# check_setting VALUE WHAT: it becomes a line of settings, between quotes.
check_setting() {
	case $1 in
	*\'* | *'
'*) fail "$2=$1 has a quote or a line break: write that line into the board's settings.env yourself" ;;
	esac
}

# check_was NAME: former names that nobody else has.
check_was() {
	for old in ${WAS:-}; do
		check_name "$old" WAS
		if [ -e "$dir/identities/$old" ] && [ "$(fact "$old" state)" = active ]; then
			fail "WAS=$old: $old is a $(fact "$old" kind) that may come in itself; make revoke NODE=$old first if $1 was called so"
		fi
	done
}

check_prefix() {
	case $1 in
	*[+#\"\'\\\$[:space:][:cntrl:]]* | */ | [!/]*) fail "TOPIC_PREFIX=$1: it begins with a slash, ends with none, and has no + # quote, dollar, backslash or space" ;;
	esac
}

# check_addresses LIST WHAT
check_addresses() {
	[ "$1" != down ] || fail "$2=$1: that says of a broker that it is stopped; here its names and addresses are wanted"
	rest=$1,
	while [ -n "$rest" ]; do
		address=${rest%%,*} rest=${rest#*,}
		kind_of "$address" >/dev/null ||
			fail "$2=$1: \"$address\" is neither a host's name nor an address; such as $2=$(echo "$2" | tr A-Z a-z).local,192.168.0.10"
	done
}

# kind_of ADDRESS: DNS or IP, as a certificate names it.
kind_of() {
	case $1 in
	'' | *[!A-Za-z0-9.:-]* | -* | .* | *..*) return 1 ;;
	*:*)
		case $1 in *[!0-9A-Fa-f:.]*) return 1 ;; esac
		echo IP
		;;
	*[!0-9.]*) [ "${#1}" -le 253 ] && echo DNS ;;
	*)
		ip=$1. n=0
		while [ -n "$ip" ]; do
			byte=${ip%%.*} ip=${ip#*.} n=$((n + 1))
			case $byte in '' | ????* | 0?*) return 1 ;; esac
			[ "$byte" -le 255 ] || return 1
		done
		[ "$n" -eq 4 ] && echo IP
		;;
	esac
}

# fact NAME KEY: of an identity; nothing where it has none.
fact() { [ ! -e "$dir/identities/$1" ] || sed -n "s/^$2=//p" "$dir/identities/$1" | head -n 1; }

# facts NAME KEY=VALUE...: a new identity.
facts() {
	of=$1
	shift
	printf '%s\n' "$@" | write "$dir/identities/$of"
}

# set_fact NAME KEY VALUE
set_fact() {
	{
		sed "/^$2=/d" "$dir/identities/$1"
		echo "$2=$3"
	} | write "$dir/identities/$1"
}

# everybody: the names, one a line.
everybody() {
	for path in "$dir"/identities/*; do
		[ -e "$path" ] || continue
		case $path in *.made) continue ;; esac
		echo "${path##*/}"
	done
}

need_new() {
	[ ! -e "$dir/identities/$1" ] || fail "$1 has an identity already ($(fact "$1" kind), since $(fact "$1" since)): make identities lists them. A new key for it: make provision-renew NODE=$1"
}

# check_known NAME [KIND]
check_known() {
	if valid "${1#_}" && [ -e "$dir/identities/$1" ]; then
		[ -z "${2:-}" ] || [ "$(fact "$1" kind)" = "$2" ] || fail "$1 is a $(fact "$1" kind), not a $2"
		return
	fi
	fail "$1: nobody has this name. There are: $(everybody | tr '\n' ' ')"
}
