# shellcheck shell=dash
# What the init script and the hotplug script share: one uplink's endpoint, rule and table; each can be taken back.

# Tables and rule priorities of ours: the uplink's number in /etc/config/anabranch is added.
ANABRANCH_TABLE=7100
ANABRANCH_PREF=7100

anabranch_log() {
	logger -t anabranch "$@"
}

# Address, device and gateway of an interface that is up: "ADDRESS DEVICE GATEWAY"; nothing when it is down.
anabranch_uplink() {
	local address device gateway
	network_flush_cache
	network_is_up "$1" || return 1
	network_get_ipaddr address "$1" && network_get_device device "$1" || return 1
	network_get_gateway gateway "$1" 1 || gateway=
	echo "$address $device $gateway"
}

# Takes back whatever was set up for the uplink with this number.
anabranch_take_back() {
	local table=$((ANABRANCH_TABLE + $1)) pref=$((ANABRANCH_PREF + $1)) id
	while ip rule del pref "$pref" 2>/dev/null; do :; done
	ip route flush table "$table" 2>/dev/null
	id=$((100 + $1))
	ip mptcp endpoint delete id "$id" 2>/dev/null
	return 0
}

# Sets up the uplink with this number: INTERFACE NUMBER BACKUP
anabranch_set_up() {
	local address device gateway backup=
	anabranch_take_back "$2"
	# shellcheck disable=SC2046  # three words
	set -- "$1" "$2" "$3" $(anabranch_uplink "$1")
	[ $# -ge 5 ] || return 0
	address=$4 device=$5 gateway=${6:-}
	[ "$3" = 1 ] && backup=backup
	# What leaves from this address leaves by this line, whatever the default route says.
	if [ -n "$gateway" ]; then
		ip route replace default via "$gateway" dev "$device" table $((ANABRANCH_TABLE + $2))
	else
		ip route replace default dev "$device" table $((ANABRANCH_TABLE + $2))
	fi
	ip rule add from "$address" table $((ANABRANCH_TABLE + $2)) pref $((ANABRANCH_PREF + $2))
	# shellcheck disable=SC2086  # a flag, or nothing
	ip mptcp endpoint add "$address" dev "$device" id $((100 + $2)) subflow $backup
	anabranch_log "uplink $1: $address on $device takes part${backup:+ as a backup}"
}

# Calls a function with INTERFACE NUMBER BACKUP for every uplink.
anabranch_each() {
	local number=0
	# shellcheck disable=SC2317,SC2329  # called by config_foreach
	anabranch_one() {
		local interface backup
		config_get interface "$1" interface
		config_get_bool backup "$1" backup 0
		number=$((number + 1))
		[ -z "$interface" ] || "$2" "$interface" "$number" "$backup"
	}
	config_foreach anabranch_one uplink "$1"
}
